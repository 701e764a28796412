import math
from types import SimpleNamespace

import pytest
import torch

from experiments.bundled import keeping
from experiments.bundled.keeping import Keeping, divergence
from ssnan.labels import LIP
from ssnan.models import ParsingOutput
from ssnan.models.output import ParsingNetwork


def test_divergence_by_hand():
    even, uneven = (torch.tensor(values).log().view(1, 2, 1, 1) for values in ((0.5, 0.5), (0.25, 0.75)))
    assert divergence(uneven, even).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert divergence(even, uneven).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert divergence(even + 3, even).item() == pytest.approx(0)  # scores, not logarithms of probabilities


class Linear(ParsingNetwork):
    """Scores that are a multiple of a photo's channels."""

    num_classes = 3

    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return ParsingOutput(self.factor * images)

    def auxiliary_losses(self, output, batch, label_set):
        return {"own": output.scores.mean()}

    def new_parameters(self):
        return [self.factor]

    def load_backbone(self, weights):
        raise NotImplementedError


@pytest.fixture
def kept(monkeypatch):
    """A network whose earlier form had half its scores."""
    monkeypatch.setattr(keeping, "read_task", lambda checkpoint: SimpleNamespace(network=Linear(1.0)))
    network = Linear(2.0)
    task = SimpleNamespace(network=network, device=torch.device("cpu"))
    Keeping("earlier.ckpt", weight=3.0).on_fit_start(None, task)
    return network


def test_the_term_is_added_to_those_of_the_network(kept):
    images = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)  # exact in 16 bits
    losses = kept.auxiliary_losses(kept(images), {"images": images}, LIP)
    assert losses["own"].item() == 0
    assert losses["kept"].item() == pytest.approx(3 * divergence(2 * images, images).item())
    losses["kept"].backward()
    assert kept.factor.grad.item() > 0  # a smaller factor is nearer to the earlier model
    assert set(kept.state_dict()) == {"factor"}


def test_the_earlier_model_sees_the_plain_photos(kept):
    images = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    losses = kept.auxiliary_losses(kept(images), {"images": images, "plain": 2 * images}, LIP)
    assert losses["kept"].item() == pytest.approx(0)
