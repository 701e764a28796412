"""Datasets in a few large files, WebDataset tars or Parquet, for disks and networks that are slow with small files.
Photos keep their bytes, masks become PNG files of label ids, and ``packed.json`` stores the location of each sample, so
that samples can be read in any order."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.data.folder import DatasetError, Pair, ParsingFolder, Place, read_place
from ssnan.errors import quoted
from ssnan.io.masks import palette_image, png, read_labels
from ssnan.io.writing import appearing_together
from ssnan.labels import LabelSet

INDEX = "packed.json"

Into = Literal["webdataset", "parquet"]

COLUMNS = ("image", "mask", "people")
"""The columns of a Parquet file beside the id; the last only if the dataset tells people apart."""

ROWS = 8
"""Rows of a row group, which is read as a whole for any of its photos."""


class Member(NamedTuple):
    """A part of a tar."""

    file: Path
    name: str
    offset: int
    size: int

    def read_bytes(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


class Cell(NamedTuple):
    """A row and column of a Parquet file."""

    file: Path
    row: int
    column: str

    def read_bytes(self) -> bytes:
        table = _opened(self.file).read_row_group(self.row // ROWS, columns=[self.column], use_threads=False)
        return bytes(table.column(0)[self.row % ROWS].as_py())

    def __str__(self) -> str:
        return f"{self.file}: row {self.row}, {self.column}"


@lru_cache(maxsize=64)
def _opened(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file)


def open_packed(root: Path, split: str) -> ParsingFolder:
    """One split of a dataset written by :func:`pack`.

    Raises:
        DatasetError: the index cannot be read, or names missing files.
    """
    index = root / INDEX
    try:
        values = json.loads(index.read_bytes())
        label_set, into, files = LabelSet.from_dict(values["label_set"]), values["into"], values["splits"][split]
        pairs: list[Pair] = []
        people_at: dict[str, Place] = {}
        for file in files:
            for pair, places in _places(root / file["file"], into, file["samples"], values.get("people", False)):
                pairs.append(pair)
                people_at.update((pair.id, place) for place in places)
        keypoints = {name: np.array(found, dtype=np.float32) for name, found in values.get("keypoints", {}).items()}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{quoted(index)}: not an index of 'ssnan data pack' ({error!r})") from None
    missing = tuple(
        f"{index}: no such file {root / file['file']}" for file in files if not (root / file["file"]).is_file()
    )
    read_instances = partial(_read_instances, places=people_at) if values.get("people") else None
    return ParsingFolder(label_set, tuple(pairs), missing, partial(read_place, read_labels), keypoints, read_instances)


def _places(file: Path, into: Into, samples: list[Any], people: bool) -> Iterator[tuple[Pair, list[Place]]]:
    """Each sample of a file, and the place of its map of people, if it has one."""
    found: list[Place]
    for row, sample in enumerate(samples):
        if into == "parquet":
            name, found = sample, [Cell(file, row, column) for column in COLUMNS[: 3 if people else 2]]
        else:
            name, *members = sample
            found = [Member(file, *member) for member in members]
        image, mask, *rest = found
        yield Pair(name, image, mask), rest


def _read_instances(pair: Pair, places: Mapping[str, Place]) -> NDArray[np.uint8]:
    return read_place(read_labels, places[pair.id])


def pack(splits: dict[str, ParsingFolder], output: Path, into: Into, size: int) -> Iterator[int]:
    """Write every split into files of ``size`` samples in ``output``; yields the number of finished samples. The index
    comes last, so an unfinished folder is not a dataset.

    Raises:
        DatasetError, ImageError: a sample cannot be read, or two of a split have one name.
        OSError: from the file system.
    """
    index: dict[str, Any] = {"into": into, "splits": {}, "keypoints": {}, "people": False}
    done = 0
    with appearing_together() as written_at:
        for split, folder in splits.items():
            for name, times in Counter(pair.id for pair in folder.pairs).items():
                if times > 1:
                    raise DatasetError(
                        f"{split}: {times} photos are named {quoted(name)}; expected a name of its own for each"
                    )
            index["label_set"] = folder.label_set.to_dict()
            index["splits"][split] = []
            index["people"] |= folder.read_instances is not None
            known = {pair.id: folder.keypoints[pair.id] for pair in folder.pairs if pair.id in folder.keypoints}
            # By their shortest text, which gives the same float32 again.
            index["keypoints"] |= {name: found.astype(str).astype(float).tolist() for name, found in known.items()}
            for number, first in enumerate(range(0, len(folder), size)):
                file = f"{split}-{number:06d}.{'parquet' if into == 'parquet' else 'tar'}"
                chosen = range(first, min(first + size, len(folder)))
                samples = (_sample(folder, position) for position in chosen)
                write = _write_parquet if into == "parquet" else _write_tar
                index["splits"][split].append({"file": file, "samples": write(written_at(output / file), samples)})
                done += len(chosen)
                yield done
        written_at(output / INDEX).write_text(json.dumps(index) + "\n")


def _sample(folder: ParsingFolder, position: int) -> tuple[str, dict[str, bytes]]:
    """Name of a sample, and by suffix the bytes of the photo, the mask and the map of people if there is one, after
    checks."""
    pair, sample = folder.pairs[position], folder[position]
    content = pair.image.read_bytes()
    ending = (Image.open(io.BytesIO(content)).format or "png").lower().replace("jpeg", "jpg").replace("mpo", "jpg")
    files = {ending: content, "mask.png": png(palette_image(sample.labels, folder.label_set))}
    if sample.instances is not None:
        files["people.png"] = png(Image.fromarray(sample.instances))
    return pair.id, files


def _write_tar(path: Path, samples: Iterator[tuple[str, dict[str, bytes]]]) -> list[Any]:
    places = []
    with tarfile.open(path, "w") as tar:
        for name, files in samples:
            row: list[Any] = [name]
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"{name}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                row.append([member.name, tar.offset - -(-len(content) // 512) * 512, len(content)])
            places.append(row)
    return places


def _write_parquet(path: Path, samples: Iterator[tuple[str, dict[str, bytes]]]) -> list[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": name, **dict(zip(COLUMNS, files.values(), strict=False))} for name, files in samples]
    # Images are already compressed.
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=ROWS, compression="none")
    return [row["id"] for row in rows]
