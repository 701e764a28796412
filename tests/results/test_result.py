import inspect
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssnan.io.opening import ImageError
from ssnan.labels import LIP
from ssnan.results.people import find
from ssnan.results.result import ParsingResult

FACE, LEFT_ARM = 13, 14


@pytest.fixture
def result():
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[2:4, 5:9] = FACE
    labels[6, 10:13] = LEFT_ARM
    return ParsingResult(labels, LIP)


def test_parts_boxes_and_centres(result):
    face = result.to_dict()["parts"]["face"]
    assert face == {
        "id": FACE,
        "color": (0, 0, 255),
        "area": 8,
        "confidence": None,
        "extent": (5, 2, 9, 4),
        "box": (5, 2, 9, 4),
        "center": (6.5, 2.5),
    }
    assert result.areas == {"background": 189, "face": 8, "left-arm": 3}


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64])
def test_ids_in_other_integers_count_the_same(kind):
    """Types are checked in tests alone, so go around the check."""
    result = ParsingResult(np.zeros((1, 5), dtype=np.uint8), LIP)
    ids = np.array([[0, 7, 7, 0, 7]], dtype=kind)
    object.__setattr__(result, "labels", ids)
    assert result.areas == {"background": 2, LIP.classes[7]: 3}
    numbers = inspect.unwrap(find)(ids.astype(np.uint8), LIP, ids)
    assert numbers.tolist() == [[0, 1, 1, 0, 1]]


def test_joints_equal_a_loop_over_pixels(result):
    assert result.joints["head"] == (6.5, 2.5)
    assert result.joints["left-arm"] == (11.0, 6.0)
    assert result.joints["right-arm"] is None
    assert len(result.joints) == 9


def test_masks(result):
    assert result.mask("face", "left-arm").sum() == 11
    with pytest.raises(ValueError, match="left-arm"):
        result.mask("arm")


@pytest.mark.parametrize("suffix", [".png", ".npz"])
@pytest.mark.parametrize("draw", [ParsingResult.overlay, ParsingResult.cutout, ParsingResult.crop])
def test_a_result_from_a_file_says_how_to_get_the_photo(result, tmp_path, suffix, draw):
    """Cutouts once told a map from a PNG to become .npz, which has no photo either."""
    result.save(tmp_path / f"map{suffix}")
    with pytest.raises(ValueError, match="is from a file, which has no photo; parse the photo again"):
        draw(ParsingResult.load(tmp_path / f"map{suffix}"))


def test_round_trip_through_its_file(result, tmp_path):
    result.save(tmp_path / "r.png")
    again = ParsingResult.from_png(tmp_path / "r.png", LIP)
    np.testing.assert_array_equal(again.labels, result.labels)
    colors = np.array(result.to_image().convert("RGB"))
    assert colors[2, 5].tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match="without scores"):
        _ = again.confidence
    with pytest.raises(ValueError, match="no photo"):
        _ = again.photo


def test_one_line_says_what_it_is(result):
    assert repr(result) == "ParsingResult(20 × 10, lip: face 4.0%, left-arm 1.5%)"
    assert repr(ParsingResult(result.labels * 0, LIP)) == "ParsingResult(20 × 10, lip: nobody found)"


@pytest.fixture
def parsed(color_parser):
    """A red figure before black: hair, by that parser."""
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    photo[8:20, 12:40] = (255, 20, 0)
    return color_parser(photo)


def test_probabilities_add_up(parsed):
    one, other = parsed.probability("hair"), parsed.probability("face")
    np.testing.assert_allclose(parsed.probability("hair", "face"), one + other, atol=1e-6)
    np.testing.assert_allclose(parsed.probability("background") + parsed.probability(), 1, atol=1e-5)
    best = parsed.mask("hair")
    np.testing.assert_allclose(one[best], parsed.confidence[best], atol=1e-6)
    with pytest.raises(ValueError, match="no class 'wig'"):
        parsed.probability("wig")


def test_a_cutout_is_solid_inside_and_soft_at_the_edge(parsed):
    cutout = np.asarray(parsed.cutout("hair"))
    assert cutout.shape == (40, 60, 4)
    alpha = cutout[..., 3]
    np.testing.assert_array_equal(cutout[..., :3], parsed.photo * (alpha > 0)[..., None])
    assert parsed.photo[alpha == 0].any()
    assert alpha[14, 26] == 255
    assert alpha[35, 5] == 0
    assert ((alpha > 0) & (alpha < 255)).any()
    # From a probability of a quarter to three quarters.
    np.testing.assert_allclose(alpha, 255 * np.clip(2 * parsed.probability("hair") - 0.5, 0, 1), atol=0.51)


def test_a_cutout_of_a_transparent_photo_is_no_more_opaque(parsed):
    photo = Image.fromarray(np.dstack([parsed.photo, np.full((40, 60), 100, dtype=np.uint8)]))
    alpha = np.asarray(replace(parsed, source=photo).cutout("hair"))[..., 3]
    solid = np.asarray(parsed.cutout("hair"))[..., 3]
    np.testing.assert_allclose(alpha, solid * (100 / 255), atol=1)


def test_scores_of_parts_are_means_over_their_pixels(parsed):
    expected = {name: parsed.confidence[parsed.mask(name)].mean() for name in ("background", "hair")}
    assert abs(expected["background"] - expected["hair"]) > 0.01
    assert {one["label"]: one["score"] for one in parsed.to_segments()} == pytest.approx(expected)
    pytest.importorskip("supervision")
    assert parsed.to_supervision().confidence.tolist() == pytest.approx([expected["hair"]])


def test_a_crop_is_the_box_and_a_margin(parsed):
    left, top, right, bottom = parsed.to_dict()["parts"]["hair"]["extent"]
    assert parsed.crop("hair", margin=0.0).size == (right - left, bottom - top)
    wide = round(0.7 * (right - left))
    assert left < wide
    expected = parsed.photo[max(0, top - wide) : bottom + wide, : right + wide]
    np.testing.assert_array_equal(parsed.crop("hair", margin=0.7), expected)
    room = round(0.1 * (right - left))
    assert parsed.crop().size == (right - left + 2 * room, bottom - top + 2 * room)
    with pytest.raises(ValueError, match="face is not in this photo"):
        parsed.crop("face")


def test_a_notebook_shows_the_photo_under_its_map(parsed, result):
    shown = np.asarray(Image.open(io.BytesIO(parsed._repr_png_())))
    assert shown.shape == (40, 60, 3)
    np.testing.assert_array_equal(shown[35, 5], parsed.photo[35, 5])
    assert Image.open(io.BytesIO(result._repr_png_())).size == (20, 10)


def test_the_overlay_over_the_photo():
    photo = np.full((90, 60, 3), 100, dtype=np.uint8)
    labels = np.zeros((90, 60), dtype=np.uint8)
    labels[20:70, 10:50] = FACE
    result = ParsingResult(labels, LIP, source=photo)
    half = np.array(result.overlay(opacity=0.5))
    assert half[0, 0].tolist() == [100, 100, 100]
    assert half[40, 30].tolist() == [50, 50, 177]
    lined = np.array(result.overlay(opacity=0.0, contours=True))
    assert lined[40, 30].tolist() == [100, 100, 100]
    assert lined[20, 30].tolist() == [0, 0, 255]
    assert lined[19, 30].tolist() == [255, 255, 255]
    named = np.array(result.overlay(opacity=0.0, names=True))
    different = (named != 100).any(axis=2)
    assert different[20:70, 10:50].any()
    assert not different[:20].any()


def test_an_ignored_value_has_no_name():
    labels = np.zeros((60, 60), dtype=np.uint8)
    labels[10:30, 10:30], labels[40:50, 40:50] = FACE, LIP.ignore_index
    named = np.array(ParsingResult(labels, LIP, source=np.full((60, 60, 3), 100, np.uint8)).overlay(0.0, names=True))
    assert (named[10:30, 10:30] != 100).any()
    assert (named[40:50, 40:50] == 100).all()


def test_names_stay_inside_the_photo():
    photo = np.full((60, 200, 3), 100, dtype=np.uint8)
    labels = np.zeros((60, 200), dtype=np.uint8)
    labels[20:40, :6] = LIP.classes.index("upper-clothes")
    named = np.array(ParsingResult(labels, LIP, source=photo).overlay(opacity=0.0, names=True))
    columns = np.flatnonzero((named != 100).any(axis=(0, 2)))
    assert 0 < columns[0] < 6
    assert columns[-1] < 150


def test_the_legend_has_a_row_a_part_the_largest_first(result):
    legend = np.asarray(result.legend())
    assert legend.shape[0] == 2 * 28
    assert [tuple(legend[row, 22]) for row in (14, 42)] == [LIP.palette[FACE], LIP.palette[LEFT_ARM]]
    assert ParsingResult(np.zeros((4, 4), dtype=np.uint8), LIP).legend().height == 28


def test_segments_as_transformers_gives_them(result):
    scores = np.zeros((20, 5, 10), dtype=np.float32)
    segments = ParsingResult(result.labels, LIP, scores).to_segments()
    assert [segment["label"] for segment in segments] == ["background", "face", "left-arm"]
    for segment in segments:
        assert segment["mask"].mode == "L"
        assert segment["mask"].size == (20, 10)
        assert set(np.unique(segment["mask"])) == {0, 255}
        assert segment["score"] == pytest.approx(1 / 20)
    assert result.to_segments()[0]["score"] is None


def test_detections_as_supervision_reads_them(result):
    pytest.importorskip("supervision")
    found = result.to_supervision()
    assert found["class_name"].tolist() == ["face", "left-arm"]
    assert found.class_id.tolist() == [FACE, LEFT_ARM]
    assert found.xyxy.tolist() == [[5, 2, 9, 4], [10, 6, 13, 7]]
    assert found.area.tolist() == [8, 3]
    assert len(found[found.class_id == FACE]) == 1
    assert len(ParsingResult(np.zeros((4, 4), dtype=np.uint8), LIP).to_supervision()) == 0


def test_joints_as_key_points(result):
    points = result.to_keypoints()
    assert len(points) == 27
    assert points[:3] == [6.5, 2.5, 2]
    assert points[3:6] == [0, 0, 0]


def test_a_photo_that_has_changed_is_named(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (30, 20)).save(path)
    labels = np.full((20, 30), 5, dtype=np.uint8)
    scores = np.zeros((20, 2, 2), dtype=np.float32)
    result = ParsingResult(labels, LIP, scores, path)
    assert result.crop().size == (30, 20)
    Image.new("RGB", (31, 20)).save(path)
    for use in (lambda: result.photo, result.crop, result.cutout, result.overlay):
        with pytest.raises(ImageError, match="has changed since it was parsed, from 30 × 20 to 31 × 20 pixels"):
            use()


def test_numbers_out_of_range_are_refused():
    result = ParsingResult(np.full((4, 4), 5, dtype=np.uint8), LIP, source=np.zeros((4, 4, 3), dtype=np.uint8))
    for opacity in (-0.1, 2.0, float("nan")):
        with pytest.raises(ValueError, match="opacity: expected a number from 0 to 1"):
            result.overlay(opacity)
    for margin in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="margin: expected a number from 0"):
            result.crop(margin=margin)


def test_one_person_has_the_colour_of_the_whole_overlay():
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[1:9, 1:9], labels[3:7, 12:16] = 5, 5
    result = ParsingResult(labels, LIP, source=np.zeros((10, 20, 3), dtype=np.uint8))
    whole = np.asarray(result.overlay(people=True))
    second = np.asarray(result.person(1).overlay(people=True))
    assert second[5, 14].tolist() == whole[5, 14].tolist() != whole[5, 5].tolist()
    assert not second[5, 5].any()


def test_the_suffix_says_what_is_saved(tmp_path):
    scores = np.zeros((20, 2, 2), dtype=np.float32)
    result = ParsingResult(np.zeros((4, 4), dtype=np.uint8), LIP, scores)
    result.save(tmp_path / "x.NPZ")
    assert ParsingResult.load(tmp_path / "x.NPZ").scores is not None
    with pytest.raises(ValueError, match=r"expected a name that ends in .png or .npz, got 'x.jpg'"):
        result.save("x.jpg")
