"""What the documentation shows works."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ssnan.data.custom import read_label_set
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


def test_own_data(tmp_path, monkeypatch, capsys):
    description, config = blocks("docs/own-data.md", "yaml")
    (tmp_path / "workwear").mkdir()
    (tmp_path / "workwear" / "dataset.yaml").write_text(description)
    (tmp_path / "workwear.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    label_set = read_label_set(Path("workwear/dataset.yaml"))
    assert label_set.classes[1] == "helmet"
    assert label_set.palette[1] == (255, 200, 0)
    assert [region.name for region in label_set.regions] == ["head", "body", "left-hand", "right-hand"]
    assert print_config("workwear.yaml", capsys)["data"]["label_set"] == "workwear/dataset.yaml"


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
    for config in re.findall(r"--config ([a-z]\w+/\w+)|configs/(\w+/\w+)\.", text):
        assert (CONFIGS / f"{''.join(config)}.yaml").exists() or "plain_net" in config, config
