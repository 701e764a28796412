import os
import pickle
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch

from ssnan import load
from ssnan.commands import main
from ssnan.models import ParsingNetwork, ParsingOutput
from ssnan.models.initial_weights import read_network, read_weights
from ssnan.parsing.card import ModelError
from ssnan.training.checkpoint import read_content, read_task
from ssnan.training.cli import train
from ssnan.training.resume import LastingOptions, where_it_stopped
from ssnan.training.task import ParsingTask, TrainingError

TOOL = Path(__file__).parents[2] / "tools" / "plain_checkpoint.py"


class Evil:
    """Unpickled, it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def content(plain_run):
    return torch.load(plain_run / "checkpoints" / "best.ckpt", weights_only=True)


@pytest.fixture
def evil(content, tmp_path):
    """A checkpoint that is right in all but one value, and the folder that its code makes."""
    target = tmp_path / "made by the file"
    content["hyper_parameters"]["sgd"]["warmup"] = Evil(target)
    torch.save(content, tmp_path / "evil.ckpt")
    return tmp_path / "evil.ckpt", target


def test_no_way_into_a_checkpoint_runs_its_code(evil, config, lip_root, tmp_path, capsys):
    checkpoint, target = evil
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    shutil.copy(checkpoint, run / "last.ckpt")
    training = ["train", "--config", config, "--output", str(run.parent)]
    for command in (
        ["parse", "--model", str(checkpoint), str(lip_root), "-o", str(tmp_path / "out")],
        ["evaluate", "--model", str(checkpoint), "--data", str(lip_root)],
        ["export", "--model", str(checkpoint), "-o", str(tmp_path / "n.onnx")],
        ["train", "--config", config, "--output", str(tmp_path / "new"), "--model.start_from", str(checkpoint)],
        ["train", "--config", config, "--output", str(tmp_path / "new"), "--model.backbone_weights", str(checkpoint)],
        training,
    ):
        assert main(command) != 0
        error = capsys.readouterr().err
        assert "Traceback" not in error
        assert not target.exists(), command
    with pytest.raises(ModelError, match=r"could run foreign code.* tools/plain_checkpoint\.py"):
        read_task(checkpoint)
    for read in (read_network, read_weights):
        with pytest.raises(ValueError, match="cannot be read"):
            read(str(checkpoint))
    assert not target.exists()


def test_a_text_is_not_called_dangerous(tmp_path):
    (tmp_path / "recipe.yaml").write_text("output: runs/own\ndata: {batch_size: 8}\n")
    with pytest.raises(ModelError, match="damaged, or not a checkpoint") as caught:
        read_task(tmp_path / "recipe.yaml")
    assert "weights_only" not in str(caught.value)  # torch advises to read it unsafely


@pytest.mark.parametrize(
    "network",
    [
        {"class_path": "subprocess.Popen", "init_args": {"args": ["true"]}},
        {"class_path": "antigravity.Net"},
        {"class_path": "ssnan.models.building.importlib"},
        {"class_path": "not_installed.Net"},
        {"class_path": "ssnan.models.NeuralAggregation", "init_args": {"channels": 3, "num_scales": 2}},
        {"class_path": "ssnan.models.SSNAN", "init_args": {"num_classes": 20, "backbone": "ssnan.models.Backbone"}},
        {
            "class_path": "ssnan.models.SSNAN",
            "init_args": {
                "num_classes": 20,
                "backbone": {"class_path": "ssnan.models.Backbone", "init_args": {"name": "hf-hub:somebody/something"}},
            },
        },
        {"class_path": ["ssnan.models.SSNAN"]},
        "ssnan.models.SSNAN",
        None,
    ],
)
def test_only_networks_that_are_loaded_are_built(content, tmp_path, network, monkeypatch):
    monkeypatch.setitem(sys.modules, "not_installed", None)  # as import marks what it must not find
    content["hyper_parameters"]["network"] = network
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match="not a checkpoint of 'ssnan train'") as caught:
        read_task(tmp_path / "other.ckpt")
    assert str(caught.value).isprintable()


class Constant(ParsingNetwork):
    """A network of somebody's own, in a module that runs already."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scores = torch.nn.Parameter(torch.zeros(num_classes))

    def forward(self, images):
        return ParsingOutput(self.scores[None, :, None, None].expand(len(images), -1, 3, 3))

    def new_parameters(self):
        return [self.scores]

    def load_backbone(self, weights):
        raise ValueError("it has none")


def test_a_network_of_one_s_own_is_built_once_it_is_imported(content, tmp_path):
    path = f"{Constant.__module__}.{Constant.__qualname__}"
    content["hyper_parameters"]["network"] = {"class_path": path, "init_args": {"num_classes": 20}}
    content["state_dict"] = {"network.scores": torch.arange(20.0)}
    torch.save(content, tmp_path / "own.ckpt")
    assert read_task(tmp_path / "own.ckpt").network.scores[19] == 19


def flat(values):
    """The hyperparameters of a checkpoint as they were before the loss and the optimizer had groups of their own."""
    loss = dict(values["loss"])
    joint, stride = loss.pop("joint"), loss.pop("stride")
    old = {name: value for name, value in values.items() if name not in ("loss", "sgd")}
    old |= {f"joint_{name}": value for name, value in joint.items() if name != "detach_centers"}
    return old | loss | values["sgd"] | {"detach_centers": joint["detach_centers"], "loss_stride": stride}


def test_checkpoints_with_options_in_one_row_are_still_models(content, plain_run, tmp_path):
    content["hyper_parameters"] = flat(content["hyper_parameters"])
    assert {"joint_form", "loss_stride", "learning_rate", "warmup"} <= content["hyper_parameters"].keys()
    torch.save(content, tmp_path / "old.ckpt")
    old, new = (read_task(path) for path in (tmp_path / "old.ckpt", plain_run / "checkpoints" / "best.ckpt"))
    image = torch.zeros(1, 3, 65, 49)
    torch.testing.assert_close(old.network(image).scores, new.network(image).scores)
    assert old.hparams["learning_rate"] == new.hparams["sgd"]["learning_rate"]


def test_a_run_goes_on_from_a_checkpoint_with_options_in_one_row(content, plain_run, tmp_path):
    options = LastingOptions({})
    options.values = dict(content["callbacks"][options.state_key])
    before = {name.replace("model.sgd.", "model."): value for name, value in options.values.items()}
    assert "model.learning_rate" in before
    content["callbacks"][options.state_key] = before
    torch.save(content, tmp_path / "old.ckpt")
    options.refuse_others(tmp_path / "old.ckpt")
    options.values["model.sgd.momentum"] = 7
    with pytest.raises(TrainingError, match=r"the interrupted run has model\.sgd\.momentum 0\.9, this one 7"):
        options.refuse_others(tmp_path / "old.ckpt")


def test_other_labels_than_the_network_has_are_refused(content, tmp_path):
    labels = content["hyper_parameters"]["label_set"]
    labels |= {"classes": labels["classes"][:7], "palette": labels["palette"][:7]}
    labels |= {"flip_pairs": [], "regions": [], "table_order": []}
    torch.save(content, tmp_path / "seven.ckpt")
    with pytest.raises(ModelError, match="its network has 20 classes, but its label set 7"):
        read_task(tmp_path / "seven.ckpt")


@pytest.mark.parametrize("damage", [lambda old: b"", lambda old: b"text", lambda old: old[: len(old) // 2]])
def test_damaged_checkpoints_are_one_line(plain_run, tmp_path, damage):
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(damage((plain_run / "checkpoints" / "best.ckpt").read_bytes()))
    with pytest.raises(ModelError, match="damaged, or not a checkpoint") as caught:
        read_task(path)
    assert str(caught.value).isprintable()


def test_a_file_of_one_s_own_is_made_plain(content, tmp_path, monkeypatch):
    content["hyper_parameters"]["start_from"] = Path("somewhere")
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.raises(ModelError, match="tools/plain_checkpoint"):
        read_task(tmp_path / "old.ckpt")
    monkeypatch.setattr("sys.argv", [str(TOOL), str(tmp_path / "old.ckpt"), str(tmp_path / "new.ckpt")])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert read_task(tmp_path / "new.ckpt").hparams["start_from"] == "somewhere"


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(plain_run, tmp_path, caplog):
    best = plain_run / "checkpoints" / "best.ckpt"
    assert where_it_stopped(tmp_path) is None
    shutil.copy(best, tmp_path / "previous.ckpt")
    assert where_it_stopped(tmp_path) == tmp_path / "previous.ckpt"
    shutil.copy(best, tmp_path / "last.ckpt")
    assert where_it_stopped(tmp_path) == tmp_path / "last.ckpt"
    (tmp_path / "last.ckpt").write_bytes(best.read_bytes()[:5000])
    assert where_it_stopped(tmp_path) == tmp_path / "previous.ckpt"
    assert "last.ckpt: damaged" in caplog.text
    (tmp_path / "previous.ckpt").write_bytes(b"")
    with pytest.raises(TrainingError, match="no checkpoint is readable; --resume false"):
        where_it_stopped(tmp_path)


@pytest.mark.parametrize(
    "name", ["model.sgd.learning_rate", "model.sgd.momentum", "data.batch_size", "data.samples_per_epoch", "data.seed"]
)
def test_a_run_does_not_go_on_with_other_options(plain_run, name):
    best = plain_run / "checkpoints" / "best.ckpt"
    options = LastingOptions({})
    options.values = dict(read_content(best)["callbacks"][options.state_key])
    options.refuse_others(best)
    options.values[name] = 7
    with pytest.raises(TrainingError, match=rf"interrupted run has {re.escape(name)} .*, this one 7; .*--resume false"):
        options.refuse_others(best)


def test_last_is_written_every_epoch_though_the_first_was_the_best(config, tmp_path, monkeypatch):
    falling = iter([0.9, 0.5, 0.1, 0.9])
    monkeypatch.setattr(ParsingTask, "on_validation_epoch_end", lambda self: self.log("val/mean_iou", next(falling)))
    monkeypatch.setattr("ssnan.training.cli.write_results", lambda *_: None)
    train(["--config", config, "--output", str(tmp_path), "--trainer.max_epochs", "3"])
    epochs = {
        name: torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True)["epoch"]
        for name in ("best", "previous", "last")
    }
    assert epochs == {"best": 0, "previous": 1, "last": 2}


def test_a_new_run_without_a_validation_does_not_report_the_best_of_an_earlier_one(
    config, plain_run, tmp_path, monkeypatch
):
    best = tmp_path / "checkpoints" / "best.ckpt"
    best.parent.mkdir()
    shutil.copy(plain_run / "checkpoints" / "best.ckpt", best)
    before = best.read_bytes()
    monkeypatch.setattr("ssnan.training.cli.write_results", lambda *_: None)
    new = ["--output", str(tmp_path), "--resume", "false", "--trainer.max_epochs", "1"]
    train(["--config", config, *new, "--trainer.check_val_every_n_epoch", "5"])
    assert best.read_bytes() != before


def test_pickles_that_are_no_checkpoint(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps({"state_dict": 1}))
    with pytest.raises(ModelError):
        read_task(tmp_path / "x.ckpt")


@pytest.mark.parametrize("threads", [0, 257])
def test_threads_of_a_checkpoint_are_checked_as_those_of_a_model(tmp_path, threads):
    with pytest.raises(ModelError, match="threads: expected a whole number from 1 to 256"):
        load(tmp_path / "nothing.ckpt", threads=threads)


def test_a_checkpoint_that_cannot_be_read_changes_no_setting(tmp_path):
    before = torch.get_num_threads()
    with pytest.raises(ModelError, match="no such file"):
        load(tmp_path / "nothing.ckpt", threads=before + 1)
    assert torch.get_num_threads() == before
