import pytest
import yaml

from fakes.lip import write_lip


@pytest.fixture
def recipe(tmp_path):
    """Arguments of a tiny training whose photos may stay in memory."""
    root = str(write_lip(tmp_path / "lip"))
    values = {
        "data": {
            "sources": [{"root": root, "share": 1}],
            "validation": root,
            "preprocessing": {"longest_side": 64},
            "crop": [65, 65],
            "batch_size": 2,
            "num_workers": 0,
            "resident_side": 64,
        },
        "model": {
            "network": {
                "class_path": "ssnan.models.SSNAN",
                "init_args": {
                    "backbone": {"name": "resnet10t", "output_stride": 8},
                    "scales": [1.0],
                    "aggregation": {"class_path": "ssnan.models.AverageAggregation"},
                },
            }
        },
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return ["--config", str(path)]
