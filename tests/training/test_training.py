import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from fakes.custom import write_custom
from fakes.lip import person
from fakes.pascal_person_part import write_pascal_person_part
from ssnan.commands import main
from ssnan.commands.options import Stopped
from ssnan.evaluation.metrics import Score, confusion_matrix
from ssnan.export.onnx import compress
from ssnan.labels import LIP
from ssnan.loading import load
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.models import SSNAN, Backbone, NeuralAggregation
from ssnan.models.initial_weights import read_network
from ssnan.parsing.card import ModelError, find_card
from ssnan.scores.upsampling import labels_at
from ssnan.training.checkpoint import read_task
from ssnan.training.cli import command_line, train
from ssnan.training.task import ParsingTask


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def steps(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


RUNNING_NORMS = ["--model.loss.joint.form", "weighted", "--model.loss.joint.unit", "gradient"]


IN_STEPS = ["--trainer.max_epochs", "-1", "--trainer.max_steps", "3"]  # an epoch has two
WITHIN_AN_EPOCH = ["--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "3"]


@pytest.mark.parametrize(
    "where",
    [
        [],
        ["--data.resident_side", "96"],
        RUNNING_NORMS,
        ["--trainer.check_val_every_n_epoch", "2"],
        IN_STEPS,
        IN_STEPS + WITHIN_AN_EPOCH,
    ],
    ids=["disk", "memory", "running norms", "epoch without validation", "steps", "steps, validated within an epoch"],
)
def test_a_run_in_pieces_ends_where_a_run_in_one_does(config, tmp_path, where):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(["--config", config, "--output", str(whole), *where])
    train(["--config", config, "--output", str(parts), *where, "--stop_after", "0"])
    assert not (parts / "results.json").exists()
    halfway = weights(parts)
    train(["--config", config, "--output", str(parts), *where])
    assert (parts / "results.json").exists()
    assert steps(whole) == steps(parts) == (3 if "--trainer.max_steps" in where else 4)
    moved = 0.0
    for name, value in weights(whole).items():
        torch.testing.assert_close(
            weights(parts)[name], value, rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )
        moved += float((value.float() - halfway[name].float()).abs().sum())
    assert moved > 0


def test_frozen_norms_keep_their_statistics_in_every_epoch(config, tmp_path):
    frozen = ["--model.network.init_args.backbone.frozen_batch_norm", "true"]
    train(["--config", config, "--output", str(tmp_path), *frozen, "--trainer.max_epochs", "2"])
    counts = [value for name, value in weights(tmp_path).items() if name.endswith("num_batches_tracked")]
    assert counts
    assert not any(counts)


def test_from_config_to_checkpoint_to_second_step(config, lip_root, tmp_path, capsys):
    run, second = tmp_path / "run", tmp_path / "second"
    assert main(["train", "--config", config, "--output", str(run), "--trainer.max_epochs", "1"]) == 0
    best = run / "checkpoints" / "best.ckpt"
    assert f"best checkpoint: {best}" in capsys.readouterr().out
    assert list((run / "logs").glob("events*"))
    start = ["--model.start_from", str(best), "--trainer.max_epochs", "1", "--model.sgd.learning_rate", "0"]
    train(["--config", config, "--output", str(second), *start])
    before, after = weights(run), weights(second)
    torch.testing.assert_close(after["network.classifier.weight"], before["network.classifier.weight"])

    assert main(["evaluate", "--model", str(best), "--data", str(lip_root)]) == 0


def on(config, root, label_set, tmp_path):
    """The tiny run on another dataset, with the paper's default aggregation."""
    values = yaml.safe_load(Path(config).read_text())
    values["data"] |= {"sources": [{"root": str(root)}], "validation": str(root), "label_set": label_set}
    del values["model"]["network"]["init_args"]["aggregation"]
    values["trainer"]["max_epochs"] = 1
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(values))
    return ["--config", str(path), "--output", str(tmp_path / "run")]


def test_trains_on_pascal_person_part(config, tmp_path):
    root = write_pascal_person_part(tmp_path / "ppp")
    best = train(on(config, root, "pascal_person_part", tmp_path))
    assert main(["evaluate", "--model", str(best), "--data", str(root)]) == 0


def test_trains_on_your_own_data_and_the_checkpoint_needs_its_description_no_more(config, tmp_path):
    root = write_custom(tmp_path / "mine", count=8)
    best = train(on(config, root, str(root / "dataset.yaml"), tmp_path))
    shutil.rmtree(root)
    parser = load(best)
    assert parser.label_set.name == "workwear"
    assert parser(person()[0]).labels.max() < 9


def test_a_user_reads_what_starts_untrained_and_that_the_run_has_not_ended(
    config, plain_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which a user does not have
    run = on(config, write_pascal_person_part(tmp_path / "ppp"), "pascal_person_part", tmp_path)
    run += ["--model.start_from", str(plain_run / "checkpoints" / "best.ckpt"), "--trainer.max_epochs", "2"]
    assert main(["train", *run, "--trainer.check_val_every_n_epoch", "5", "--stop_after", "0"]) == 0
    printed = capsys.readouterr()
    assert "untrained parts: classifier, aggregation" in printed.err
    assert "stopped after epoch 1; run the same command to continue" in printed.err
    assert "best checkpoint" not in printed.out


@pytest.mark.parametrize("option", [["--resume", "false"], ["--resume=false"], []])
def test_a_run_that_started_again_continues_without_that_option(option, monkeypatch, capsys):
    def train(arguments):
        raise Stopped(15)

    monkeypatch.setattr("ssnan.training.cli.train", train)
    assert main(["train", "--config", "lip/ss_nan", *option]) == 128 + 15
    again = "run the same command without --resume to continue" if option else "run the same command to continue"
    assert capsys.readouterr().err == f"ssnan: stopped; {again} after the last saved epoch\n"


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_wrong_mask_is_one_clear_line_also_from_another_process(config, tmp_path, capfd, workers):
    root = write_custom(tmp_path / "mine", colors=False)
    for mask in (root / "masks").iterdir():
        Image.fromarray(np.full((96, 64), 99, np.uint8)).save(mask)
    run = on(config, root, str(root / "dataset.yaml"), tmp_path)
    assert main(["train", *run, "--data.num_workers", workers]) == 1
    error = capfd.readouterr().err
    assert ".png: has label id 99, which is not a class of 'workwear' (0..8)" in error
    assert "Traceback" not in error


def test_another_label_set_than_the_run_s_is_refused(config, tmp_path, capsys):
    root = write_pascal_person_part(tmp_path / "ppp")
    assert main(["train", *on(config, root, "lip", tmp_path)]) == 1
    assert "its labels are not those of the run (7 classes, not 20)" in capsys.readouterr().err


def test_a_gpu_with_too_little_memory_is_one_line(monkeypatch, capsys):
    def train(arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")

    monkeypatch.setattr("ssnan.training.cli.train", train)
    assert main(["train", "--config", "lip/ss_nan"]) == 1
    assert capsys.readouterr().err == (
        "ssnan: not enough memory on the GPU; lower data.batch_size, data.crop or data.resident_side\n"
    )


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (["--data.batchsize", "8"], "batchsize"),
        (["--data.batch_size", "many"], "batch_size"),
        (["--model.network.class_path", "ssnan.models.SSNAM"], "SSNAM"),
    ],
)
def test_a_mistyped_option_is_one_line(option, complaint, config, capfd):
    assert main(["train", "--config", config, *option]) == 2
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ssnan: ")]
    assert complaint in line
    assert "'ssnan train --help' lists the options" in line


def test_tips_to_install_other_products_are_hidden(config, caplog):
    with caplog.at_level(logging.INFO):
        command_line(["--config", config])
    assert "GPU available" in caplog.text
    assert "Tip:" not in caplog.text


@pytest.mark.parametrize(
    "option",
    [
        ["--model.loss.joint.form", "product"],
        ["--model.loss.joint.measure", "heatmap"],
        ["--model.loss.joint.unit", "mean"],
        ["--model.loss.joint.count", "defined"],
        ["--model.loss.joint.centers", "decided"],
        ["--model.loss.side_weight", "1"],
        ["--model.sgd.bias_factor", "2"],
        ["--model.sgd.faster", "[aggregation]"],
        ["--model.loss.joint.detach_centers", "true"],
        ["--model.loss.deep_supervision", "false"],
        ["--model.loss.class_balancing", "0.5"],
        ["--trainer.precision", "bf16-mixed"],
        ["--trainer.accumulate_grad_batches", "2"],
        ["--model.network.init_args.backbone.frozen_batch_norm", "true"],
        ["--model.network.init_args.aggregated", "probabilities"],
        ["--model.sgd.learning_rate", "0.1", "--trainer.enable_progress_bar", "false"],
    ],
    ids=lambda option: f"{option[0].split('.')[-1]}={option[1]}",
)
def test_every_option_is_one_line_and_changes_the_outcome(option, config, plain_run, tmp_path):
    run = tmp_path / "run"
    train(["--config", config, "--output", str(run), "--trainer.max_epochs", "1", *option])
    changed, plain = weights(run), weights(plain_run)
    assert any(not torch.equal(changed[name], plain[name]) for name in plain)
    assert all(value.isfinite().all() for value in changed.values())


def test_a_run_counted_in_steps_is_measured_too(config, tmp_path):
    best = train(["--config", config, "--output", str(tmp_path / "run"), "--trainer.max_steps", "1"])
    assert json.loads((tmp_path / "run" / "results.json").read_text())["images_seen"] == 2
    assert load(best)(person()[0]).labels.shape == (96, 64)


def test_report_of_a_run_with_figures(config, plain_run, lip_root, tmp_path, capsys):
    results = json.loads((plain_run / "results.json").read_text())
    assert (results["images_seen"], results["photos"], results["system"]) == (4, 2, "SSNAN")
    assert results["flops_321"] > 1e8  # of a fifth of 321
    assert 1e-4 < results["seconds_321"] < 100
    assert 0 < results["minutes"] < 5
    assert 0 <= results["joints_missed"] <= 1
    assert 0 < results["joint_offset"] < 1
    assert results["mean_iou_last"] == results["present"]["mean_iou"]  # of one epoch, the best is the last
    capsys.readouterr()
    assert main(["report", str(plain_run), "-o", str(tmp_path / "r"), "--photos", str(lip_root), "--count", "2"]) == 0
    assert f"{100 * results['present']['mean_iou']:.2f}" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "r").glob("*.jpg")} == {
        "side_by_side.jpg", "scale_weights.jpg", "joints.jpg",
    }  # fmt: skip
    with Image.open(tmp_path / "r" / "scale_weights.jpg") as figure:
        assert figure.height == 26 + 2 * 324 - 4


@pytest.fixture(scope="module")
def exported(plain_run, tmp_path_factory):
    """The plain run's network for engines, and its weights in 16 bits; made by the command."""
    folder = tmp_path_factory.mktemp("exported")
    files = ["-o", str(folder / "n.onnx"), "--weights", str(folder / "start.safetensors"), "--longest-side", "97"]
    assert main(["export", "--model", str(plain_run / "checkpoints" / "best.ckpt"), *files]) == 0
    return folder


def test_exported_parses_and_knows_its_size(exported, tmp_path):
    photo = tmp_path / "p.png"
    Image.fromarray(person()[0]).save(photo)
    assert main(["parse", "--model", str(exported / "n.onnx"), str(photo), "-o", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "p.png") as labels:
        assert labels.size == (64, 96)
    assert load(exported / "n.onnx").preprocessing.longest_side == 97


def test_weights_to_start_from_are_small_and_begin_where_the_run_ended(exported, plain_run):
    checkpoint, start = plain_run / "checkpoints" / "best.ckpt", exported / "start.safetensors"
    begun = read_task(checkpoint).network.state_dict()
    assert start.stat().st_size < 0.55 * sum(value.nbytes for value in begun.values())
    for key, value in read_network(start).items():
        torch.testing.assert_close(value.float(), begun[key].float(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("may_lose", [1.0, -1.0])
def test_8_bits_measure_what_they_cost(exported, lip_root, tmp_path, monkeypatch, may_lose):
    monkeypatch.setattr("ssnan.export.onnx.MAY_LOSE", may_lose)
    for name in ("n.onnx", "n.json"):
        shutil.copy(exported / name, tmp_path)
    card = find_card(tmp_path / "n.onnx")
    if may_lose < 0:
        before = (tmp_path / "n.onnx").read_bytes()
        with pytest.raises(ModelError, match="stays in fp32"):
            compress(card, "int8", [lip_root])
        assert (tmp_path / "n.onnx").read_bytes() == before
    else:
        _, reached = compress(card, "int8", [lip_root])
        assert reached.keys() == {"fp32, onnxruntime", "int8, onnxruntime", "int8, openvino"}
        assert load(tmp_path / "n.onnx", engine="openvino").preprocessing.longest_side == 97
    own = {"n.xml", "n.bin"} if may_lose > 0 else set()
    assert own == {path.name for path in tmp_path.glob("n.*")} - {"n.onnx", "n.json"}


def test_8_bits_need_photos(capsys):
    assert main(["export", "--model", "x.ckpt", "-o", "x.onnx", "--precision", "int8"]) == 2
    assert "--precision bf16 and int8 need --calibrate DIR" in capsys.readouterr().err


def test_wrong_config_is_one_clear_line(config, tmp_path, capsys):
    assert main(["train", "--config", config, "--data.validation", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_max_time_ends_a_run(config, tmp_path):
    """Time is up before the first epoch is."""
    train(["--config", config, "--output", str(tmp_path / "run"), "--trainer.max_time", "00:00:00:00"])
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["images_seen"] <= 2


def test_the_rate_falls_to_zero_in_the_time_of_all_pieces(config, tmp_path, monkeypatch):
    """Five steps of a second each, in two calls; an epoch has two steps."""
    clock, rates = [0.0], []
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def step(self, batch, batch_idx, step=ParsingTask.training_step):
        clock[0] += 1
        rates.append(self.optimizers().param_groups[0]["lr"])
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ParsingTask, "training_step", step)
    run = ["--config", config, "--output", str(tmp_path), "--model.sgd.learning_rate", "0.001"]
    run += ["--model.sgd.warmup", "0", "--trainer.max_time", "00:00:00:05", "--trainer.max_epochs", "-1"]
    run += ["--trainer.check_val_every_n_epoch", "99"]
    train([*run, "--stop_after", "0"])
    assert len(rates) == 2
    clock[0] += 1000  # between the calls
    train(run)
    assert rates == pytest.approx([0.001 * (1 - done / 5) ** 0.9 for done in range(5)])
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["images_seen"] == 10
    assert results["mean_iou_last"] == results["present"]["mean_iou"]  # the end was validated, and is the best


def test_averaged_weights_are_what_is_saved(config, plain_run, tmp_path):
    run = tmp_path / "run"
    train(["--config", config, "--output", str(run), "--trainer.max_epochs", "1", "--ema", "0.997"])
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    averaged, current = last["state_dict"], last["current_model_state"]
    # The raw weights went the way of the run without averaging; the average lies between there and the start.
    for name, value in weights(plain_run).items():
        torch.testing.assert_close(current[name], value, rtol=0, atol=0)
    name = "network.classifier.weight"
    assert (averaged[name] - current[name]).abs().max() > 0
    assert averaged[name].norm() < current[name].norm() * 2
    # What is counted is not averaged: the classes of the truth are those of the photos.
    results, photos = (json.loads((run / name).read_text()) for name in ("results.json", "photos.json"))
    true = np.sum([counts[1] for counts in photos.values()], axis=0)
    assert [name for name, iou in results["present"]["iou"].items() if iou is not None] == [
        name for name, pixels in zip(LIP.classes, true, strict=True) if pixels
    ]


@pytest.mark.parametrize("start", ["nonesuch", "other"])
def test_a_start_that_does_not_fit_is_one_clear_line(config, tmp_path, capsys, start):
    if start == "other":
        start = str(tmp_path / "other.safetensors")
        save_file({"network.backbone.features.a.weight": torch.zeros(3)}, start)
    assert main(["train", "--config", config, "--output", str(tmp_path / "run"), "--model.start_from", start]) == 1
    error = capsys.readouterr().err
    assert "start_from" in error
    assert "Traceback" not in error


def test_weights_that_cannot_be_downloaded_are_one_clear_line(config, tmp_path, capsys, monkeypatch):
    def nobody(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    arguments = ["--config", config, "--output", str(tmp_path / "run"), "--model.backbone_weights", "timm"]
    assert main(["train", *arguments]) == 1
    error = capsys.readouterr().err
    assert "of resnet10t: cannot be downloaded" in error
    assert "Retrying" not in error


def test_overfits_two_photos():
    torch.manual_seed(0)
    network = SSNAN(
        20, Backbone("resnet10t", stage=1), scales=(0.5, 1.0), aggregation=NeuralAggregation(20, 2, hidden=32)
    )
    pairs = [person(97, 65, shift) for shift in (0, 6)]
    images = torch.stack([torch.from_numpy(photo).movedim(2, 0) / 127.5 - 1 for photo, _ in pairs])
    labels = torch.stack([torch.from_numpy(ids).long() for _, ids in pairs])
    criterion = ParsingLoss(LIP, LossOptions(JointLoss("weighted")))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        criterion(network(images), labels)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        scores = network(images).scores.numpy()
    confusion = sum(
        confusion_matrix(ids, labels_at(np.ascontiguousarray(score), 97, 65), LIP)
        for score, (_, ids) in zip(scores, pairs, strict=True)
    )
    assert Score.of_present(confusion).mean_iou > 0.95


def test_compiled_training_keeps_the_parameters_names(config, tmp_path, monkeypatch):
    calls = []

    def compiled(function):
        return lambda images: (calls.append(1), function(images))[1]

    monkeypatch.setattr("torch.compile", compiled)
    train(
        ["--config", config, "--output", str(tmp_path / "run"), "--trainer.max_epochs", "1", "--model.compiled", "true"]
    )
    assert len(calls) == 2
    assert "network.classifier.weight" in weights(tmp_path / "run")
    assert load(tmp_path / "run" / "checkpoints" / "best.ckpt")(person()[0]).labels.shape == (96, 64)
