from pathlib import Path

import pytest
import yaml

from ssnan.training.main import train

CONFIGS = Path(__file__).parent.parent / "src" / "ssnan" / "configs"
OVERLAYS = {
    "ss_nan_step2": "ss_nan",
    "attention_ssl": "attention",
    "ss_nan_lite0": "ss_nan",
    "ss_nan_person_part": "ss_nan",
    "wild_step2": "wild",
    "small": "skip",
    "context_end": "context",
}
PARTS = ("step1", "data", "trainer", "trainer_step1", "trainer_step2", "backbone", "letter", "letter_step2")
RECIPES = sorted(
    path for folder in ("bundled", "small", "lip", "pascal_person_part") for path in (CONFIGS / folder).glob("*.yaml")
    if path.stem not in PARTS
)  # fmt: skip
ABLATION = sorted((CONFIGS / "ablation").glob("*.yaml"))
SYSTEMS = {
    "segnet": "SegNet", "fcn_8s": "FCN8s", "deeplab_v2": "DeepLabV2", "attention": "Attention",
    "attention_ssl": "Attention", "hazn": "HAZN", "lg_lstm": "LGLSTM", "ss_nan": "SSNAN",
}  # fmt: skip


def printed(paths, capsys):
    arguments = [argument for path in paths for argument in ("--config", str(path))]
    with pytest.raises(SystemExit) as ended:
        train([*arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def with_base(path):
    base = None if (path.parent.name, path.stem) == ("small", "attention_ssl") else OVERLAYS.get(path.stem)
    return [path] if base is None else [path.with_stem(base), path]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_is_accepted_and_short(path, capsys):
    values = printed(with_base(path), capsys)
    network = values["model"]["network"]["class_path"]
    assert network == f"ssnan.models.{SYSTEMS.get(path.stem, network.rsplit('.', 1)[-1])}"
    assert (values["model"]["joint_form"] == "none") == (path.stem not in ("ss_nan_step2", "attention_ssl"))
    assert values["output"] != "runs/latest"
    assert len(path.read_text().splitlines()) <= 60


@pytest.mark.parametrize("dataset", ["small", "lip", "pascal_person_part"])
def test_every_system_of_the_paper_has_a_recipe(dataset):
    assert {path.stem for path in (CONFIGS / dataset).glob("*.yaml")} >= set(SYSTEMS)


def test_systems_of_the_small_set_see_the_same(capsys):
    budgets, batches = [], {}
    for path in RECIPES:
        if path.parent.name == "small":
            values = printed(with_base(path), capsys)
            batches[path.stem] = values["trainer"].pop("limit_train_batches")
            budgets.append((values["data"], values["trainer"]))
    assert all(budget == budgets[0] for budget in budgets)
    data, _ = budgets[0]
    first = yaml.safe_load((CONFIGS / "small" / "trainer_step1.yaml").read_text())["limit_train_batches"]
    seconds = {batches.pop("ss_nan_step2"), batches.pop("attention_ssl")}
    assert {first + second for second in seconds} == {data["samples_per_epoch"] / data["batch_size"]}
    assert set(batches.values()) == {None}


@pytest.mark.parametrize("overlay", ABLATION, ids=lambda path: path.stem)
def test_every_row_of_the_ablation_differs_from_its_base(overlay, capsys):
    base = [CONFIGS / "small" / "ss_nan.yaml"]
    if overlay.stem.startswith("step2_"):
        base.append(overlay.with_stem("step2"))
    plain, changed = printed(base, capsys), printed([*base, overlay], capsys)
    assert (plain != changed) == (overlay.stem != "step2_none")


@pytest.mark.parametrize("folder", ["ingredients", "designs"])
def test_every_row_of_a_comparison_is_another_recipe(folder, capsys):
    rows = sorted(path for path in (CONFIGS / folder).glob("*.yaml") if path.stem != "base")
    plain = [CONFIGS / "ingredients" / "sets.yaml", CONFIGS / folder / "base.yaml"]
    told_apart = {yaml.safe_dump(printed([*plain, row], capsys)) for row in rows}
    assert len(told_apart) == len(rows)


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_paper_s_numbers(dataset, capsys):
    """Section 4.1, Training."""
    folder = CONFIGS / dataset
    first = printed([folder / "ss_nan.yaml"], capsys)
    second = printed([folder / "ss_nan.yaml", folder / "ss_nan_step2.yaml"], capsys)
    model, data = first["model"], first["data"]
    backbone = model["network"]["init_args"]["backbone"]["init_args"]
    assert model["network"]["init_args"]["scales"] == [0.5, 0.75, 1.0]
    assert (backbone["name"], backbone["output_stride"]) == ("resnet101", 8)
    assert data["batch_size"] * first["trainer"]["accumulate_grad_batches"] == 30
    assert (data["crop"], data["scale"]) == ([321, 321], [0.6, 1.4])
    assert (model["learning_rate"], model["classifier_factor"], model["power"]) == (0.001, 10, 0.9)
    assert (model["momentum"], model["weight_decay"]) == (0.9, 0.0005)
    assert (first["trainer"]["max_epochs"], second["trainer"]["max_epochs"]) == (40, 30)
    assert data["label_set"] == dataset


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_letter_of_the_paper(dataset, capsys):
    """Section 4.1 and Eq. 4, where the recipes beside it read them otherwise."""
    folder = CONFIGS / dataset
    ours = [folder / "ss_nan.yaml"]
    first = printed([*ours, folder / "letter.yaml"], capsys)
    second = printed([*ours, *(folder / f"{name}.yaml" for name in ("ss_nan_step2", "letter", "letter_step2"))], capsys)
    for values in (first, second):
        assert (values["data"]["batch_size"], values["trainer"]["accumulate_grad_batches"]) == (30, 1)
        backbone = values["model"]["network"]["init_args"]["backbone"]["init_args"]
        assert (backbone["name"], backbone["resnet"], backbone["frozen_batch_norm"]) == ("resnet101", "pspnet", False)
        assert backbone["output_stride"] == 8
        assert values["model"]["network"]["init_args"]["aggregated"] == "letter"
        assert values["model"]["faster"] == ["classifier"]
    assert (first["model"]["joint_form"], second["model"]["joint_form"]) == ("none", "product")
    assert (second["model"]["joint_unit"], second["model"]["joint_count"]) == ("cells", "defined")
    assert second["model"]["start_from"] == f"{first['output']}/checkpoints/best.ckpt"
    assert (first["trainer"]["max_epochs"], second["trainer"]["max_epochs"]) == (40, 30)
    assert second["model"]["backbone_weights"] is None


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_rivals_have_their_sources_solvers(dataset, capsys):
    """Rate, batch, and the biases' rate of the Caffe models."""
    solvers = {
        "deeplab_v2": (0.001, 10, 0.9),
        "attention": (0.001, 30, 0.9),
        "hazn": (0.001, 30, 0.9),
        "fcn_8s": (1e-4, 20, 0),
    }
    for name, solver in solvers.items():
        values = printed([CONFIGS / dataset / f"{name}.yaml"], capsys)
        model, batch = values["model"], values["data"]["batch_size"] * values["trainer"]["accumulate_grad_batches"]
        assert (model["learning_rate"], batch, model["power"]) == solver, name
        assert model["bias_factor"] == 2, name
    ssl = printed([CONFIGS / dataset / "attention.yaml", CONFIGS / dataset / "attention_ssl.yaml"], capsys)["model"]
    assert (ssl["power"], ssl["warmup"], ssl["start_from"]) == (0, 0, f"runs/{dataset}/attention/checkpoints/best.ckpt")
    scales = printed([CONFIGS / dataset / "fcn_8s.yaml"], capsys)["model"]["network"]["init_args"]["skip_scales"]
    assert scales == pytest.approx([57 * 1e-4, 57 * 1e-2])


def test_attention_ssl_keeps_its_rate_in_the_small_budget(capsys):
    assert printed([CONFIGS / "small" / "attention_ssl.yaml"], capsys)["model"]["power"] == 0
