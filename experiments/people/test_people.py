import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import ssnan
from experiments.people import coco128
from experiments.people.compare import compare
from experiments.people.heads import Stored, inputs_of_head, learn, start
from experiments.people.photos import write as write_photos
from experiments.people.scenes import write
from fakes.lip import write_lip
from ssnan.data.layouts import open_split
from ssnan.data.pasting import PastedScenes
from ssnan.labels import LIP, UNKNOWN_PERSON
from ssnan.models import EdgeBackbone, SSNANWithPeople


def test_scenes_are_a_dataset_that_tells_people_apart(tmp_path: Path):
    (tmp_path / "scenes").mkdir()
    Image.fromarray(np.full((60, 80, 3), 90, dtype=np.uint8)).save(tmp_path / "scenes" / "s.png")
    folder = open_split(write_lip(tmp_path / "lip"), "train")
    write(PastedScenes(tmp_path / "scenes", [folder], LIP), tmp_path / "out", count=5, seed=1)
    found = open_split(tmp_path / "out", "val")
    assert len(found) == 5
    assert found.label_set.agrees_with(LIP)
    for index in range(5):
        sample = found[index]
        np.testing.assert_array_equal(sample.instances > 0, sample.labels > 0)


def test_a_dataset_without_people_told_apart_is_refused(tmp_path: Path):
    folder = open_split(write_lip(tmp_path / "lip"), "train")
    with pytest.raises(SystemExit, match="expected a dataset that tells people apart"):
        compare(ssnan.load(threads=1), [folder[0]], folder.label_set)


def test_the_head_reads_the_same_stored_or_not_and_learns(tmp_path: Path):
    torch.manual_seed(0)
    backbone = EdgeBackbone("resnet26", [4, 8, 16], width=16, edge_width=8, frozen_batch_norm=True)
    network = SSNANWithPeople(len(LIP), backbone, heads_only=True, context_width=8).eval()
    images, instances = torch.randn(2, 3, 64, 96), torch.zeros(2, 64, 96, dtype=torch.long)
    instances[:, 10:50, 10:40], instances[:, 10:50, 50:80] = 1, 2
    with torch.no_grad():
        deep, features = inputs_of_head(network, images)
        torch.testing.assert_close(network.people(deep, features), network(images).people)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stored = Stored(deep=deep, features=features, instances=instances, heads=instances > 1)
    torch.save(stored, tmp_path / "0.pt")
    learn(network, [tmp_path / "0.pt"], epochs=3, rate=1e-2)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("people.") for name in changed)


def test_the_trunk_and_the_head_may_come_from_two_files(tmp_path: Path):
    def network() -> SSNANWithPeople:
        backbone = EdgeBackbone("resnet26", [4, 8, 16], width=16, edge_width=8)
        return SSNANWithPeople(len(LIP), backbone, context_width=8)

    trunk, head, untrained = network(), network(), network()
    new = {name: value.clone() for name, value in untrained.state_dict().items()}
    for name, of in (("trunk", trunk), ("head", head)):
        state = {f"network.{key}": value for key, value in of.state_dict().items()}
        save_file(state, tmp_path / f"{name}.safetensors")
    start(untrained, str(tmp_path / "trunk.safetensors"))
    for name, value in untrained.state_dict().items():
        assert torch.equal(value, (new if name.startswith("people.") else trunk.state_dict())[name]), name
    start(untrained, str(tmp_path / "trunk.safetensors"), str(tmp_path / "head.safetensors"))
    for name, value in untrained.state_dict().items():
        assert torch.equal(value, (head if name.startswith("people.") else trunk).state_dict()[name]), name


def test_photos_of_one_person_and_of_several_are_two_datasets(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    person = np.zeros((17, 3)).tolist()
    for name in "abc":
        Image.fromarray(np.full((60, 40, 3), 90, dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    entries = {"a": {"joints": person}, "b": {"joints": person, "others": [person]}}
    (tmp_path / "joints.json").write_text(json.dumps(entries))
    assert write_photos(tmp_path, tmp_path / "out", ssnan.load(threads=1)) == {"alone": 1, "groups": 1}
    lists = {kind: (tmp_path / "out" / kind / "train.txt").read_text().split() for kind in ("alone", "groups")}
    assert lists == {"alone": ["a"], "groups": ["b"]}
    assert len(open_split(tmp_path / "out" / "groups", "train")[0].keypoints) == 2


def test_photos_of_coco128_are_a_dataset_of_whole_people(tmp_path: Path):
    for folder in ("images", "labels"):
        (tmp_path / folder / "train2017").mkdir(parents=True)
    for name in ("1", "2", "3", "4", "5"):
        Image.fromarray(np.full((150, 200, 3), 90, dtype=np.uint8)).save(tmp_path / "images/train2017" / f"{name}.jpg")
    large, small = "0 0.1 0.1 0.7 0.1 0.7 0.9 0.1 0.9", "0 0.8 0.1 0.9 0.1 0.9 0.2 0.8 0.2"
    objects = {"1": [large, small], "2": ["7 0.1 0.1 0.2 0.1 0.2 0.2"], "4": [small], "5": [large]}
    for name, lines in objects.items():
        (tmp_path / "labels/train2017" / f"{name}.txt").write_text("\n".join(lines))
    (tmp_path / "seen" / "photos").mkdir(parents=True)
    (tmp_path / "seen" / "photos" / "5_77.webp").touch()
    assert coco128.write(tmp_path, tmp_path / "all") == {"all": 3, "even": 2, "odd": 1}
    known = coco128.known_photos(tmp_path / "seen")
    assert coco128.write(tmp_path, tmp_path / "out", known) == {"all": 2, "even": 1, "odd": 1}
    whole, alone = (open_split(tmp_path / "out", split)[0].instances for split in ("all", "large"))
    assert whole is not None
    assert alone is not None
    assert (whole == 1).sum() == 120 * 120
    assert (whole == 2).any()
    assert (alone[whole == 2] == UNKNOWN_PERSON).all()
    assert [pair.id for pair in open_split(tmp_path / "out", "large-odd").pairs] == ["4"]
    assert [pair.id for pair in open_split(tmp_path / "out", "even").pairs] == ["1"]
