"""What every system must do: a new one earns these tests by deriving a class and writing ``build``."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ssnan.export.onnx import export_network
from ssnan.labels import LIP
from ssnan.losses import ParsingLoss
from ssnan.models import ParsingNetwork
from ssnan.parsing.engines import OnnxRuntimeEngine
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.training.checkpoint import TorchEngine

CLASSES = 20


class SystemContract:
    """Derive, and write ``build``, a tiny network of 20 classes.

    Attributes:
        stride: pixels between neighbouring scores.
        export_skipped: why the network cannot be exported, if it cannot.
    """

    stride = 8
    export_skipped: str | None = None

    def build(self) -> ParsingNetwork:
        raise NotImplementedError

    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return self.build().eval()

    @pytest.mark.parametrize("size", [(64, 64), (65, 97), (41, 120)])
    @torch.no_grad()
    def test_shapes_also_of_odd_sizes_and_a_batch_of_one(self, network, size):
        output = network(torch.randn(1, 3, *size))
        expected = tuple(-(-side // self.stride) for side in size)
        assert output.scores.shape == (1, CLASSES, *expected)
        for scores in output.scale_scores:
            assert scores.shape == output.scores.shape
        if output.scale_weights is not None:
            torch.testing.assert_close(output.scale_weights.sum(1), torch.ones(1, *expected))

    def test_finite_gradient_for_every_parameter(self, network):
        images = torch.randn(2, 3, 65, 65)
        labels = torch.randint(0, CLASSES, (2, 65, 65))
        output = network.train()(images)
        own = network.auxiliary_losses(output, {"labels": labels, "limbs": labels, "instances": labels}, LIP)
        loss = ParsingLoss(LIP)(output, labels)["loss"] + sum(own.values())
        loss.backward()
        for name, parameter in network.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
            assert parameter.grad is None or parameter.grad.isfinite().all(), name
        assert {id(p) for p in network.new_parameters()} <= {id(p) for p in network.parameters()}

    @torch.no_grad()
    def test_saved_and_loaded_is_the_same(self, network, tmp_path):
        images = torch.randn(1, 3, 65, 49)
        torch.save(network.state_dict(), tmp_path / "w.pt")
        other = self.build().eval()
        other.load_state_dict(torch.load(tmp_path / "w.pt"))
        torch.testing.assert_close(other(images).scores, network(images).scores)

    @torch.no_grad()
    def test_photos_of_a_batch_do_not_meet(self, network):
        images = torch.randn(3, 3, 65, 49)
        together, alone = network(images).scores[1:2], network(images[1:2]).scores
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)

    def test_the_photo_matters(self, network):
        with torch.no_grad():
            # Weights that are zero at the start would hide a network that ignores its input.
            for module in network.modules():
                if isinstance(module, nn.Conv2d) and module.out_channels == CLASSES:
                    nn.init.normal_(module.weight, std=0.1)
            first, second = (network(torch.randn(1, 3, 65, 65)).scores for _ in range(2))
        assert (first - second).abs().max() > 1e-5

    def test_torch_parses_a_photo(self, network):
        parser = Parser(TorchEngine(network, torch.device("cpu")), LIP, Preprocessing(longest_side=65))
        result = parser(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))
        assert result.labels.shape == (60, 40)
        with torch.no_grad():
            output = network(torch.randn(1, 3, 65, 65))
        assert (result.instance_maps is not None) == (output.people is not None)

    def test_exported_is_the_same(self, network, tmp_path):
        if self.export_skipped:
            pytest.skip(self.export_skipped)
        export_network(copy.deepcopy(network), tmp_path / "n.onnx")
        engine = OnnxRuntimeEngine(tmp_path / "n.onnx", threads=1)
        for size in ((65, 49), (97, 129)):
            images = torch.randn(1, 3, *size)
            with torch.no_grad():
                expected = network(images).scores
            scale = expected.abs().max().item()
            torch.testing.assert_close(torch.from_numpy(engine(images.numpy())), expected, atol=1e-3 * scale, rtol=0)
