import torch
import yaml
from torch.nn.functional import interpolate

from experiments.bundled.edge_start import started
from ssnan.models import SSNAN, NeuralAggregation, SkipBackbone


def test_the_network_with_edges_starts_as_the_one_with_a_skip(tmp_path):
    torch.manual_seed(0)
    skip = SSNAN(20, SkipBackbone("resnet10t", width=16), (0.5, 1.0), NeuralAggregation(20, 2, hidden=12)).eval()
    # Half of the hidden channels do nothing: those are left out.
    skip.aggregation.attention[2].weight.data[:, ::2] = 0
    values = {
        "class_path": "ssnan.models.SSNAN",
        "init_args": {
            "backbone": {"class_path": "ssnan.models.EdgeBackbone", "init_args": {"name": "resnet10t", "width": 16}},
            "scales": [0.5, 1.0],
            "aggregation": {
                "class_path": "ssnan.models.NeuralAggregation",
                "init_args": {"channels": 20, "num_scales": 2, "hidden": 6},
            },
        },
    }
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump({"model": {"network": values}}))
    state = started(tmp_path / "edge.yaml", skip.state_dict())
    assert state["network.aggregation.attention.0.weight"].equal(skip.aggregation.attention[0].weight[1::2])
    assert state["network.aggregation.attention.2.weight"].equal(skip.aggregation.attention[2].weight[:, 1::2])
    weight = state["network.classifier.weight"]
    assert weight[:, :16].equal(skip.classifier.weight)
    assert (weight[:, 16:] == 0).all()
    for name, value in skip.backbone.state_dict().items():
        assert state[f"network.backbone.{name}"].equal(value)
    # On even features both classifiers say the same.
    even = torch.ones(1, 16, 9, 9)
    edges = torch.randn(1, 64, 17, 17)
    finer = torch.cat([interpolate(even, size=(17, 17), mode="bilinear", align_corners=True), edges], dim=1)
    again = torch.nn.functional.conv2d(finer, weight, state["network.classifier.bias"])
    torch.testing.assert_close(again[..., 4, 4], skip.classifier(even)[..., 4, 4])
