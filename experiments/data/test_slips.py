import sys

import numpy as np
import pytest
from PIL import Image

from experiments.data import slips
from experiments.data.slips import Slip, corrected, read_slips
from ssnan.labels import LIP

COAT, DRESS, SKIRT, UPPER = (LIP.classes.index(name) for name in ("coat", "dress", "skirt", "upper-clothes"))


def test_a_line_names_classes_and_points(tmp_path):
    path = tmp_path / "slips.txt"
    path.write_text("one: dress > skirt\ntwo: coat@46,30.5 > ignore ; upper-clothes > coat\n")
    assert read_slips(path) == {
        "one": [Slip(DRESS, SKIRT)],
        "two": [Slip(COAT, 255, (46, 30.5)), Slip(UPPER, COAT)],
    }


@pytest.mark.parametrize("line", ["one: dress", "one dress > skirt", "one: dress@4 > skirt"])
def test_a_wrong_line_is_named(tmp_path, line):
    (tmp_path / "slips.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=line):
        read_slips(tmp_path / "slips.txt")


def test_two_classes_change_places():
    labels = np.array([[COAT, UPPER], [0, UPPER]], dtype=np.uint8)
    result = corrected(labels, [Slip(COAT, UPPER), Slip(UPPER, COAT)])
    assert result.tolist() == [[UPPER, COAT], [0, COAT]]


def test_a_point_means_one_region():
    labels = np.array([[DRESS, 0, DRESS]], dtype=np.uint8)
    assert corrected(labels, [Slip(DRESS, SKIRT, (90, 50))]).tolist() == [[DRESS, 0, SKIRT]]


@pytest.mark.parametrize("slip", [Slip(COAT, DRESS), Slip(DRESS, SKIRT, (50, 50))])
def test_a_slip_that_is_not_there_is_refused(slip):
    with pytest.raises(ValueError, match="the mask has no"):
        corrected(np.array([[DRESS, 0, DRESS]], dtype=np.uint8), [slip])


def test_the_copy_has_corrected_masks_in_their_palette(tmp_path, monkeypatch):
    masks = tmp_path / "data" / "TrainVal_parsing_annotations" / "val_segmentations"
    masks.mkdir(parents=True)
    for name in ("one", "two"):
        mask = Image.fromarray(np.full((2, 2), DRESS, dtype=np.uint8))
        mask.putpalette([1, 2, 3] * 256)
        mask.save(masks / f"{name}.png")
    (tmp_path / "slips.txt").write_text("one: dress > skirt\n")
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["slips", str(tmp_path / "data"), str(tmp_path / "slips.txt"), "-o", str(out)])
    slips.main()
    copies = out / masks.relative_to(tmp_path / "data")
    with Image.open(copies / "one.png") as one, Image.open(copies / "two.png") as two:
        assert np.unique(np.asarray(one)).tolist() == [SKIRT]
        assert np.unique(np.asarray(two)).tolist() == [DRESS]
        assert one.getpalette()[:3] == [1, 2, 3]
