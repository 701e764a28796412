"""Masks that name sets of classes, on their way from a file to a batch."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision import tv_tensors

from fakes.lip import person, write_lip
from fakes.sets import SETS, half_labelled, write_sets
from ssnan.commands import main
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.data.transforms import MirrorWithSwap
from ssnan.labels import LIP, ClassSet
from ssnan.parsing.preprocessing import Preprocessing


@pytest.fixture
def root(tmp_path):
    return write_sets(tmp_path / "half")


def test_a_folder_reads_them(root):
    folder = open_split(root, "train")
    assert [class_set.value for class_set in folder.label_set.sets] == list(SETS)
    assert folder.label_set.agrees_with(LIP)
    np.testing.assert_array_equal(folder[1].labels, half_labelled(person(shift=1)[1]))


def test_a_value_that_is_no_set_is_refused(root):
    Image.fromarray(np.full((96, 64), 103, np.uint8)).save(root / "masks" / "h0.png")
    with pytest.raises(DatasetError, match=r"label id 103.*one of its sets"):
        open_split(root, "train")[0]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({7: ["hat", "hair"]}, "in 100..255"),
        ({255: ["hat", "hair"]}, "not the ignored 255"),
        ({100: ["hat"]}, "two classes or more"),
        ({100: ["hat", "gold"]}, "'gold' is not a class"),
        (["hat"], "expected 'mask value"),
    ],
)
def test_wrong_sets_are_named(root, sets, message):
    values = yaml.safe_load((root / "dataset.yaml").read_text()) | {"sets": sets}
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(DatasetError, match=message):
        open_split(root, "train")


def test_the_mirror_image_of_a_set_is_a_set():
    labels = replace(LIP, sets=(ClassSet(100, (14, 16)),)).united([])
    assert {class_set.class_ids for class_set in labels.sets} == {(14, 16), (15, 17)}
    mask = tv_tensors.Mask(torch.tensor([[100, 14], [101, 255]], dtype=torch.uint8))
    assert MirrorWithSwap(labels, 1.0)(mask).tolist() == [[15, 101], [255, 100]]


def test_sources_with_sets_of_their_own_meet_in_one_numbering(root, tmp_path):
    other = write_sets(tmp_path / "other")
    text = (other / "dataset.yaml").read_text()
    values = yaml.safe_load(text)
    values["sets"] = {100: SETS[101], 101: SETS[100], 102: SETS[102]}
    (other / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for mask in (other / "masks").iterdir():
        ids = np.array(Image.open(mask))
        Image.fromarray(np.where(ids == 100, 101, np.where(ids == 101, 100, ids)).astype(np.uint8)).save(mask)
    one, two = open_split(root, "train").label_set, open_split(other, "train").label_set
    whole = LIP.united([one, two])
    assert len(whole.sets) == 4  # the three, and the mirror image of the third
    np.testing.assert_array_equal(
        one.values_in(whole)[half_labelled(person()[1])], two.values_in(whole)[open_split(other, "train")[0].labels]
    )


@pytest.mark.parametrize("resident", [None, 96], ids=["disk", "memory"])
def test_batches_hold_classes_and_sets(root, tmp_path, resident):
    data = ParsingData(
        [Source(root), Source(write_lip(tmp_path / "lip"))],
        root,
        preprocessing=Preprocessing(longest_side=96),
        crop=(96, 64),
        scale=(1.0, 1.0),
        batch_size=8,
        num_workers=0,
        resident_side=resident,
    )
    data.setup("fit")
    [batch] = data.train_dataloader()
    labels = data.on_after_batch_transfer(batch, 0)["labels"]
    seen = {int(value) for value in labels.unique()} - {255}
    members = {class_set.value: set(class_set.class_ids) for class_set in data.label_set.sets}
    assert seen >= {0, 2, 13, 5} and seen & set(members)  # noqa: PT018
    for value in seen:
        assert value < 20 or value in members
    # A set and a drawn person agree wherever both are known.
    assert {14, 16} in members.values() and {15, 17} in members.values()  # noqa: PT018


def test_data_check_counts_them(root, capsys):
    main(["data", "check", str(root)])
    printed = capsys.readouterr().out
    assert "left-leg" in printed
    assert "all but background" in printed
    assert "label id" not in printed


def test_evaluate_judges_what_can_be_judged(root, tmp_path, capsys):
    target = tmp_path / "n.json"
    assert main(["evaluate", "--data", str(root), "--json", str(target)]) == 0
    numbers = json.loads(target.read_text())
    assert np.shape(numbers["confusion"]) == (23, 20)
    assert set(numbers["sets"]) >= {"one of upper-clothes, coat", "all but background"}
    assert 0 <= numbers["person"]["iou"]["person"] <= 1
    assert "person against background" in capsys.readouterr().out
