import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fakes.lip import person
from ssnan.cli import main
from ssnan.labels import LIP
from ssnan.losses import JointForm, ParsingLoss
from ssnan.metrics import Score, confusion_matrix
from ssnan.models import SSNAN, Backbone
from ssnan.training.main import train
from ssnan.upsampling import labels_at

INTERRUPT = "fakes.interruption.StopAfterFirstEpoch"


@pytest.fixture
def config(lip_root, tmp_path):
    values = {
        "data": {
            "sources": [{"root": str(lip_root)}],
            "validation": str(lip_root),
            "preprocessing": {"longest_side": 64},
            "crop": [64, 48],
            "photometric": 0.5,
            "batch_size": 2,
            "num_workers": 0,
        },
        "model": {
            "network": {
                "class_path": "ssnan.models.SSNAN",
                "init_args": {"num_classes": 20, "hidden": 8, "backbone": {"name": "resnet10t", "output_stride": 8}},
            },
            "joint_form": "WEIGHTED",
        },
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "enable_model_summary": False,
        },
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(config, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(["--config", config, "--output", str(whole)])
    train(["--config", config, "--output", str(parts), "--trainer.callbacks", INTERRUPT])
    halfway = weights(parts)
    train(["--config", config, "--output", str(parts)])
    moved = 0.0
    for name, value in weights(whole).items():
        torch.testing.assert_close(
            weights(parts)[name], value, rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )
        moved += float((value.float() - halfway[name].float()).abs().sum())
    assert moved > 0


def test_from_config_to_checkpoint_to_second_step_to_map(config, lip_root, tmp_path, capsys):
    run, second = tmp_path / "run", tmp_path / "second"
    assert main(["train", "--config", config, "--output", str(run), "--trainer.max_epochs", "1"]) == 0
    best = run / "checkpoints" / "best.ckpt"
    assert f"best checkpoint: {best}" in capsys.readouterr().out
    assert list((run / "logs").glob("events*"))
    start = ["--model.start_from", str(best), "--trainer.max_epochs", "1", "--model.learning_rate", "0"]
    train(["--config", config, "--output", str(second), *start])
    before, after = weights(run), weights(second)
    torch.testing.assert_close(after["network.classifier.weight"], before["network.classifier.weight"])

    assert main(["evaluate", "--model", str(best), "--data", str(lip_root)]) == 0
    target = tmp_path / "tiny.onnx"
    assert main(["export", "--model", str(best), "-o", str(target)]) == 0
    photo = tmp_path / "p.png"
    Image.fromarray(person()[0]).save(photo)
    assert main(["parse", "--model", str(target), str(photo), "-o", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "p.png") as labels:
        assert labels.size == (64, 96)


def test_wrong_config_is_one_clear_line(config, tmp_path, capsys):
    assert main(["train", "--config", config, "--data.validation", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_overfits_two_pictures():
    torch.manual_seed(0)
    network = SSNAN(20, Backbone("resnet10t", stage=1), scales=(0.5, 1.0), hidden=32)
    pairs = [person(97, 65, shift) for shift in (0, 6)]
    images = torch.stack([torch.from_numpy(photo).movedim(2, 0) / 127.5 - 1 for photo, _ in pairs])
    labels = torch.stack([torch.from_numpy(ids).long() for _, ids in pairs])
    criterion = ParsingLoss(LIP, JointForm.WEIGHTED)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        criterion(network(images), labels)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        scores = network(images).scores.numpy()
    confusion = sum(
        confusion_matrix(ids, labels_at(np.ascontiguousarray(one), 97, 65), LIP)
        for one, (_, ids) in zip(scores, pairs, strict=True)
    )
    assert Score.of_present(confusion).mean_iou > 0.95
