"""SegNet: Badrinarayanan, Kendall, Cipolla, SegNet: A deep convolutional encoder-decoder architecture
for image segmentation, 2015.

https://arxiv.org/abs/1511.00561
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ssnan.models.heads import classifier
from ssnan.models.initial_weights import initial_weights, load_all
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.vgg import vgg_layers


class SegNet(ParsingNetwork):
    """A VGG whose pools store the position of each maximum, and a mirrored decoder that puts features back at these
    positions. Scores have the photo's size.

    Args:
        num_classes: classes C, including the background.
        encoder: timm's VGG with batch norm; ``vgg16_bn`` in the paper, ``vgg11_bn`` is the smallest.

    Raises:
        ValueError: timm has no such VGG.
    """

    def __init__(self, num_classes: int, encoder: str = "vgg16_bn") -> None:
        super().__init__()
        if not encoder.startswith("vgg"):
            raise ValueError(f"encoder: expected a VGG with batch norm, such as vgg16_bn, got {encoder!r}")
        self.num_classes = num_classes
        self.name = encoder
        blocks: list[list[nn.Module]] = [[]]
        for layer in vgg_layers(encoder):
            if isinstance(layer, nn.MaxPool2d):
                blocks.append([])
            else:
                blocks[-1].append(layer)
        self.encoder = nn.ModuleList(nn.Sequential(*block) for block in blocks if block)
        decoder: list[nn.Module] = []
        for number, block in enumerate(self.encoder):
            convolutions = [layer for layer in block if isinstance(layer, nn.Conv2d)]  # type: ignore[attr-defined]
            layers = [_convolution(layer.out_channels, layer.in_channels) for layer in reversed(convolutions)]
            if number == 0:
                layers[-1] = classifier(convolutions[0].out_channels, num_classes, 3)
            decoder.insert(0, nn.Sequential(*layers))
        self.decoder = nn.ModuleList(decoder)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised photos.

        Raises:
            ValueError: the photos are too small for the pools.
        """
        least = 2 ** len(self.encoder)
        if not torch.compiler.is_compiling() and min(images.shape[2:]) < least:
            height, width = images.shape[2:]
            raise ValueError(f"SegNet: expected a photo of {least} × {least} pixels or more, got {height} × {width}")
        features, places = images, []
        for block in self.encoder:
            features = block(features)
            pooled, indices = max_pool2d(features, 2, return_indices=True)
            places.append((indices, features))
            features = pooled
        for block, (indices, before) in zip(self.decoder, reversed(places), strict=True):
            features = block(unpool(features, indices, before))
        return ParsingOutput(features)

    def new_parameters(self) -> list[nn.Parameter]:
        return list(self.decoder.parameters())

    def load_backbone(self, weights: str) -> None:
        """Load timm's VGG weights into the encoder: ``timm``, or a file.

        Raises:
            ValueError: there are no such weights, or they belong to another network.
        """
        # timm counts a pool after each block.
        features = nn.Sequential(*(layer for block in self.encoder for layer in (*block, nn.Identity())))  # type: ignore[misc]
        load_all(nn.ModuleDict({"features": features}), initial_weights(self.name, weights), weights, self.name)


def unpool(
    pooled: Float[Tensor, "b c h w"], indices: Int[Tensor, "b c h w"], before: Float[Tensor, "b c H W"]
) -> Float[Tensor, "b c H W"]:
    """Put every pooled value back at its flat index in a map of zeros with the size of ``before``: torch's
    ``max_unpool2d`` with operations that can be exported."""
    flat = torch.zeros_like(before).flatten(2)
    return flat.scatter(2, indices.flatten(2), pooled.flatten(2)).reshape(before.shape)


def _convolution(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))
