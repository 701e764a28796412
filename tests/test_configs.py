import io
from contextlib import redirect_stdout
from functools import cache

import pytest
import yaml

from ssnan.models.initial_weights import read_network
from ssnan.recipes import CONFIGS, shipped
from ssnan.training.cli import command_line, train

NAMES = [f"{folder}/{name}" for folder, names in shipped().items() for name in names]
SYSTEMS = {
    "segnet": "SegNet", "fcn_8s": "FCN8s", "deeplab_v2": "DeepLabV2", "attention": "Attention",
    "attention_ssl": "Attention", "hazn": "HAZN", "lg_lstm": "LGLSTM", "ss_nan": "SSNAN",
}  # fmt: skip
WITH_JOINTS = ("ss_nan_step2", "attention_ssl", "ss_nan_literal_step2")


@cache
def printed(name):
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
        train(["--config", name, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(out.getvalue())


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_accepted_by_its_name_alone(name):
    values, stem = printed(name), name.partition("/")[2]
    network = values["model"]["network"]["class_path"]
    assert network == f"ssnan.models.{SYSTEMS.get(stem, network.rsplit('.', 1)[-1])}"
    assert (values["model"]["loss"]["joint"]["form"] == "none") == (stem not in WITH_JOINTS)
    assert values["output"] in (f"runs/{name}", f"runs/{{label_set}}/{stem}")
    assert "base" not in values or values["base"] is None
    assert not any((side - 1) % 32 for side in values["data"]["crop"])  # labels lie on the features of every scale


def test_recipes_are_short():
    assert all(len(path.read_text().splitlines()) <= 60 for path in CONFIGS.rglob("*.yaml"))


def test_every_system_of_the_paper_has_a_recipe():
    assert set(shipped()["lip"]) >= set(SYSTEMS)
    assert shipped()["lip"] == shipped()["pascal_person_part"]


@pytest.mark.filterwarnings("ignore")  # of libraries, as train() ignores them
def test_the_label_set_names_the_run_and_the_one_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = command_line(
        ["-c", "pascal_person_part/ss_nan_step2", "--model.network.init_args.backbone.name", "resnet10t"]
    ).config
    assert str(config["output"]) == "runs/pascal_person_part/ss_nan_step2"
    assert config["model"]["start_from"] == "runs/pascal_person_part/ss_nan/checkpoints/last.ckpt"


@pytest.mark.filterwarnings("ignore")  # of libraries, as train() ignores them
def test_people_are_told_apart_on_the_whole_bundled_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli = command_line(["-c", "bundled/people"])
    own, bundled = cli.model.network.state_dict(), read_network(cli.config["model"]["start_from"])
    shapes = {name: value.shape for name, value in own.items()}
    assert {name: value.shape for name, value in bundled.items()} == shapes


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_paper_s_numbers(dataset):
    """Section 4.1, Training."""
    first, second = (printed(f"{dataset}/{name}") for name in ("ss_nan", "ss_nan_step2"))
    model, sgd, data = first["model"], first["model"]["sgd"], first["data"]
    backbone = model["network"]["init_args"]["backbone"]["init_args"]
    assert model["network"]["init_args"]["scales"] == [0.5, 0.75, 1.0]
    assert (backbone["name"], backbone["output_stride"]) == ("resnet101", 8)
    assert data["batch_size"] * first["trainer"]["accumulate_grad_batches"] == 30
    assert (data["crop"], data["scale"]) == ([321, 321], [0.6, 1.4])
    assert (sgd["learning_rate"], sgd["classifier_factor"], sgd["power"]) == (0.001, 10, 0.9)
    assert (sgd["momentum"], sgd["weight_decay"]) == (0.9, 0.0005)
    assert (first["trainer"]["max_epochs"], second["trainer"]["max_epochs"]) == (40, 30)
    assert data["label_set"] == dataset


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_letter_of_the_paper(dataset):
    """Section 4.1 and Eq. 4, where the recipes beside it read them otherwise."""
    first, second = (printed(f"{dataset}/{name}") for name in ("ss_nan_literal", "ss_nan_literal_step2"))
    for values in (first, second):
        assert (values["data"]["batch_size"], values["trainer"]["accumulate_grad_batches"]) == (30, 1)
        backbone = values["model"]["network"]["init_args"]["backbone"]["init_args"]
        assert (backbone["name"], backbone["resnet"], backbone["frozen_batch_norm"]) == ("resnet101", "pspnet", False)
        assert backbone["output_stride"] == 8
        assert values["model"]["network"]["init_args"]["aggregated"] == "literal"
        assert values["model"]["sgd"]["faster"] == ["classifier"]
    joints = [values["model"]["loss"]["joint"] for values in (first, second)]
    assert [joint["form"] for joint in joints] == ["none", "product"]
    assert (joints[1]["unit"], joints[1]["count"], joints[1]["centers"]) == ("cells", "defined", "decided")
    assert second["model"]["start_from"] == f"{first['output']}/checkpoints/last.ckpt"
    assert (first["trainer"]["max_epochs"], second["trainer"]["max_epochs"]) == (40, 30)
    assert second["model"]["backbone_weights"] is None


@pytest.mark.parametrize("dataset", ["lip", "pascal_person_part"])
def test_the_rivals_have_their_sources_rates(dataset):
    """Rate and batch, and the biases' rate of the Caffe models; the power is the source's for DeepLabV2 and FCN-8s."""
    solvers = {
        "deeplab_v2": (0.001, 10, 0.9),
        "deeplab_v2_resnet101": (0.00025, 10, 0.9),
        "attention": (0.001, 30, 0.9),
        "hazn": (0.001, 30, 0.9),
        "fcn_8s": (1e-4, 20, 0),
    }
    for name, solver in solvers.items():
        values = printed(f"{dataset}/{name}")
        sgd, batch = values["model"]["sgd"], values["data"]["batch_size"] * values["trainer"]["accumulate_grad_batches"]
        assert (sgd["learning_rate"], batch, sgd["power"]) == solver, name
        assert sgd["bias_factor"] == 2, name
    ssl = printed(f"{dataset}/attention_ssl")["model"]
    assert ssl["start_from"] == "runs/{label_set}/attention/checkpoints/last.ckpt"
    assert [ssl["sgd"][name] for name in ("power", "warmup", "faster")] == [0, 0, ["classifier"]]
    assert ssl["loss"]["joint"]["centers"] == "decided"
    scales = printed(f"{dataset}/fcn_8s")["model"]["network"]["init_args"]["skip_scales"]
    assert scales == pytest.approx([57 * 1e-4, 57 * 1e-2])


def test_the_joint_loss_has_a_share_of_the_step():
    """In its own unit, it adds 2 % to the loss of a trained network."""
    joint = printed("lip/ss_nan_step2")["model"]["loss"]["joint"]
    assert [joint[name] for name in ("form", "unit", "weight")] == ["weighted", "gradient", 0.3]


def test_deeplab_is_large_fov_on_person_part():
    """Its row of the paper's Table 3 is that of DeepLab-LargeFOV in other papers."""
    heads = [
        printed(f"{dataset}/deeplab_v2")["model"]["network"]["init_args"]["head"]
        for dataset in ("lip", "pascal_person_part")
    ]
    assert heads == ["aspp", "large_fov"]


@pytest.mark.parametrize("name", ["deeplab_v2", "deeplab_v2_resnet101"])
@pytest.mark.parametrize(("dataset", "photos"), [("lip", 30_462), ("pascal_person_part", 1_716)])
def test_deeplab_has_its_source_s_iterations_and_a_validation_every_2000_to_3100(name, dataset, photos):
    """Validations are at the ends of epochs, where a run can be interrupted."""
    values = printed(f"{dataset}/{name}")
    trainer = values["trainer"]
    assert (trainer["max_steps"], trainer["max_epochs"], trainer["val_check_interval"]) == (20_000, -1, None)
    assert 2000 <= photos // values["data"]["batch_size"] * trainer["check_val_every_n_epoch"] <= 3100
