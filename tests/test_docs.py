"""What the documentation shows works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ssnan
from fakes.lip import person
from ssnan.commands import main, parsers
from ssnan.data.custom import read_label_set
from ssnan.labels import LIP
from ssnan.recipes import shipped
from ssnan.training.cli import train

ROOT = Path(__file__).parent.parent


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
    description, config, rival, sets = blocks("docs/own-data.md", "yaml")
    (tmp_path / "workwear" / "photos").mkdir(parents=True)
    (tmp_path / "workwear" / "masks").mkdir()
    (tmp_path / "workwear" / "dataset.yaml").write_text(description + sets)
    (tmp_path / "workwear.yaml").write_text(config)
    (tmp_path / "workwear_deeplab.yaml").write_text(rival)
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
    rival = print_config("workwear_deeplab.yaml", capsys)
    assert rival["data"]["sources"][0]["root"] == rival["data"]["validation"] == "workwear"
    assert rival["model"]["network"]["class_path"] == "ssnan.models.DeepLabV2"
    assert rival["trainer"]["max_steps"] == 20_000  # as the text says
    assert Path(rival["output"].format(label_set=label_set.name)) == Path("runs/workwear/deeplab_v2")


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
    assert "untrained parts: classifier, aggregation" in caplog.text
    seen = losses(Path("runs/workwear"))
    assert len(seen) == 6  # an epoch has two steps and leaves a point
    assert max(seen) == seen[0]
    assert np.mean(seen[-2:]) < 0.85 * seen[0]


def test_aggregation_alone():
    namespace = {name: torch.randn(2, 256, 5, 6) for name in ("coarse", "middle", "fine")}
    exec(blocks("docs/aggregation.md", "python")[0], namespace)
    assert namespace["fused"].shape == (2, 256, 5, 6)
    assert namespace["weights"].shape == (2, 3, 5, 6)


def test_the_ninth_system(tmp_path, monkeypatch, capsys):
    """The file and the configuration of docs/adding-a-system.md, as a stranger would add them."""
    system, test = blocks("docs/adding-a-system.md", "python")
    [config] = blocks("docs/adding-a-system.md", "yaml")
    shutil.copytree(ROOT / "experiments" / "rivals" / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "plain_net.yaml").write_text(config.replace("ssnan.models.plain_net", "plain_net"))
    (tmp_path / "plain_net.py").write_text(system)
    monkeypatch.syspath_prepend(str(tmp_path))
    values = print_config(tmp_path / "configs" / "plain_net.yaml", capsys)
    assert values["model"]["network"]["class_path"] == "plain_net.PlainNet"

    namespace: dict = {}
    exec(system, namespace)
    from ssnan.models import Backbone

    network = namespace["PlainNet"](20, Backbone("resnet10t", stage=2))
    assert network(torch.randn(1, 3, 65, 65)).scores.shape == (1, 20, 9, 9)
    assert len(test.strip().splitlines()) < 10


DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md"), *ROOT.glob("[!.]*/*/README.md")]
)


def commands_in(document):
    """Every command of the sh blocks of a document, as words; continued lines are one, comments none."""
    for block in re.findall(r"```sh\n(.*?)```", document.read_text(), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"\s*(?:\||;|&&)\s*", line):
                words = shlex.split(re.sub(r"\s[<>]\s*\S+", "", command), comments=True)
                while (words and words[0] in ("do", "then", "done", "for")) or (words and "=" in words[0]):
                    words = words[1:]
                if words:
                    yield words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one(document):
    """Each is read by the parser that will read it, where that is ours; of a tool's the flags are looked for."""
    whole = parsers()[0]
    for words in commands_in(document):
        if words[0] == "ssnan" and len(words) > 1 and words[1] not in ("completion", "train", "--help"):
            whole.parse_args([re.sub(r"\$\w+", "auto", word) for word in words[1:]])
        script = next((word for word in words[:2] if word.endswith((".py", ".sh"))), None)
        if words[:2] == ["python", "-m"]:
            script = f"{words[2].replace('.', '/')}.py"
        if script is not None:
            text = (ROOT / script).read_text()
            for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
                assert flag in text, f"{script} {flag}"


@pytest.fixture(scope="module")
def served():
    """Where ``ssnan serve`` answers."""
    command = [sys.executable, "-m", "ssnan", "serve", "--port", "0", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield re.match(r"http://[\w.:]+", process.stdout.readline())[0]
        process.terminate()


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """A folder as the recipes want it: a photo, a folder of photos, and a video."""
    shutil.copytree(ROOT / "examples", tmp_path / "photos", ignore=lambda _, names: {n for n in names if ".md" in n})
    Image.open(ROOT / "examples" / "grace_hopper.jpg").resize((256, 300)).save(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo, av.open(str(tmp_path / "clip.mp4"), "w") as clip:
        stream = clip.add_stream("libx264", rate=25)
        stream.width, stream.height = photo.size
        for packet in (*stream.encode(av.VideoFrame.from_image(photo)), *stream.encode()):
            clip.mux(packet)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(language, block, address):
    """A block of a document, in the folder where we are."""
    if language == "yaml":  # a file, which its first line names
        Path(re.match(r"# (\S+)\n", block)[1]).write_text(block)
        return ""
    block = block.replace("http://127.0.0.1:7860", address)
    block = re.sub(r"^(pip install|ssnan serve) .*$", ":", block, flags=re.MULTILINE)
    interpreter = [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*interpreter, block], env=os.environ | here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_recipe_does_what_it_says(studio, served):
    text = (ROOT / "docs" / "recipes.md").read_text()
    printed = [run(language, block, served) for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)]
    mask = np.array(Image.open("try-on-mask.png"))
    assert mask.shape == (300, 256)
    assert mask[280, 128] == 255  # her coat
    assert mask[115, 130] == 0  # her face
    assert np.array(Image.open("out/photo.cutout.png")).shape == (300, 256, 4)
    assert {path.name for path in Path("hair").iterdir()} == {"photo.png", "photo.cutout.png", "photo.mask.hair.png"}
    assert Path("crops/photo.crop.png").exists()
    assert ssnan.ParsingResult.load(Path("garments/photo.png")).mask("top")[280, 128]
    blurred, photo = (np.array(Image.open(name)).astype(int) for name in ("blurred.jpg", "photo.jpg"))
    assert np.abs(blurred - photo)[100:130, 110:150].mean() > 4 * np.abs(blurred - photo)[:40].mean()
    assert sorted(path.name for path in Path("maps").glob("*.json")) == [
        "astronaut.json",
        "camera.json",
        "grace_hopper.json",
    ]
    assert len(json.loads(Path("coco/instances.json").read_text())["images"]) == 3
    assert len(list(Path("layers").iterdir())) == 3
    assert np.array_equal(np.array(Image.open("other/photo.png")), np.array(Image.open("out/photo.png")))
    assert {path.name for path in Path("out").glob("clip.*")} == {
        "clip.overlay.mp4", "clip.labels.mkv", "clip.people.mkv", "clip.jsonl",
    }  # fmt: skip
    assert any("#" in text for text in printed)
    assert any("face" in text and "[" in text for text in printed)
    assert any("thousand.py: not an image" in text and "camera.png {" in text for text in printed)


@pytest.mark.parametrize("document", ["docs/index.md", "docs/serving.md", "README.md"])
def test_the_first_things_that_are_shown_work(document, studio, served):
    """The Python of a page, and what it sends to the service."""
    text = (ROOT / document).read_text()
    for language, block in re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL):
        if language == "python" or "/api/" in block:
            run(language, block, served)


def test_the_page_of_the_api_lists_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text()
    missing = [name for name in ssnan.__all__ if not re.search(rf"\bssnan\.{name}\b", text)]
    assert missing == ["__version__"]


def test_the_site_copies_no_data():
    assert list((ROOT / "docs").rglob("*.json")) == []


@pytest.mark.parametrize("document", [str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_links_and_recipes_exist(document):
    text = (ROOT / document).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
    for folder, name in re.findall(r"--config ([a-z]\w+)/(\w+)(?![\w/])", text):
        assert name in shipped().get(folder, ()), f"{folder}/{name}"
    for path in re.findall(r"src/ssnan/[\w/.]+\w", text):
        assert (ROOT / path).exists(), path


def test_the_tests_of_the_promises_exist():
    """docs/reliability.md names a test by its path, or by its file name if its folder stands before."""
    named = re.findall(r"`(tests/)?([\w/]*test_\w+\.py)`", (ROOT / "docs/reliability.md").read_text())
    assert len(named) > 40
    for folder, name in named:
        assert any(ROOT.glob(f"tests/{name}" if folder else f"tests/**/{name}")), name


def test_modules_in_commands_exist():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/*.md")]
    named = {
        (document, module)
        for document in documents
        for module in re.findall(r"python -m (experiments[\w.]+)", document.read_text())
    }
    assert len(named) > 20
    for document, module in named:
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), (document, module)
