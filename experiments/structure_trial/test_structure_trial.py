import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from experiments.full_size.recipes import piece
from experiments.structure_trial import first_trial, run
from experiments.structure_trial.arms import ARMS, DECIDING, SHARES
from fakes.keypoints import people
from fakes.lip import person
from fakes.sets import SETS
from ssnan.data.datamodule import ParsingData, Source
from ssnan.labels import LIP
from ssnan.losses import LossOptions
from ssnan.models import EdgeBackbone, NeuralAggregation, SSNANWithContext
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.training import ParsingTask
from ssnan.training.cli import train
from ssnan.training.task import SGDOptions

HERE = Path(run.__file__).parent
FIRST = people(left_elbow=(0.77, 0.4), right_elbow=(0.23, 0.4), right_ankle=(0.37, 0.9))


PHOTOS = ["102", "102", "202", "202"]
"""Of the val crops of both test datasets."""


def write_crops(root, first, train=4, val=2):
    """Crops of one person each, two of a COCO photo, with keypoints."""
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    names = [f"{first + number // 2}_{number}" for number in range(train + val)]
    for number, name in enumerate(names):
        photo, labels = person(shift=number)
        Image.fromarray(photo).save(root / "photos" / f"{name}.jpg", quality=95)
        Image.fromarray(labels).save(root / "masks" / f"{name}.png")
    (root / "joints.json").write_text(json.dumps({name: {"joints": FIRST[0].tolist()} for name in names}))
    for split, chosen in (("train", names[:train]), ("val", names[train:])):
        (root / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    values = {
        "name": "lip", "images": "photos", "masks": "masks", "keypoints": "joints.json",
        "classes": {name: list(color) for name, color in zip(LIP.classes, LIP.palette, strict=True)},
        "pairs": [[LIP.classes[left], LIP.classes[right]] for left, right in LIP.flip_pairs],
        "sets": SETS, "splits": {"train": "train.txt", "val": "val.txt"},
    }  # fmt: skip
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return root


def network():
    backbone = EdgeBackbone("resnet10t", [4, 8, 16], width=16, edge_width=8, frozen_batch_norm=True)
    return SSNANWithContext(
        20, backbone, aggregation=NeuralAggregation(20, 2, hidden=8), context_width=8, limb_weight=0.0
    )


@pytest.fixture
def tests(tmp_path):
    return [write_crops(tmp_path / "marks", 100), write_crops(tmp_path / "photos", 200)]


@pytest.fixture
def trial(tmp_path, tests):
    torch.manual_seed(0)
    weights = tmp_path / "trained.safetensors"
    save_file({f"network.{name}": value.contiguous() for name, value in network().state_dict().items()}, weights)
    preprocessing = Preprocessing(longest_side=64)
    data = ParsingData(
        [Source(root, share=1.0, rare=0.3) for root in tests], tests[0], preprocessing=preprocessing,
        crop=(65, 49), batch_size=4, num_workers=0,
    )  # fmt: skip
    loss = LossOptions(iou_weight=0.5, stride=4)
    task = ParsingTask(network(), loss=loss, sgd=SGDOptions(warmup=0), preprocessing=preprocessing)
    return run.Trial(task, data, tests, tmp_path / "out", 4, 4, imagenet=None, converged=weights)


def results(trial):
    return {path: path.stat().st_mtime_ns for path in sorted(trial.output.rglob("*.npz"))}


def test_every_arm_starts_and_no_finished_run_is_repeated(trial, tests, monkeypatch):
    runs = [
        planned
        for planned in run.order([0])
        if planned.share == SHARES[0] and (planned.base == "early" or planned.arm == "none")
    ]
    for planned in runs:
        trial.run(planned)
    kept = results(trial)
    assert len(kept) == len(runs) + len(run.RATES)
    with np.load(trial.output / runs[0].path) as found:
        assert found["pixels"].shape == (2, 3, 20)  # of the marked photos alone
        assert found["sides"].shape == (4, 1, 4)
        assert found["sides"][:, 0, 0].tolist() == [3] * 4
        assert found["photos"].tolist() == PHOTOS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "training", lambda *arguments: pytest.fail("trained again"))
        for planned in runs:
            trial.run(planned)
        again = run.Trial(trial.task, trial.data, tests, trial.output, 4, 4, None, trial.converged)
        assert {*again.base("early").state_dict()} == {*network().state_dict()}
    assert results(trial) == kept
    trial.run(run.Run("early", "none", SHARES[0], 1))
    assert set(results(trial)) - set(kept) == {trial.output / "early/none/seed1.npz"}

    path = run.tables(trial.output, [0, 1])
    lines = path.read_text().splitlines()
    rows = [line for line in lines if line.startswith("right sides,early,")]
    assert len(rows) == len(ARMS) + 1
    assert re.fullmatch(r"right sides,early,none,,2,\d+\.\d\d,,,", rows[1])
    [weighted] = [row for row in rows if ",weighted," in row]
    assert re.search(r",0\.3,1,\d+\.\d\d,[+-]\S+ \(.+\),[+-]\S+ \(.+\),[+-]\S+ \(.+\)$", weighted)


def test_arms_of_a_seed_start_alike_and_see_the_same_crops(trial, monkeypatch):
    seen = []

    def watch(network, loss, data, sgd, device):
        batches = torch.cat([batch["images"].sum(dim=(1, 2, 3)) for batch in data.train_dataloader(device)])
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        seen.append((batches, weights, sgd.learning_rate))
        return iter(())

    trial.base("converged")
    monkeypatch.setattr(run, "training", watch)
    for arm, seed in (("none", 0), ("weighted", 0), ("none", 1)):
        trial.run(run.Run("converged", arm, SHARES[0], seed))
    (first, weights, rate), (second, same, same_rate), (other, *_) = seen
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert rate == same_rate == run.RATES["converged"]
    assert all(torch.equal(value, same[name]) for name, value in weights.items())


def test_early_is_the_end_of_a_step_without_structure(trial):
    before = {name: value.clone() for name, value in trial.task.network.state_dict().items()}
    trial.base("early")
    stored = load_file(trial.output / "early.safetensors")
    assert stored["network.classifier.weight"].dtype == torch.float16
    assert not torch.allclose(stored["network.classifier.weight"].float(), before["classifier.weight"], atol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in trial.task.network.state_dict().items())


def test_the_order_has_every_run_once_and_what_decides_first():
    runs = run.order(range(5))
    assert len({planned.path for planned in runs}) == len(runs) == 5 * 2 * (10 + 2 * 7)
    assert {planned.share for planned in runs[:100]} == {SHARES[0]}
    assert {planned.arm for planned in runs[:70]} == set(DECIDING)
    assert [(planned.base, planned.seed) for planned in runs[:70:7]] == [
        (base, seed) for base in ("converged", "early") for seed in range(5)
    ]


def test_a_test_photo_may_not_be_a_training_photo(tests):
    run.refuse_known_people(tests)
    (tests[1] / "train.txt").write_text("202_4\n")
    with pytest.raises(SystemExit, match="COCO photo 202 is in train and in val"):
        run.refuse_known_people(tests)


@pytest.mark.parametrize("also", [[], ["gpu.yaml"]])
def test_the_recipe_keeps_the_base_and_leaves_out_what_asks_for_sides(also, capsys):
    printed = []
    for configs in (["bundled/gpu", piece("sources")], [str(run.RECIPE), *(str(HERE / name) for name in also)]):
        with pytest.raises(SystemExit) as ended:
            train([*(word for config in configs for word in ("--config", config)), "--print_config"])
        assert ended.value.code == 0
        printed.append(yaml.safe_load(capsys.readouterr().out))
    base, own = printed
    left_out = {"runs/taught/athletes", "runs/taught/ccp-marks"}
    assert own["data"]["sources"] == [source for source in base["data"]["sources"] if source["root"] not in left_out]
    for name in ("pasting", "rotation", "photometric", "bars", "scale", "crop_around_person"):
        assert own["data"][name] == base["data"][name], name
    assert own["data"]["resident_side"] == (377 if also else None)
    assert own["model"]["loss"] == base["model"]["loss"] | {"side_weight": 0}
    assert base["model"]["network"]["init_args"] == own["model"]["network"]["init_args"] | {"limb_weight": 2}
    assert own["data"]["samples_per_epoch"] is not None


def test_the_first_trial_prints_its_table(capsys):
    first_trial.print_tables(first_trial.read(first_trial.TABLE))
    printed = capsys.readouterr().out
    assert "| none | 41.78 | 49.97 | 31.00 | 3.45 | 12.60 | 2.28 |" in printed
    assert "-1.04 ± 0.74 (-1.46 … -0.74)" in printed


def test_the_kept_table_is_that_of_the_kept_counts(tmp_path):
    shutil.copytree(HERE / "counts", tmp_path / "counts")
    assert run.tables(tmp_path / "counts", [0, 1, 2]).read_bytes() == (HERE / "results.csv").read_bytes()
