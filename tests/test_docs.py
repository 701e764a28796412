"""What the documentation shows works."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fakes.lip import person
from ssnan.commands import main
from ssnan.data.custom import read_label_set
from ssnan.labels import LIP
from ssnan.training.main import train

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "src" / "ssnan" / "configs"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def print_config(path, capsys):
    with pytest.raises(SystemExit) as ended:
        train(["--config", str(path), "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture
def workwear(tmp_path, monkeypatch):
    """docs/own-data.md followed to the letter, with twelve drawn people."""
    description, config, sets = blocks("docs/own-data.md", "yaml")
    (tmp_path / "workwear" / "photos").mkdir(parents=True)
    (tmp_path / "workwear" / "masks").mkdir()
    (tmp_path / "workwear" / "dataset.yaml").write_text(description + sets)
    (tmp_path / "workwear.yaml").write_text(config)
    own = {"hair": 1, "face": 2, "upper-clothes": 3, "left-arm": 4, "right-arm": 5}
    for number in range(12):
        photo, labels = person(shift=number)
        mask = sum((labels == LIP.classes.index(name)) * value for name, value in own.items())
        mask = np.where((mask == 0) & (labels > 0), 100, mask)
        Image.fromarray(photo).save(tmp_path / "workwear" / "photos" / f"{number}.jpg", quality=95)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "workwear" / "masks" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_data_says_what_it_means(workwear, capsys):
    label_set = read_label_set(Path("workwear/dataset.yaml"))
    assert label_set.classes[1] == "helmet"
    assert label_set.palette[1] == (255, 200, 0)
    assert [region.name for region in label_set.regions] == ["head", "body", "left-hand", "right-hand"]
    assert label_set.sets[1].class_ids == (4, 5)
    assert print_config("workwear.yaml", capsys)["data"]["label_set"] == "workwear/dataset.yaml"


SMALLER = ["--data.crop", "[97, 65]", "--data.preprocessing.longest_side", "97", "--data.num_workers", "0",
           "--data.batch_size", "4", "--trainer.enable_progress_bar", "false"]  # fmt: skip


def losses(run):
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars("train/loss")]


def test_own_data_is_learned_with_the_defaults(workwear, caplog, monkeypatch):
    """On thumbnails, from the shipped weights."""
    monkeypatch.setattr("ssnan.training.results.TIMED", 0.0)
    with caplog.at_level("INFO", logger="ssnan"):
        assert main(["train", "--config", "workwear.yaml", *SMALLER, "--trainer.max_epochs", "6"]) == 0
    assert "learned anew: classifier, aggregation" in caplog.text
    seen = losses(Path("runs/workwear"))
    assert len(seen) == 6  # an epoch has two steps and leaves a point
    assert max(seen) == seen[0]
    assert np.mean(seen[-2:]) < 0.8 * seen[0]


def test_aggregation_alone():
    namespace = {name: torch.randn(2, 256, 5, 6) for name in ("coarse", "middle", "fine")}
    exec(blocks("docs/aggregation.md", "python")[0], namespace)
    assert namespace["fused"].shape == (2, 256, 5, 6)
    assert namespace["weights"].shape == (2, 3, 5, 6)


def test_the_ninth_system(tmp_path, monkeypatch, capsys):
    """The file and the configuration of docs/adding-a-system.md, as a stranger would add them."""
    system, test = blocks("docs/adding-a-system.md", "python")
    [config] = blocks("docs/adding-a-system.md", "yaml")
    shutil.copytree(CONFIGS / "small", tmp_path / "small")
    (tmp_path / "small" / "plain_net.yaml").write_text(config.replace("ssnan.models.plain_net", "plain_net"))
    (tmp_path / "plain_net.py").write_text(system)
    monkeypatch.syspath_prepend(str(tmp_path))
    values = print_config(tmp_path / "small" / "plain_net.yaml", capsys)
    assert values["model"]["network"]["class_path"] == "plain_net.PlainNet"

    namespace: dict = {}
    exec(system, namespace)
    from ssnan.models import Backbone

    network = namespace["PlainNet"](20, Backbone("resnet10t", stage=2))
    assert network(torch.randn(1, 3, 65, 65)).scores.shape == (1, 20, 9, 9)
    assert len(test.strip().splitlines()) < 10


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_and_configs_exist(document):
    text = (ROOT / document).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
    for config in re.findall(r"--config ([a-z]\w+/\w+)", text):
        assert (CONFIGS / f"{config}.yaml").exists() or config == "small/plain_net", config
    for path in re.findall(r"src/ssnan/[\w/.]+\w", text):
        assert (ROOT / path).exists(), path
