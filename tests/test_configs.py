from pathlib import Path

import pytest
import yaml

from ssnan.training.main import train

CONFIGS = Path(__file__).parent.parent / "configs"
SECOND_STEPS = sorted(CONFIGS.glob("*/*_step2.yaml"))
ABLATION = sorted(path for path in (CONFIGS / "ablation").glob("*.yaml") if path.stem != "base")


def printed(paths, capsys):
    arguments = [argument for path in paths for argument in ("--config", str(path))]
    with pytest.raises(SystemExit) as ended:
        train([*arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("second", SECOND_STEPS, ids=lambda path: path.parent.name)
def test_both_steps_of_every_recipe_are_accepted(second, capsys):
    first = second.with_name(second.name.replace("_step2", ""))
    for paths, form in (([first], "none"), ([first, second], "weighted")):
        values = printed(paths, capsys)
        assert values["model"]["joint_form"] == form
        assert values["model"]["network"]["class_path"] == "ssnan.models.SSNAN"


@pytest.mark.parametrize("overlay", ABLATION, ids=lambda path: path.stem)
def test_every_row_of_the_ablation_differs_from_its_base(overlay, capsys):
    base = CONFIGS / "ablation" / "base.yaml"
    plain, changed = printed([base], capsys), printed([base, overlay], capsys)
    assert (plain != changed) == (overlay.stem not in ("neural", "step2_none"))


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_paper_s_numbers(dataset, capsys):
    """Section 4.1, Training."""
    folder = CONFIGS / dataset
    first = printed([folder / "ss_nan.yaml"], capsys)
    second = printed([folder / "ss_nan.yaml", folder / "ss_nan_step2.yaml"], capsys)
    network, model, data = first["model"]["network"]["init_args"], first["model"], first["data"]
    assert network["scales"] == [0.5, 0.75, 1.0]
    assert (network["backbone"]["init_args"]["name"], network["backbone"]["init_args"]["output_stride"]) == (
        "resnet101",
        8,
    )
    assert data["batch_size"] * first["trainer"]["accumulate_grad_batches"] == 30
    assert (data["crop"], data["scale"]) == ([321, 321], [0.6, 1.4])
    assert (model["learning_rate"], model["classifier_factor"], model["power"]) == (0.001, 10, 0.9)
    assert (model["momentum"], model["weight_decay"]) == (0.9, 0.0005)
    assert (first["trainer"]["max_epochs"], second["trainer"]["max_epochs"]) == (40, 30)
    assert data["label_set"] == dataset
