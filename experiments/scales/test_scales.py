import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from experiments.fusion_heads.heads import Residual
from experiments.scales import run
from experiments.scales.comparison import MODULE, small_and_large
from experiments.scales.folds import FOLDS, fold_of, held_out, photos_of_fold, train_without, whole
from experiments.scales.residual import ResidualAggregation
from fakes.lip import write_lip
from ssnan.data.datamodule import ParsingData, Source
from ssnan.evaluation.report import markdown
from ssnan.models import NeuralAggregation
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.training.cli import train

HERE = Path(run.__file__).parent


@pytest.mark.parametrize("count", [9, 10, 11, 903])
def test_folds_are_disjoint_and_complete(count):
    folds = [photos_of_fold(count, fold) for fold in range(FOLDS)]
    assert sorted(np.concatenate(folds)) == list(range(count))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert (np.diff(fold_of(count)) >= 0).all()  # neighbours stay together
    for fold in range(FOLDS):
        chooses = held_out(count, fold)
        assert len(chooses) == (count - len(folds[fold])) // 5
        assert not set(chooses) & set(folds[fold])


def data_of(root):
    data = ParsingData(
        [Source(root, share=1.0), Source(root, share=1.0)], root, preprocessing=Preprocessing(longest_side=64),
        crop=(65, 49), batch_size=2, samples_per_epoch=60, num_workers=0,
    )  # fmt: skip
    data.setup("fit")
    return data


def test_the_whole_dataset_is_in_the_order_of_its_numbers(tmp_path):
    folder = whole(write_lip(tmp_path / "lip", train=12, val=3))
    assert [pair.id for pair in folder.pairs[:4]] == ["train_0", "val_0", "train_1", "val_1"]
    assert [pair.id for pair in folder.pairs[-2:]] == ["train_10", "train_11"]
    assert len(folder) == 15


@pytest.mark.parametrize("resident", [None, 32])
def test_a_test_photo_is_never_drawn(tmp_path, resident):
    data = data_of(write_lip(tmp_path / "lip", train=6, val=3))
    data.train_folders[0] = whole(data.sources[0].root)
    data.resident_side = resident
    for fold in range(FOLDS):
        train_without(data, photos_of_fold(9, fold))
        if resident is None:
            drawn = {photo for source, photo in data.train_dataloader().dataset.order if source == 0}
        else:
            _, index = data.train_dataloader().dataset.tensors
            drawn = {photo for photo in index.tolist() if photo < 9}
        assert drawn == set(range(9)) - set(photos_of_fold(9, fold).tolist())


@pytest.fixture
def budget(tmp_path):
    root = write_lip(tmp_path / "lip", train=7, val=2)
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(
        yaml.safe_dump(
            {
                "data": {
                    "sources": [{"root": str(root), "share": 1}], "validation": str(root), "crop": [65, 49],
                    "preprocessing": {"longest_side": 64}, "batch_size": 2, "num_workers": 0,
                },
                "model": {
                    "network": {"init_args": {"backbone": {"init_args": {
                        "name": "resnet10t",
                                    "resnet": "v1.5", "stage": 2, "output_stride": 8, "frozen": [],
                    }}}},
                    "backbone_weights": None,
                },
            }
        )
    )  # fmt: skip
    return run.Budget([run.CONFIGS / "budget.yaml", tiny], tmp_path / "out", tuning=4, curve=(2, 4))


def test_every_arm_starts_and_goes_on_where_it_stopped(budget, monkeypatch, capsys):
    monkeypatch.setattr(run, "RATES", (0.004, 0.012))
    with pytest.raises(SystemExit, match="no fold is finished"):
        run.tables(budget.output)
    run.go_on(budget, minutes=-1)
    assert not budget.output.exists()
    monkeypatch.setattr(run, "FOLDS", 1)
    run.go_on(budget, minutes=10)
    finished = {path: path.stat().st_mtime_ns for path in sorted(budget.output.rglob("*.*"))}
    assert len(finished) == len(run.ARMS) * 3
    with np.load(run.result_of(budget.output, MODULE, 0)) as found:
        assert {name: found[name].shape for name in ("half", "own", "double")} == dict.fromkeys(run.SIZES, (3, 3, 20))
        assert found["after 2"].shape == (3, 20)
        assert np.array_equal(found["after 4"], found["own"].sum(axis=0))
        assert found["rate"] == run.RATES[found["reached"].argmax()]
    monkeypatch.setattr(run, "training", lambda *arguments: pytest.fail("trained again"))
    run.go_on(budget, minutes=10)
    assert {path: path.stat().st_mtime_ns for path in sorted(budget.output.rglob("*.*"))} == finished

    results, curve, rates = run.tables(budget.output)
    assert [row[0] for row in results[1::2]] == ["mean IoU", "mean IoU at half size", "mean IoU at double size"]
    assert results[2][0] == f"{MODULE} minus the arm"  # parts in few photos are neither small nor large nor frequent
    assert curve[0] == ["mean IoU after crops", "2", "4"]
    assert rates[0] == ["mean IoU of the rate", "0.004", "0.012", "chosen"]
    assert [row[0] for row in rates[1:]] == [*run.ARMS]


def test_the_best_rate_is_taken(budget):
    for rate, reached in zip(run.RATES, (20.0, 31.0, 25.0), strict=True):
        path = run.rate_of(budget.output, MODULE, 0, rate)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(reached))
    budget.train(MODULE, 0)
    with np.load(run.result_of(budget.output, MODULE, 0)) as found:
        assert found["rate"] == run.RATES[1]
        assert found["reached"].tolist() == [20, 31, 25]


def test_a_rate_that_diverges_reaches_nothing(budget):
    budget.tune("average", 0, 1e9)
    assert json.loads(run.rate_of(budget.output, "average", 0, 1e9).read_text()) == float("-inf")


def test_readme_prints_what_is_kept_here(capsys):
    readme = (HERE / "README.md").read_text()
    for rows in run.tables(HERE / "counts"):
        assert markdown(rows) in readme


def test_small_and_large_parts_by_hand():
    true = np.zeros((30, 3, 4), dtype=np.int64)
    true[:, 1] = [900, 5, 95, 0]
    true[:3, 1, 3] = 1
    assert small_and_large(true) == ([1], [2])  # class 3 is in few photos


def test_arms_differ_in_the_fusion_alone(capsys):
    seen = {}
    for arm, config in run.ARMS.items():
        with pytest.raises(SystemExit):
            train(["--config", str(config), "--config", str(run.CONFIGS / "budget.yaml"), "--print_config"])
        values = yaml.safe_load(capsys.readouterr().out)
        values["model"]["network"]["init_args"].pop("aggregation", None)
        if arm == "one scale":
            assert values["model"]["network"]["init_args"].pop("scales") == [1.0]
            assert values["model"]["loss"].pop("deep_supervision") is False
        else:
            assert values["model"]["network"]["init_args"].pop("scales") == [0.5, 0.75, 1.0]
            assert values["model"]["loss"].pop("deep_supervision") is True
        seen[arm] = values
    assert all(values == seen[MODULE] for values in seen.values())


def test_the_residual_has_the_parameters_of_the_module():
    def size(module):
        return sum(parameter.numel() for parameter in module.parameters())

    own = ResidualAggregation(20, 3)
    assert size(own) == size(Residual(20, 3, 512)) == pytest.approx(size(NeuralAggregation(20, 3)), rel=0.005)
    maps = [torch.randn(1, 20, 5, 4) for _ in range(3)]
    fused, weights = own(maps)
    assert weights is None
    assert fused.shape == maps[0].shape


def test_the_curve_ends_with_the_training_in_whole_steps():
    batch = yaml.safe_load((run.RIVALS / "data.yaml").read_text())["batch_size"]
    assert run.CURVE[-1] == 9_600
    assert not any(crops % batch for crops in (*run.CURVE, run.TUNING))
