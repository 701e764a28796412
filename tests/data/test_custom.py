from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from fakes.custom import NAMES, description, write_custom
from fakes.lip import person
from ssnan.data.custom import read_ids_or_colors, read_label_set
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.io.masks import palette_image
from ssnan.io.opening import ImageError
from ssnan.labels import LIP, Region


@pytest.mark.parametrize("colors", [True, False])
def test_masks_in_colours_and_of_ids_read_alike(tmp_path, colors):
    folder = open_split(write_custom(tmp_path, colors=colors), "train")
    labels = folder[0].labels
    expected = person(shift=int(folder.pairs[0].id[1:]))[1]
    for class_id, name in enumerate(NAMES):
        np.testing.assert_array_equal(labels == class_id, expected == LIP.classes.index(name))


def test_the_description_makes_a_label_set(tmp_path):
    label_set = read_label_set(write_custom(tmp_path) / "dataset.yaml")
    assert label_set.classes == NAMES
    assert label_set.flip_pairs == ((4, 5), (7, 8))
    assert label_set.regions[0] == Region("head", (1, 2))
    assert label_set.palette[1] == (255, 0, 0)


def test_splits_by_name_are_stable_and_apart(tmp_path):
    root = write_custom(tmp_path, count=24)
    train, val = ({pair.id for pair in open_split(root, split).pairs} for split in ("train", "val"))
    assert len(train) + len(val) == 24
    assert 1 <= len(val) <= 6
    assert not train & val
    for path in ("photos/p3.jpg", "masks/p3.png"):
        (root / path).unlink()
    assert {pair.id for pair in open_split(root, "val").pairs} == val - {"p3"}


def test_splits_by_lists(tmp_path):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text(
        yaml.safe_dump(description() | {"splits": {"train": "a.txt", "test": "b.txt"}}, sort_keys=False)
    )
    (root / "a.txt").write_text("p0.jpg\np2.jpg\n")
    (root / "b.txt").write_text("p1\n")
    assert [pair.id for pair in open_split(root, "train").pairs] == ["p0", "p2"]
    assert [pair.id for pair in open_split(root, "test").pairs] == ["p1"]
    with pytest.raises(DatasetError, match="no 'val'; expected one of train, test"):
        open_split(root, "val")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colours": 1}, "unknown key 'colours'; expected one of name, images"),
        ({"name": None}, "'name' is missing"),
        ({"images": "none"}, "images: no such folder"),
        ({"pairs": [["left-arm", "arm"]]}, "pairs: 'arm' is not a class"),
        ({"pairs": [["left-arm"]]}, r"pairs: expected \[\[left, right\]"),
        ({"joints": {"head": "hair"}}, "joints: head: expected a list of different classes, got 'hair'"),
        ({"joints": {"head": []}}, r"joints: head: expected a list of different classes, got \[\]"),
        ({"joints": {"head": ["hair", "hair"]}}, "joints: head: expected a list of different classes"),
        ({"classes": {"background": "#000000", "hair": [1, 2]}, "pairs": [], "joints": {}}, "hair: expected a colour"),
        ({"ignore": 3}, "expected an ignored value from 9 to 255, which is no class id, got 3"),
        ({"ignore": 256}, "from 9 to 255, which is no class id, got 256"),
        ({"ignore": 254.9}, r"ignore: expected a whole number, got 254\.9"),
        ({"ignore": -1}, "from 9 to 255, which is no class id, got -1"),
    ],
)
def test_a_wrong_description_is_one_clear_line(tmp_path, change, complaint):
    root = write_custom(tmp_path)
    values = {key: value for key, value in (description() | change).items() if value is not None}
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(DatasetError, match=complaint) as raised:
        open_split(root, "train")
    assert str(root / "dataset.yaml") in str(raised.value)


def test_a_class_that_occurs_twice_is_refused(tmp_path):
    """YAML keeps the last of them, and the ids behind it would move."""
    root = write_custom(tmp_path)
    lines = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(lines.replace("classes:\n", "classes:\n  hair: '#123456'\n", 1))
    with pytest.raises(DatasetError, match="'hair' occurs twice"):
        open_split(root, "train")


def test_a_colour_that_is_no_class_s_is_named_with_its_place(tmp_path):
    folder = open_split(write_custom(tmp_path), "train")
    with Image.open(folder.pairs[0].mask) as mask:
        mask.putpixel((7, 5), (1, 2, 3))
        mask.save(folder.pairs[0].mask)
    with pytest.raises(DatasetError, match=rf"{folder.pairs[0].mask.name}: colour \(1, 2, 3\) at row 5, column 7"):
        folder[0]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00name",
        b"name: [unclosed",
        b"- a\n- b",
        b"",
        b"!!python/object/apply:os.system ['true']",
        b"[" * 300,
    ],
)
def test_what_is_no_description_is_one_clear_line(tmp_path, content):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        open_split(root, "train")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "values",
    [
        {"splits": ["train.txt"]},
        {"splits": "train.txt"},
        {"joints": ["head"]},
        {"pairs": {"left-arm": "right-arm"}},
        {"pairs": ["left-arm", "right-arm"]},
        {"pairs": [3]},
        {"ignore": "none"},
        {"ignore": [255]},
        {"sets": {100: 5}},
        {"images": {"a": 1}},
        {"classes": {"background": 3, "hair": None}},
        {"splits": {"train": {"a": 1}}},
    ],
)
def test_values_of_another_kind_are_one_clear_line(tmp_path, values):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | values, sort_keys=False))
    with pytest.raises(DatasetError) as caught:
        open_split(root, "train")
    assert str(caught.value).isprintable()


def test_a_mistake_in_the_yaml_is_named_with_its_line(tmp_path):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text("name: own\nimages: [photos\nmasks: masks\n")
    with pytest.raises(DatasetError, match=r"dataset\.yaml: cannot be read \(line 3: expected"):
        open_split(root, "train")


def test_photos_that_differ_only_in_the_suffix_are_refused(tmp_path):
    root = write_custom(tmp_path)
    (root / "photos" / "p1.png").write_bytes((root / "photos" / "p1.jpg").read_bytes())
    with pytest.raises(DatasetError, match=r"p1\.png: its name differs from p1\.jpg only in the suffix"):
        open_split(root, "train")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_description_of_windows(tmp_path, encoding):
    root = write_custom(tmp_path)
    text = yaml.safe_dump(description() | {"name": "größe"}, sort_keys=False, allow_unicode=True)
    (root / "dataset.yaml").write_text(text, encoding=encoding)
    assert open_split(root, "train").label_set.name == "größe"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_windows(tmp_path, encoding):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | {"splits": {"train": "t.txt"}}, sort_keys=False))
    (root / "t.txt").write_bytes("photos\\p1.jpg\r\nphotos/p0.jpg\r\n".encode(encoding))
    assert [pair.id for pair in open_split(root, "train").pairs] == ["p1", "p0"]


def test_a_listed_name_may_have_a_colon(tmp_path):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | {"splits": {"train": "t.txt"}}, sort_keys=False))
    for folder, suffix in (("photos", "jpg"), ("masks", "png")):
        (root / folder / f"p1.{suffix}").rename(root / folder / f"a:p0.{suffix}")
    (root / "t.txt").write_text("a:p0.jpg\n")
    assert [pair.id for pair in open_split(root, "train").pairs] == ["a:p0"]


def test_a_list_that_is_no_text_is_one_clear_line(tmp_path):
    root = write_custom(tmp_path)
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | {"splits": {"train": "t.txt"}}, sort_keys=False))
    (root / "t.txt").write_bytes(b"p0\n\xff\xfe")
    with pytest.raises(DatasetError, match="not text in UTF-8 or UTF-16"):
        open_split(root, "train")


def test_masks_of_black_and_white_are_refused(tmp_path):
    root = write_custom(tmp_path, colors=False)
    for path in (root / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8)).save(path)
    for split in ("train", "val"):
        with pytest.raises(DatasetError, match="have only 0 and 255, and 255 is ignored"):
            open_split(root, split)


@pytest.fixture
def palette_mask(tmp_path):
    """Writes the first mask with a palette that has the classes' colours in another order; gives it as it is read, and
    as it should be."""
    folder = open_split(write_custom(tmp_path, colors=False), "train")
    [mask, expected] = folder.pairs[0].mask, folder[0].labels
    order = np.random.default_rng(0).permutation(len(NAMES))

    def write(change=lambda ids, palette: None, length=256):
        ids, palette = np.argsort(order)[expected].astype(np.uint8), np.zeros((length, 3), dtype=np.uint8)
        palette[: len(NAMES)] = np.array(folder.label_set.palette, dtype=np.uint8)[order]
        change(ids, palette)
        image = Image.fromarray(ids)
        image.putpalette(palette.tobytes())
        image.save(mask)
        return folder[0].labels, expected

    return write


@pytest.mark.parametrize("length", [len(NAMES), 256])
def test_a_palette_in_the_classes_colours_is_read_by_them(palette_mask, length):
    np.testing.assert_array_equal(*palette_mask(length=length))


def test_the_ignored_value_needs_no_colour_of_a_class(palette_mask):
    def outline(ids, palette):
        ids[:3], palette[255] = 255, (224, 224, 192)

    found, expected = palette_mask(outline)
    assert (found[:3] == 255).all()
    np.testing.assert_array_equal(found[3:], expected[3:])


def test_a_palette_that_is_partly_the_classes_is_refused(palette_mask):
    def unknown(ids, palette):
        palette[ids[0, 0]] = (1, 2, 3)

    with pytest.raises(
        ImageError, match=r"expected the colour of one class at every index, got that of no class at \d"
    ):
        palette_mask(unknown)


@pytest.mark.parametrize("colors", [True, False])
def test_a_colour_of_two_classes_is_refused_where_masks_are_read_by_it(tmp_path, colors):
    root = write_custom(tmp_path, colors=colors)
    classes = description()["classes"]
    hair = classes["face"] = classes["hair"]
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | {"classes": classes}, sort_keys=False))
    folder = open_split(root, "train")
    if not colors:  # ids need no colours
        assert {1, 2} < set(np.unique(folder[0].labels).tolist())
        mask = Image.fromarray(np.uint8([[0, 3]]))
        mask.putpalette([0, 0, 0, *[9] * 6, *hair])
        mask.save(folder.pairs[0].mask)
    with pytest.raises(ValueError, match=r"'hair' and 'face'( at 3)?; "):
        folder.read_mask(folder.pairs[0].mask)


def test_colours_of_two_classes_at_their_own_ids_are_read(tmp_path):
    twice = replace(LIP, palette=(*LIP.palette[:5], LIP.palette[2], *LIP.palette[6:]))
    ids = np.array([[0, 5, 7]], dtype=np.uint8)  # not 2, whose colour 5 has
    palette_image(ids, twice).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_ids_or_colors(tmp_path / "m.png", twice), ids)


def test_a_black_palette_says_nothing(palette_mask):
    found, expected = palette_mask(lambda ids, palette: palette.fill(0))
    assert len(np.unique(found)) == len(np.unique(expected)) > 2


def test_a_foreign_palette_says_nothing(tmp_path):
    root = write_custom(tmp_path, colors=False)
    folder = open_split(root, "train")
    expected = folder[0].labels
    image = Image.fromarray(expected)
    image.putpalette(np.random.default_rng(0).integers(1, 255, 768, dtype=np.uint8).tobytes())
    image.save(folder.pairs[0].mask)
    np.testing.assert_array_equal(folder[0].labels, expected)


def test_more_photos_move_no_old_one(tmp_path):
    root = write_custom(tmp_path, count=100)
    before = {pair.id for pair in open_split(root, "val").pairs}
    assert 3 <= len(before) <= 20
    for number in range(40):
        for folder, ending in (("photos", "jpg"), ("masks", "png")):
            path = root / folder / f"new{number}.{ending}"
            path.write_bytes((root / folder / f"p0.{ending}").read_bytes())
    after = {pair.id for pair in open_split(root, "val").pairs}
    assert before == {name for name in after if name.startswith("p")}


def test_names_with_dots_in_lists(tmp_path):
    root = write_custom(tmp_path)
    for folder, ending in (("photos", "jpg"), ("masks", "png")):
        (root / folder / f"p0.{ending}").rename(root / folder / f"look.2.{ending}")
    (root / "dataset.yaml").write_text(yaml.safe_dump(description() | {"splits": {"train": "a.txt"}}, sort_keys=False))
    (root / "a.txt").write_text("\ufefflook.2\nlook.2.jpg\np1\n")
    assert [pair.id for pair in open_split(root, "train").pairs] == ["look.2", "look.2", "p1"]
