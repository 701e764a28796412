"""Whatever a file holds, only the errors that are promised come out. A bounded run, the same every time;
``SSNAN_FUZZ=100000`` makes it a long one, of other examples each time."""

import io
import json
import os
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes.custom import description, write_custom
from fakes.lip import person
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.io.images import read_reduced
from ssnan.io.masks import palette_image, read_labels
from ssnan.io.opening import ImageError
from ssnan.labels import LIP, LabelSet
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.engines import OnnxRuntimeEngine

EXAMPLES = int(os.environ.get("SSNAN_FUZZ", "0"))
SHIPPED = Path(str(resources.files("ssnan") / "weights"))


def fuzz(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def encoded(format, **options):
    image = Image.fromarray(person(24, 16)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    if format == "GIF":
        image = image.quantize(16)
    else:
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


FILES = [
    encoded("JPEG"),
    encoded("JPEG", progressive=True),
    encoded("PNG"),
    encoded("WEBP"),
    encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw"),
    encoded("GIF"),
]

changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12)


def changed(content, where, cut):
    """``content`` with some bytes replaced, and an end missing."""
    damaged = bytearray(content)
    for place, value in where:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    return bytes(damaged[: max(1, round(cut * len(damaged)))])


@fuzz(250)
@given(st.sampled_from(FILES), changes, st.one_of(st.just(1.0), st.floats(0, 1)), st.sampled_from([None, 8, 64]))
def test_photos(content, where, cut, side):
    with suppress(ImageError):
        rgb, height, width = read_reduced(changed(content, where, cut), side)
        assert rgb.dtype == np.uint8
        assert rgb.shape == (height, width, 3) or (side is not None and max(rgb.shape) >= side)


@fuzz(100)
@given(st.binary(max_size=400))
def test_any_bytes(content):
    with pytest.raises(ImageError):
        read_reduced(content, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@fuzz(80)
@given(changes, st.floats(0.1, 1))
def test_masks(folder, where, cut):
    buffer = io.BytesIO()
    palette_image(person(24, 16)[1], LIP).save(buffer, "PNG")
    (folder / "m.png").write_bytes(changed(buffer.getvalue(), where, cut))
    with suppress(ImageError):
        assert read_labels(folder / "m.png").ndim == 2


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("small.onnx"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


def replaced(document, path, value):
    """``document`` with another value at the place that ``path`` leads to, by numbers."""
    document = json.loads(json.dumps(document))
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[path[0] % len(keys)]
        if len(path) == 1 or not isinstance(node[key], dict | list) or not node[key]:
            node[key] = value
            return document
        node, path = node[key], path[1:]


paths = st.lists(st.integers(0, 30), min_size=1, max_size=4)
CARD = json.loads((SHIPPED / "small.json").read_text())


@fuzz(200)
@given(paths, values)
def test_cards(folder, path, value):
    for name in ("small.onnx", "small.xml", "small.bin"):
        if not (folder / name).exists():
            (folder / name).symlink_to(SHIPPED / name)
    (folder / "small.json").write_text(json.dumps(replaced(CARD, path, value)))
    with suppress(ModelError):
        card = ModelCard.read(folder / "small.json")
        assert all(0 < side <= 1e9 for side in card.preprocessing.size(200, 100))
        assert len(card.label_set.color_table) == 256


@fuzz(150)
@given(paths, values)
def test_label_sets(path, value):
    with suppress(ValueError, TypeError, KeyError, AttributeError):  # its callers name the file
        label_set = LabelSet.from_dict(replaced(LIP.to_dict(), path, value))
        assert not any(set(name) & set("/\\") for name in label_set.classes)
        assert label_set.flip_permutation.shape == (len(label_set),)


@fuzz(60)
@given(paths, values)
def test_descriptions(folder, path, value):
    root = folder / "custom"
    if not root.exists():
        write_custom(root)
    (root / "dataset.yaml").write_text(yaml.safe_dump(replaced(description(), path, value), sort_keys=False))
    with suppress(DatasetError):
        assert len(open_split(root, "train")) > 0


@fuzz(12)
@given(changes, st.one_of(st.just(1.0), st.floats(0, 1)))
def test_networks(folder, where, cut):
    """A damaged ONNX file without a card to tell; the head, where names and shapes are, is what is changed."""
    content = (SHIPPED / "small.onnx").read_bytes()
    (folder / "damaged.onnx").write_bytes(changed(content, [(place / 1000, value) for place, value in where], cut))
    with suppress(ModelError):
        engine = OnnxRuntimeEngine(folder / "damaged.onnx", threads=1)
        engine(np.zeros((1, 3, 33, 33), dtype=np.float32))
