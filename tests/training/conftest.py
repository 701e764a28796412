import pytest
import yaml

from fakes.lip import write_lip
from ssnan.training import results
from ssnan.training.cli import train


def measure_briefly(patch):
    """``results.json`` holds the cost of a small photo, run once."""
    patch.setattr(results, "TIMED", 0.0)
    for measure in (results.flops, results.seconds):
        patch.setattr(results, measure.__name__, lambda network, side, measure=measure: measure(network, side // 5))


@pytest.fixture(autouse=True)
def measured_briefly(monkeypatch):
    measure_briefly(monkeypatch)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """A training of seconds on drawn people; nobody changes what lies there."""
    folder = tmp_path_factory.mktemp("training")
    lip_root = write_lip(folder / "lip")
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
                "init_args": {
                    "backbone": {"name": "resnet10t", "output_stride": 8},
                    "aggregation": {
                        "class_path": "ssnan.models.NeuralAggregation",
                        "init_args": {"channels": 20, "num_scales": 3, "hidden": 8},
                    },
                },
            },
            "loss": {"joint": {"form": "weighted"}},
        },
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


@pytest.fixture(scope="session")
def plain_run(config, tmp_path_factory):
    """The folder of a finished run of one epoch; to be read only."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    with pytest.MonkeyPatch.context() as patch:
        measure_briefly(patch)
        train(["--config", config, "--output", str(folder), "--trainer.max_epochs", "1"])
    return folder
