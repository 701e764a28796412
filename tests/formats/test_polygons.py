import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Outline
from PIL import Image

from formats.conftest import LABELS
from ssnan.commands import main
from ssnan.formats.polygons import one_ring, polygons
from ssnan.labels import LIP
from ssnan.results.result import ParsingResult


def drawn(rings, shape):
    """Pixels whose centres are inside an odd number of times; beside the centres, which cuts may run through."""
    y, x = np.indices(shape)
    centers = np.column_stack([x.ravel() + 0.51, y.ravel() + 0.507])
    inside = [Outline([*ring, ring[0]], closed=True).contains_points(centers) for ring in rings]
    return np.logical_xor.reduce(inside).reshape(shape) if rings else np.zeros(shape, dtype=bool)


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, (9, 8), elements=st.integers(0, 3)))
def test_polygons_hold_exactly_their_part_s_pixels(labels):
    found = polygons(ParsingResult(labels, LIP), tolerance=0.0)
    for class_id in range(1, 4):
        rings = [one_ring(piece) for piece in found.get(LIP.classes[class_id], [])]
        np.testing.assert_array_equal(drawn(rings, labels.shape), labels == class_id)


def test_a_cut_keeps_the_area_and_the_holes():
    (hair,) = polygons(ParsingResult(LABELS, LIP), tolerance=0.0)["hair"]
    assert len(hair.interiors) == 1
    ring = np.array(one_ring(hair))
    x, y = ring.T
    shoelace = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert shoelace == pytest.approx(hair.area)


def test_neighbours_keep_one_line_between_them():
    rng = np.random.default_rng(3)
    border = np.clip(np.cumsum(rng.integers(-1, 2, 200)) + 50, 5, 95)
    labels = np.where(np.arange(100)[None] < border[:, None], 5, 9).astype(np.uint8)
    found = polygons(ParsingResult(labels, LIP))
    one, other = (shapely.union_all(found[LIP.classes[i]]) for i in (5, 9))
    assert shapely.area(shapely.intersection(one, other)) == pytest.approx(0, abs=1e-6)
    whole = shapely.union(one, other)
    assert whole.area == pytest.approx(200 * 100, abs=2)
    exact = polygons(ParsingResult(labels, LIP), tolerance=0.0)
    assert len(one.exterior.coords) < 0.7 * len(exact[LIP.classes[5]][0].exterior.coords)


def test_the_parts_of_a_person_are_a_group_in_cvat(folder):
    from xml.etree import ElementTree as Xml

    people = np.where(np.indices(LABELS.shape)[1] < 15, 1, 2).astype(np.uint8)
    Image.fromarray(people).save(folder / "maps" / "one.people.png")
    command = ["convert", str(folder / "maps"), "--to", "cvat", "--tolerance", "0", "--min-area", "0"]
    assert main([*command, "-o", str(folder / "out")]) == 0
    root = Xml.parse(folder / "out" / "annotations.xml").getroot()
    (image,) = (image for image in root.iter("image") if image.get("name") == "one.png")
    for number in (1, 2):
        rings = [
            [tuple(map(float, point.split(","))) for point in polygon.get("points").split(";")]
            for polygon in image.iter("polygon")
            if polygon.get("group_id") == str(number)
        ]
        own = (people == number) & (LABELS > 0) & (LABELS < 255)
        np.testing.assert_array_equal(drawn(rings, LABELS.shape), own)


def test_cvat_is_read_back_by_datumaro(folder):
    from datumaro.components.dataset import Dataset

    assert (
        main(
            [
                "convert",
                str(folder / "maps"),
                "--to",
                "cvat",
                "-o",
                str(folder / "out"),
                "--tolerance",
                "0",
                "--min-area",
                "0",
            ]
        )
        == 0
    )
    (folder / "maps").rename(folder / "out" / "images")  # a dataset has its photos with it
    dataset = Dataset.import_from(str(folder / "out"), "cvat")
    names = [label.name for label in dataset.categories()[next(iter(dataset.categories()))]]
    assert names == list(LIP.classes[1:])
    (item,) = (item for item in dataset if item.id == "one")
    rings = {}
    for polygon in item.annotations:
        rings.setdefault(names[polygon.label], []).append(np.reshape(polygon.points, (-1, 2)))
    for class_id, name in enumerate(LIP.classes):
        if class_id:
            np.testing.assert_array_equal(drawn(rings.get(name, []), LABELS.shape), class_id == LABELS)


@pytest.mark.filterwarnings("ignore:Exception ignored in.*FileIO:pytest.PytestUnraisableExceptionWarning")  # its own
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_labelme_opens_the_photo_and_its_parts(folder):
    from labelme import LabelFile

    command = ["convert", str(folder / "maps"), "--to", "labelme", "--tolerance", "0", "--min-area", "0"]
    assert main([*command, "--photos", str(folder / "photos"), "-o", str(folder / "out")]) == 0
    place = folder / "out" / "deeper" / "two.json"
    opened = LabelFile(str(place))  # reads the photo too, and compares its size
    assert opened.image_data == (folder / "photos" / "deeper" / "two.jpg").read_bytes()
    for class_id, name in enumerate(LIP.classes):
        rings = [shape["points"] for shape in opened.shapes if shape["label"] == name]
        if class_id:
            np.testing.assert_array_equal(drawn(rings, LABELS.shape), LABELS[:, ::-1] == class_id)
