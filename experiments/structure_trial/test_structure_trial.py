import json

import numpy as np
import pytest
from PIL import Image

from experiments.structure_trial import run
from fakes.lip import person, write_lip
from ssnan.data.layouts import open_split
from ssnan.labels import LIP

BY_SEED = {"none": [0.4, 0.4], "product": [0.5, 0.7]}


def test_harder_pictures_keep_their_labels(tmp_path):
    root = tmp_path / "pictures"
    run.write_pictures(write_lip(tmp_path / "lip"), root)
    samples = {sample.id: sample for sample in open_split(root, "val")}
    assert len(samples) == 6
    plain, turned, part = (samples[f"{version}_val_0"] for version in ("plain", "turned", "part"))
    assert np.array_equal(plain.labels, person()[1])
    assert turned.labels.shape > plain.labels.shape
    assert {255} == set(np.unique(turned.labels)) - set(np.unique(plain.labels))
    # Seen from the front the left arm is on our right, in the mirror too.
    columns = {name: np.nonzero(part.labels == LIP.classes.index(name))[1].mean() for name in ("left-arm", "right-arm")}
    assert columns["left-arm"] > columns["right-arm"]
    for sample in (plain, turned, part):  # the fake photo is its labels' colours, darkened
        expected = LIP.color_table[np.where(sample.labels == 255, 0, sample.labels)] // 2 + 60
        known = sample.labels != 255
        assert np.abs(expected.astype(int) - sample.image)[known].mean() < 12


def test_differences_by_hand():
    base, arm = (run.Row("limb IoU", "all", 2, name, values, (0.2, 0.2)) for name, values in BY_SEED.items())
    assert run.difference(arm, base) == "+0.20 ± 1.27 (+0.20 … +0.20)"


def test_tables_of_finished_runs(tmp_path, capsys):
    names = [f"{version}_{index}" for version in ("plain", "turned", "part") for index in range(2)]
    for number, arm in enumerate(run.ARMS):
        for seed in (0, 1):
            folder = tmp_path / arm / f"seed{seed}"
            folder.mkdir(parents=True)
            counts = np.tile(np.array([[5 + number], [10], [10]]), (1, 20)).tolist()
            (folder / "pictures.json").write_text(json.dumps(dict.fromkeys(names, counts)))
            structure = {"limb_pairs_exchanged": 7, "hard_joint_offset": 0.03, "hard_joints_missed": 0.01,
                         "calibration_error": 0.04}  # fmt: skip
            (folder / "results.json").write_text(json.dumps({"structure": structure}))
    (tmp_path / "ambiguity.json").write_text(json.dumps({name: index / 10 for index, name in enumerate(names)}))
    run.write(run.measured(tmp_path, [0, 1]), tmp_path / "results.csv")
    run.print_tables(run.read(tmp_path / "results.csv"))
    printed = capsys.readouterr().out
    base, product = 100 * 5 / 15, 100 * 6 / 14
    assert f"| none | {base:.2f} | {base:.2f} | 7.00 | 3.00 | 1.00 | 4.00 |" in printed
    gain = f"{product - base:+.2f}"
    assert f"| sides ambiguous (2) | {gain} ± 0.00 ({gain} … {gain}) |" in printed
    assert printed.count("| turned (2) |") == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_part_is_between_a_third_and_two_thirds_of_the_person(seed):
    photo, labels = person(960, 640)
    versions = run.harder(Image.fromarray(photo), Image.fromarray(labels), np.random.default_rng(seed))
    height = versions["part"][0].height
    assert 880 / 3 - 1 <= height <= 2 * 880 / 3
    assert versions["part"][0].size == versions["part"][1].size
