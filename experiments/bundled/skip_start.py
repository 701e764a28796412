"""A network with a skip, with fewer scales or fewer blocks, that starts as what a dilated one has become.

    python -m experiments.bundled.skip_start DILATED CONFIG.yaml DATASET -o START.safetensors

The weights of :class:`ssnan.models.SkipBackbone` fit as they are: a dilated stage computes at every position what
the strided one computes at its own. The classifier is factored through the ``width`` channels of the skip: the
directions of the stage's features that move the class scores most, measured on photos of DATASET. Each takes two
channels, y and −y, of which the rectifiers pass one; the skip itself starts small. The aggregation keeps what it
has learned about the scales that stay. Of a shorter backbone the blocks that it has begin as the first of the
longer's. DILATED is a checkpoint, or a .safetensors file, of the network that --of describes; CONFIG is the recipe of
the new network; give START as its ``model.start_from``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from ssnan.data.layouts import open_split
from ssnan.labels import LIP
from ssnan.models import SSNAN, SkipBackbone
from ssnan.models.building import build_network
from ssnan.models.initial_weights import read_network
from ssnan.models.pyramid import resized
from ssnan.parsing.preprocessing import Preprocessing

DILATED_3 = Path(__file__).parent.parent / "designs" / "configs" / "dilated_3.yaml"


def network_of(config: Path, num_classes: int) -> SSNAN:
    values = yaml.safe_load(config.read_text())["model"]["network"]
    values["init_args"]["num_classes"] = num_classes
    network = build_network(values)
    assert isinstance(network, SSNAN)
    return network


@torch.no_grad()
def moments(dilated: SSNAN, dataset: Path, longest_side: int, count: int) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of the features over ``count`` photos at both ends of the scales."""
    folder, prepare = open_split(dataset, "train"), Preprocessing(longest_side=longest_side, multiple=32)
    total, squares, pixels = torch.zeros(()), torch.zeros(()), 0
    for index in range(0, len(folder), max(1, len(folder) // count)):
        image = torch.from_numpy(prepare(folder[index].image))[None]
        for scale in (dilated.scales[0], dilated.scales[-1]):
            features = dilated.backbone(resized(image, scale))[0].flatten(1).double()
            total, squares = total + features.sum(dim=1), squares + features @ features.T
            pixels += features.shape[1]
    mean = total / pixels
    return mean, squares / pixels - mean[:, None] * mean


def factor(weight: Tensor, mean: Tensor, covariance: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """(width, C) directions whose values on the features have deviation 1, their mean (width,), and the
    classifier (K, width, 3, 3) that reads them as ``weight`` (K, C, 3, 3) reads the features."""
    classes, channels = weight.shape[:2]
    rows = weight.double().permute(0, 2, 3, 1).reshape(-1, channels)
    values, vectors = torch.linalg.eigh(covariance + 1e-6 * covariance.trace() / channels * torch.eye(channels))
    root = vectors * values.clamp_min(1e-12).sqrt()
    left, strength, right = torch.linalg.svd(root.T @ rows.T, full_matrices=False)
    kept = min(width, len(strength))
    directions = (vectors / values.clamp_min(1e-12).sqrt() @ left[:, :kept]).T
    reader = (right[:kept].T * strength[:kept]).reshape(classes, 3, 3, kept).permute(0, 3, 1, 2)
    return directions, directions @ mean, reader


@torch.no_grad()
def take_over_classifier(skip: SSNAN, dilated: SSNAN, mean: Tensor, covariance: Tensor) -> None:
    backbone, half = skip.backbone, skip.backbone.channels // 2
    directions, offset, reader = factor(dilated.classifier.weight, mean, covariance, half)
    backbone.deep.weight.copy_(torch.cat([directions, -directions])[:, :, None, None])
    backbone.deep.bias.copy_(torch.cat([-offset, offset]))
    backbone.fine.weight.mul_(0.1)
    backbone.smooth.weight.mul_(0.02)
    backbone.smooth.weight[range(2 * half), range(2 * half), 1, 1] += 1
    skip.classifier.weight.copy_(torch.cat([reader, -reader], dim=1))
    skip.classifier.bias.copy_(dilated.classifier.bias + reader.sum(dim=(2, 3)) @ offset)


@torch.no_grad()
def take_over_aggregation(student: SSNAN, dilated: SSNAN) -> None:
    kept = [dilated.scales.index(scale) for scale in student.scales]
    first, last = dilated.aggregation.attention[0], dilated.aggregation.attention[2]
    classes = student.num_classes
    channels = [scale * classes + channel for scale in kept for channel in range(classes)]
    student.aggregation.attention[0].weight.copy_(first.weight[:, channels])
    student.aggregation.attention[0].bias.copy_(first.bias)
    student.aggregation.attention[2].weight.copy_(last.weight[kept])
    student.aggregation.attention[2].bias.copy_(last.bias[kept])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dilated", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--of", type=Path, default=DILATED_3, metavar="CONFIG")
    parser.add_argument("--longest-side", type=int, default=321)
    parser.add_argument("--count", type=int, default=40, help="photos measured (40)")
    options = parser.parse_args()
    dilated, student = (network_of(config, len(LIP)).eval() for config in (options.of, options.config))
    dilated.load_state_dict(read_network(options.dilated))
    known = dilated.backbone.features.state_dict()
    student.backbone.features.load_state_dict({key: known[key] for key in student.backbone.features.state_dict()})
    if isinstance(student.backbone, SkipBackbone):
        take_over_classifier(student, dilated, *moments(dilated, options.dataset, options.longest_side, options.count))
    else:
        student.classifier.load_state_dict(dilated.classifier.state_dict())
    take_over_aggregation(student, dilated)
    save_file({f"network.{key}": value.contiguous() for key, value in student.state_dict().items()}, options.output)


if __name__ == "__main__":
    main()
