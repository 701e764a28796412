"""Convert a folder of results of 'ssnan parse' to the formats of other programs. Polygons for CVAT and LabelMe cannot
have holes: a cut joins each hole to the outside."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssnan.commands.options import FAILED, MISUSED, complain, folder

if TYPE_CHECKING:
    from ssnan.formats.folder import NamedResult

Write = Callable[[Path, bytes], None]
"""Writes a file of a conversion."""

SPECK = 10
"""Smallest area, in pixels, of a polygon that people correct by hand."""

HELP = "convert maps to COCO, CVAT, LabelMe or OpenRaster files"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("maps", type=folder, metavar="MAPS", help="folder of results of 'ssnan parse'")
    parser.add_argument(
        "--to", choices=list(FORMATS), required=True,
        help="coco: instances and keypoints; panoptic: COCO panoptic; cvat: CVAT for images 1.1; labelme; openraster: "
        "one layer per part, for GIMP and Krita",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=folder, default=Path("converted"), help="output folder (converted)")
    parser.add_argument("--photos", type=folder, help="folder of the photos, for file names and openraster's layers")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="PIXELS",
        help="how far simplified polygons may deviate; 0 keeps every vertex (1)",
    )
    parser.add_argument(
        "--min-area",
        type=int,
        metavar="PIXELS",
        help="merge smaller areas into the class around them; 0 keeps every pixel "
        f"({SPECK} for cvat and labelme, 0 for the others)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files with other contents, such as corrected annotations"
    )


def run(options: argparse.Namespace) -> int:
    from ssnan.errors import lacks, quoted

    for given in (options.maps, options.photos):
        if given is not None and not given.is_dir():
            return complain(f"{quoted(given)}: no such folder", MISUSED)
    if not 0 <= options.tolerance < float("inf"):
        return complain(f"--tolerance {options.tolerance}: expected pixels, 0 or more", MISUSED)
    min_area = options.min_area if options.min_area is not None else SPECK if options.to in ("cvat", "labelme") else 0
    if min_area < 0:
        return complain(f"--min-area {min_area}: expected pixels, 0 or more", MISUSED)
    try:
        from ssnan.formats.folder import read_folder

        with _writing(options.overwrite) as write:
            count = FORMATS[options.to](read_folder(options.maps, options.photos, min_area), options, write)
    except ModuleNotFoundError as error:
        return complain(lacks(options.to, error, "formats"), FAILED)
    print(f"{count} converted into {quoted(options.output)}")
    return 0


def _coco(results: Iterable[NamedResult], options: argparse.Namespace, write: Write) -> int:
    from ssnan.formats.coco import instances

    document = instances(results)
    write(options.output / "instances.json", json.dumps(document).encode())
    return len(document["images"])


def _panoptic(results: Iterable[NamedResult], options: argparse.Namespace, write: Write) -> int:
    from ssnan.formats.coco import HEADER, panoptic, panoptic_categories

    document: dict[str, Any] = HEADER | {"images": [], "annotations": [], "categories": []}
    for number, named in enumerate(results, start=1):
        segments, image, annotation = panoptic(number, named)
        content = io.BytesIO()
        segments.save(content, format="PNG")
        write(options.output / "panoptic" / annotation["file_name"], content.getvalue())
        document["images"].append(image)
        document["annotations"].append(annotation)
        document["categories"] = panoptic_categories(named.result.label_set)
    write(options.output / "panoptic.json", json.dumps(document).encode())
    return len(document["images"])


def _cvat(results: Iterable[NamedResult], options: argparse.Namespace, write: Write) -> int:
    from xml.etree import ElementTree as Xml

    from ssnan.formats.cvat import document

    root = document(results, options.tolerance).getroot()
    write(options.output / "annotations.xml", Xml.tostring(root, encoding="utf-8", xml_declaration=True))
    return len(root.findall("image"))


def _labelme(results: Iterable[NamedResult], options: argparse.Namespace, write: Write) -> int:
    from ssnan.formats.labelme import annotation

    count = 0
    for named in results:
        place = options.output / f"{named.stem}.json"
        photo = (options.photos or options.maps) / named.file_name
        seen_from_there = Path(os.path.relpath(photo, place.parent)).as_posix()
        write(place, json.dumps(annotation(named, seen_from_there, options.tolerance), indent=1).encode())
        count += 1
    return count


def _openraster(results: Iterable[NamedResult], options: argparse.Namespace, write: Write) -> int:
    from ssnan.formats.openraster import openraster

    count = 0
    for named in results:
        write(options.output / f"{named.stem}.ora", openraster(named.result))
        count += 1
    return count


FORMATS: dict[str, Callable[[Iterable[NamedResult], argparse.Namespace, Write], int]] = {
    "coco": _coco,
    "panoptic": _panoptic,
    "cvat": _cvat,
    "labelme": _labelme,
    "openraster": _openraster,
}


@contextmanager
def _writing(overwrite: bool) -> Iterator[Write]:
    """Yield a function that writes a file. All files appear when the block ends; none does if it fails, so a refusal
    leaves no half of a conversion and no empty folder. Unfinished files of a killed run are removed from the folders of
    the files.

    Raises:
        FormatError: by the function: another file is in that place, and ``overwrite`` is false or it is a result.
    """
    from ssnan.errors import quoted
    from ssnan.formats.folder import FormatError, is_map_or_document
    from ssnan.io.writing import appearing_together, sweep

    swept: set[Path] = set()
    new_folders: list[Path] = []  # the inner ones first
    with _removing_empty(new_folders), appearing_together() as written_at:

        def write(place: Path, content: bytes) -> None:
            if place.parent not in swept:
                sweep(place.parent)
                swept.add(place.parent)
                new_folders[:0] = [parent for parent in place.parents if not parent.exists()]
            if place.is_file() and place.read_bytes() != content:
                if is_map_or_document(place):
                    raise FormatError(f"{quoted(place)}: is a result of 'ssnan parse'; choose another folder with -o")
                if not overwrite:
                    raise FormatError(
                        f"{quoted(place)}: exists with other contents; choose another folder with -o, or --overwrite"
                    )
            written_at(place).write_bytes(content)

        yield write


@contextmanager
def _removing_empty(folders: list[Path]) -> Iterator[None]:
    """Remove the empty ones of ``folders`` if the block fails."""
    try:
        yield
    except BaseException:
        for empty in folders:
            with suppress(OSError):  # it has files, or was not created
                empty.rmdir()
        raise
