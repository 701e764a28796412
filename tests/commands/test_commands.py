import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import ssnan
from fakes.custom import write_custom
from fakes.lip import write_lip
from ssnan.commands import main
from ssnan.io.masks import palette_image
from ssnan.labels import LIP

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_parses_and_counts_failures(tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"")
    good = EXAMPLES / "camera.png"
    assert main(["parse", str(good), "-o", str(tmp_path / "out"), "--save", "json"]) == 0
    assert json.loads((tmp_path / "out" / "camera.json").read_text())["width"] == 512
    assert main(["parse", str(good), str(tmp_path / "bad.jpg"), "-o", str(tmp_path / "out")]) == 1
    assert "bad.jpg: not an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["parse"],
        ["parse", "x.jpg", "--save", "gold"],
        ["parse", "x.jpg", "--nonsense"],
        ["completion", "fish-and-chips"],
        ["parse", "x.jpg", "--threads", "0"],
        ["parse", "x.jpg", "--model", "nonesuch"],
        ["evaluate"],
        ["evaluate", "--data", ".", "--model", "none.ckpt"],
        ["evaluate", "--data", ""],
        ["data", "check", ""],
        ["data", "check", ".", "--shard", "10"],
        ["data", "check", ".", "--into", "parquet"],
        ["data", "check", ".", "-o", "packed"],
        ["evaluate", "--data", ".", "--json", ""],
        ["report", ""],
        ["publish", "small", "-o", ""],
    ],
)
def test_wrong_usage_is_2(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    error = capsys.readouterr().err
    assert error
    assert "Traceback" not in error


def test_missing_photo_is_1_and_one_line(tmp_path, capsys):
    assert main(["parse", str(tmp_path / "none.jpg"), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.strip().endswith("none.jpg: no such file")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for command in ("parse", "train", "evaluate", "export"):
        assert command in printed


def test_evaluate_prints_the_tables_and_writes_json(lip_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssnan.evaluation.metrics.FREQUENT", 2)  # both photos show the same classes
    target = tmp_path / "n.json"
    assert main(["evaluate", "--data", str(lip_root), "--json", str(target)]) == 0
    printed = capsys.readouterr().out
    assert printed.index("hat") < printed.index("right-shoe") < printed.index("background")
    numbers = json.loads(target.read_text())
    assert 0 <= numbers["present"]["mean_iou"] <= 1
    assert numbers["present"]["iou"]["dress"] is None
    assert numbers["frequent_classes"]["classes"] == [k for k, v in numbers["present"]["iou"].items() if v is not None]
    assert numbers["frequent_classes"]["mean_iou"] == pytest.approx(numbers["present"]["mean_iou"])
    assert np.shape(numbers["confusion"]) == (20, 20)
    accuracy = np.trace(numbers["confusion"]) / np.sum(numbers["confusion"])
    assert accuracy == pytest.approx(numbers["present"]["overall_accuracy"])


def test_evaluate_names_what_is_wrong_with_a_dataset(tmp_path, capsys):
    assert main(["evaluate", "--data", str(tmp_path)]) == 1
    assert "expected dataset.yaml, or val_images in TrainVal_images or beside it" in capsys.readouterr().err


def test_evaluate_names_the_first_class_that_differs(lip_root, tmp_path, capsys):
    root = write_custom(tmp_path / "own")
    values = yaml.safe_load((root / "dataset.yaml").read_text())
    classes = dict(zip([*LIP.classes[:2], "face", "gloves", *LIP.classes[4:]], LIP.palette, strict=False))
    others = [f"other {number}" for number in range(len(LIP) - len(classes))]
    values |= {"classes": {name: list(LIP.palette[i]) for i, name in enumerate([*classes, *others])}}
    values |= {"pairs": [], "joints": {}}
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    assert main(["evaluate", "--data", str(root)]) == 1
    assert "class 2 is 'face', not 'hair'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "suffix"),
    [(["-o", "lip.txt"], ".onnx"), (["-o", "lip"], ".onnx"), (["-o", "a.onnx", "--weights", "a.pt"], ".safetensors")],
)
def test_exported_files_need_their_suffix(arguments, suffix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", "x.ckpt", *arguments]) == 2
    assert f"{arguments[-1]}: expected the name of a {suffix} file" in capsys.readouterr().err


def test_parsing_never_imports_torch(tmp_path):
    program = (
        "import sys; from ssnan.commands import main; "
        f"assert main(['parse', {str(EXAMPLES / 'camera.png')!r}, '-o', {str(tmp_path)!r}]) == 0; "
        "assert not {'torch', 'timm', 'lightning', 'jsonargparse'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_views_change_the_map_a_little(tmp_path, capsys):
    photo = EXAMPLES / "astronaut.png"
    assert main(["parse", str(photo), "-o", str(tmp_path / "one")]) == 0
    assert main(["parse", str(photo), "-o", str(tmp_path / "two"), "--scales", "0.75,1", "--mirror"]) == 0
    one, two = (np.asarray(Image.open(tmp_path / name / "astronaut.png")) for name in ("one", "two"))
    assert 0.5 < (one == two).mean() < 1
    with pytest.raises(SystemExit) as ended:
        main(["parse", str(photo), "--scales", "9"])
    assert ended.value.code == 2


def test_verbose_says_which_engine(tmp_path):
    command = [sys.executable, "-m", "ssnan", "parse", str(EXAMPLES / "camera.png"), "-o", str(tmp_path), "-v"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "ssnan: engine openvino on small.xml" in said  # the development environment has it


def test_a_mistyped_command_and_a_bare_photo_are_met_with_what_was_meant(tmp_path, capsys):
    assert main(["prase"]) == 2
    assert "no command 'prase'; did you mean 'parse'?" in capsys.readouterr().err
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"")
    assert main([str(photo)]) == 2
    assert f"to parse it: ssnan parse {photo}" in capsys.readouterr().err
    assert main(["xyz"]) == 2
    assert "'ssnan --help' lists the commands" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        main([flag])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ssnan {ssnan.__version__}\n"
    assert importlib.metadata.version("ssnan") == ssnan.__version__


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_flags(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("parse", "evaluate", "--skip-existing", "--longest-side"):
        assert word in script
    if shell == "bash":
        (tmp_path / "c.bash").write_text(script)
        subprocess.run(["bash", "-n", str(tmp_path / "c.bash")], check=True)


def test_train_without_torch_says_how_to_get_it():
    program = (
        "import sys; sys.modules['torch'] = None; sys.modules['lightning'] = None; from ssnan.commands import main; "
        "assert main(['train', '--help']) == 0; assert main(['train', '--config', 'lip/ss_nan']) == 1"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    for said in (done.stdout, done.stderr):
        assert "pip install 'ssnan[train]'" in said


def test_data_check_notes_what_will_disappoint(tmp_path, capsys):
    root = write_lip(tmp_path / "lip", train=3, val=1)
    mask = next((root / "TrainVal_parsing_annotations" / "val_segmentations").iterdir())
    labels = np.asarray(Image.open(mask)).copy()
    labels[labels == 2] = 1
    palette_image(labels, LIP).save(mask)
    main(["data", "check", str(root)])
    printed = capsys.readouterr().out
    assert "val has a single photo" in printed
    assert "val has no hair: cannot be measured" in printed
    assert "train has no hat: cannot be learned" in printed


def test_names_after_two_dashes_are_no_flags(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 60), "white").save("-x.png")
    assert main(["parse", "-o", "maps", "--", "-x.png"]) == 0
    assert Path("maps/-x.png").is_file()
