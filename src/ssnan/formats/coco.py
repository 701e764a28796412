"""COCO: parts as instances, people as keypoints, and the panoptic format.

Category ids are class ids. ``person``, with the next id, is the union of the parts of a person and has the joints of
Section 3.3 as keypoints. ``attributes.person`` is the number of the person, 0 for parts of nobody. https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as run_lengths

from ssnan.formats.folder import NamedResult
from ssnan.labels import LabelSet
from ssnan.results.geometry import extent_of
from ssnan.results.result import ParsingResult, people_of

HEADER: dict[str, Any] = {
    "info": {
        "description": "Human parsing by ssnan", "url": "", "version": "", "year": 0, "contributor": "",
        "date_created": "",
    },
    "licenses": [{"id": 0, "name": "", "url": ""}],
}  # fmt: skip
"""Fields that some readers require, such as pycocotools and CVAT."""


def instances(results: Iterable[NamedResult]) -> dict[str, Any]:
    """The document with one annotation per person of every photo, and one per part of each (run-length masks).

    Raises:
        FormatError, ImageError: from ``results``.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    labels: LabelSet | None = None
    for number, named in enumerate(results, start=1):
        result, labels = named.result, named.result.label_set
        images.append(_image(number, named))
        for content in _annotations(result):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "iscrowd": 0} | content)
    categories = _categories(labels) if labels else []
    return HEADER | {"images": images, "annotations": annotations, "categories": categories}


def panoptic(number: int, named: NamedResult) -> tuple[Image.Image, dict[str, Any], dict[str, Any]]:
    """The image of the segment ids of photo ``number`` (R + 256 G + 65536 B, 0 for the background), its entry in
    ``images`` and its entry in ``annotations``. :func:`panoptic_categories` gives the ``categories``."""
    result = named.result
    ids = np.where(result.labels < len(result.label_set), result.labels, 0)  # other values are no category
    colors = np.zeros((*ids.shape, 3), dtype=np.uint8)
    colors[..., 0] = ids
    segments = [
        {"id": class_id, "category_id": class_id, "iscrowd": 0} | _extent(mask) for class_id, mask in _parts(result)
    ]
    entry = {"image_id": number, "file_name": f"{named.stem}.png", "segments_info": segments}
    return Image.fromarray(colors), _image(number, named), entry


def panoptic_categories(labels: LabelSet) -> list[dict[str, Any]]:
    """The classes without the background, with colours. All are "stuff", because people are not separated."""
    return [
        {"id": i, "name": name, "supercategory": "person", "isthing": 0, "color": list(labels.palette[i])}
        for i, name in enumerate(labels.classes)
        if i
    ]


def _categories(labels: LabelSet) -> list[dict[str, Any]]:
    parts = [{"id": i, "name": name, "supercategory": "person"} for i, name in enumerate(labels.classes) if i]
    person = {
        "id": len(labels), "name": "person", "supercategory": "person",
        "keypoints": [region.name for region in labels.regions], "skeleton": [],
    }  # fmt: skip
    return [*parts, person]


def _image(number: int, named: NamedResult) -> dict[str, Any]:
    height, width = named.result.labels.shape
    return {"id": number, "file_name": named.file_name, "width": width, "height": height}


def _parts(result: ParsingResult) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    for class_id in range(1, len(result.label_set)):
        mask = result.labels == class_id
        if mask.any():
            yield class_id, mask


def _annotations(result: ParsingResult) -> Iterator[dict[str, Any]]:
    for person in people_of(result):
        whole = {"attributes": {"person": person.number}}
        for class_id, mask in _parts(person):
            yield whole | {"category_id": class_id, "segmentation": _run_lengths(mask)} | _extent(mask)
        yield (
            whole
            | {
                "category_id": len(result.label_set),
                "segmentation": _run_lengths(person.mask()),
                "keypoints": person.to_keypoints(),
                "num_keypoints": sum(point is not None for point in person.joints.values()),
            }
            | _extent(person.mask())
        )
    for class_id, mask in _parts(replace(result, labels=np.where(result.people_map > 0, np.uint8(0), result.labels))):
        yield {
            "attributes": {"person": 0}, "category_id": class_id, "segmentation": _run_lengths(mask),
        } | _extent(mask)  # fmt: skip


def _extent(mask: NDArray[np.bool_]) -> dict[str, Any]:
    left, top, right, bottom = extent_of(mask) or (0, 0, 0, 0)
    return {"area": int(mask.sum()), "bbox": [left, top, right - left, bottom - top]}


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = run_lengths.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}
