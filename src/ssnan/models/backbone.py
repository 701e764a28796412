"""Backbones from timm: one feature map at an output stride, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.frozen_norms import freeze_norms, other_norms
from ssnan.models.initial_weights import State, grow_resnet, in_feature_names, initial_weights, load_all
from ssnan.models.pyramid import enlarged
from ssnan.models.timm_network import timm_network
from ssnan.models.vgg import VGG

Own = TypeVar("Own", bound="_TimmFeatures")


class _TimmFeatures(nn.Module):
    """Feature maps of a timm network, and the methods that every system needs."""

    def __init__(self, name: str, features: nn.Module, frozen_batch_norm: bool, frozen: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.frozen_batch_norm = frozen_batch_norm
        for module in frozen:
            features.get_submodule(module).requires_grad_(False)
        self.features = features
        if frozen_batch_norm:
            freeze_norms(features)
        self.channels_last = "NHWC" in str(getattr(features, "output_fmt", ""))

    def train(self: Own, mode: bool = True) -> Own:
        """Set the mode of all modules; frozen norms that no convolution applies stay in inference mode."""
        super().train(mode)
        if self.frozen_batch_norm:
            for norm in other_norms(self.features):
                norm.eval()
        return self

    def new_parameters(self) -> list[nn.Parameter]:
        """Parameters without initial weights, which learn at the rate of the classifier."""
        return []

    def maps(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.features(images)
        return [feature_map.permute(0, 3, 1, 2) for feature_map in maps] if self.channels_last else maps

    def load(self, weights: str) -> State:
        """Load initial ``weights``: ``timm`` downloads those of timm, and anything else is a file for
        :func:`ssnan.models.initial_weights.read_weights`. Removed stages are ignored. Blocks that a shallower network
        lacks are added, see :func:`ssnan.models.initial_weights.grow_resnet`.

        Returns:
            All tensors of the weights, for heads that use them too.

        Raises:
            ValueError: there is no such file, a tensor is missing or has another shape, or the download fails.
        """
        own = self.features.state_dict()
        state = in_feature_names(initial_weights(self.name, weights), own)
        state = grow_resnet(state, own, silence="conv" if self.frozen_batch_norm else "norm")
        load_all(self.features, state, weights, self.name)
        return state


class Backbone(_TimmFeatures):
    """The feature map of one stage of a timm network.

    Args:
        name: timm model with feature maps, such as ``resnet101``, ``regnety_008`` or ``pvt_v2_b0``, or a VGG, see
            :class:`ssnan.models.vgg.VGG`. ConvNeXt cuts the photo into patches and has no feature on its first and
            last pixel, so its maps lie up to half a stride beside them.
        output_stride: pixels between neighbouring features; deeper stages are dilated. None keeps the network's stride,
            for networks that cannot be dilated.
        stage: last stage to keep, as timm counts feature maps (for a VGG, its pools); the deepest by default.
            ``stage=3`` of a ResNet ends after ``layer3`` ("conv4_x").
        resnet: where a ResNet of bottlenecks strides and dilates. ``v1.5`` is timm's: in the 3 × 3 convolution. The
            first block of a dilated stage keeps the rate of the stage before, so that the features equal those of the
            strided network. ``v1`` is He et al.'s: in the first 1 × 1 convolution, and every block has the new rate,
            which gives equal features there. ``pspnet`` is PSPNet's (https://arxiv.org/abs/1612.01105): a stem of three
            3 × 3 convolutions (64, 64, 128), strides as in v1.5, but every block of a dilated stage has the new rate.
        frozen_batch_norm: whether to keep the batch-norm statistics and affine terms of the initial weights, for small
            batches.
        frozen: names of modules without gradient, such as ``[conv1, bn1, layer1]`` of a ResNet.

    Attributes:
        channels: channels of the features.
        stride: pixels between neighbouring features.

    Raises:
        ValueError: the network does not support this dilation, or ``resnet`` needs a ResNet of bottlenecks.
    """

    def __init__(
        self,
        name: str = "resnet101",
        output_stride: int | None = 8,
        stage: int | None = None,
        resnet: Literal["v1.5", "v1", "pspnet"] = "v1.5",
        frozen_batch_norm: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        if name.startswith("vgg"):
            features: Any = _vgg(name, output_stride or 32, (5 if stage is None else stage,), resnet)
            channels, stride = features.channels[-1], features.strides[-1]
        else:
            features = _timm(name, (-1 if stage is None else stage,), output_stride, resnet)
            channels, stride = features.feature_info.channels()[-1], features.feature_info.reduction()[-1]
        super().__init__(name, features, frozen_batch_norm, frozen)
        self.channels: int = channels
        self.stride: int = stride

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        return self.maps(images)[-1]


class SkipBackbone(_TimmFeatures):
    """Features of a deep stage with a skip from a finer stage, at the stride of the finer. This needs half the
    arithmetic of a dilated stage at that stride (ResNet-50), and adds the edges of the finer map.

    1 × 1 convolutions bring both maps to ``width`` channels, and the deeper is enlarged with aligned corners. Their sum
    passes a ReLU, a 3 × 3 convolution and a ReLU.

    Args:
        name: timm model, or a VGG.
        strides: strides of the finer and the deeper map; 8 and 16 are ``layer2`` and ``layer3`` of a ResNet.
        width: channels of the result.
        resnet: where a ResNet of bottlenecks strides, see :class:`Backbone`.
        frozen_batch_norm: whether to keep the batch norms of the initial weights.
        frozen: names of modules without gradient.

    Attributes:
        channels: channels of the features.

    Raises:
        ValueError: there are not two strides, or the network has no map at one of them.
    """

    MAPS = 2
    """Number of maps."""

    def __init__(
        self,
        name: str = "resnet50",
        strides: Sequence[int] = (8, 16),
        width: int = 128,
        resnet: Literal["v1.5", "v1", "pspnet"] = "v1.5",
        frozen_batch_norm: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        if len(strides) != self.MAPS:
            raise ValueError(f"{type(self).__name__}: expected {self.MAPS} strides, finest first, got {list(strides)}")
        pyramid = Pyramid(name, strides, resnet)
        super().__init__(name, pyramid.features, frozen_batch_norm, frozen)
        self.channels = width
        *self.finer, fine, deep = pyramid.channels
        self.fine, self.deep = nn.Conv2d(fine, width, 1), nn.Conv2d(deep, width, 1)
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        for layer in (self.fine, self.deep, self.smooth):
            start_for_relu(layer)

    def new_layers(self) -> list[nn.Conv2d]:
        """The convolutions added to the network."""
        return [self.fine, self.deep, self.smooth]

    def joined(self, fine: Tensor, deep: Tensor, context: Tensor | None = None) -> Tensor:
        """Join both maps at the stride of the finer. ``context``, (B, ``width``, any height, any width), is added to
        their sum."""
        together = self.fine(fine) + enlarged(self.deep(deep), fine)
        if context is not None:
            together = together + enlarged(context, fine)
        return self.smooth(together.relu()).relu()

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        fine, deep = self.maps(images)
        return self.joined(fine, deep)

    def new_parameters(self) -> list[nn.Parameter]:
        return [parameter for layer in self.new_layers() for parameter in layer.parameters()]


class EdgeBackbone(SkipBackbone):
    """The features of :class:`SkipBackbone` at the stride of a still finer map, concatenated with edges from that map.
    They help with hands, shoes and glasses, which cover only a few features at stride 8.

    1 × 1 convolutions bring the finer map and the features to ``edge_width`` channels. Their sum passes a ReLU, a 3 × 3
    convolution and a ReLU to give the edges.

    Args:
        name: timm model, or a VGG.
        strides: strides of the three maps; 4, 8 and 16 are ``layer1`` to ``layer3`` of a ResNet.
        width: channels of the features with a skip, which come first.
        edge_width: channels of the edges, which come last.
        resnet: where a ResNet of bottlenecks strides, see :class:`Backbone`.
        frozen_batch_norm: whether to keep the batch norms of the initial weights.
        frozen: names of modules without gradient.

    Attributes:
        channels: channels of the features.

    Raises:
        ValueError: there are not three strides, or the network has no map at one of them.
    """

    MAPS = 3

    def __init__(
        self,
        name: str = "resnet50",
        strides: Sequence[int] = (4, 8, 16),
        width: int = 128,
        edge_width: int = 64,
        resnet: Literal["v1.5", "v1", "pspnet"] = "v1.5",
        frozen_batch_norm: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__(name, strides, width, resnet, frozen_batch_norm, frozen)
        self.channels = width + edge_width
        self.finest = nn.Conv2d(self.finer[0], edge_width, 1)
        self.context = nn.Conv2d(width, edge_width, 1)
        self.edges = nn.Conv2d(edge_width, edge_width, 3, padding=1)
        for layer in (self.finest, self.context, self.edges):
            start_for_relu(layer)

    def new_layers(self) -> list[nn.Conv2d]:
        return [*super().new_layers(), self.finest, self.context, self.edges]

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        finest, fine, deep = self.maps(images)
        return self.with_edges(finest, self.joined(fine, deep))

    def with_edges(self, finest: Tensor, features: Tensor) -> Float[Tensor, "b c h w"]:
        """The result of :meth:`joined` at the size of the finest map, concatenated with the edges."""
        edges = self.edges((self.finest(finest) + enlarged(self.context(features), finest)).relu()).relu()
        return torch.cat([enlarged(features, finest), edges], dim=1)


def start_for_relu(layer: nn.Conv2d) -> None:
    """Initialise weights for a following ReLU as He et al., and biases to zero."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class Pyramid(_TimmFeatures):
    """Feature maps of a network at several strides, finest first.

    Args:
        name: timm model, or a VGG, whose maps come after its pools.
        strides: strides of the maps; 8, 16 and 32 are pool3, pool4 and pool5 of a VGG.
        resnet: where a ResNet of bottlenecks strides, see :class:`Backbone`.
        frozen_batch_norm: whether to keep the batch norms of the initial weights.
        frozen: names of modules without gradient.

    Attributes:
        channels: channels of each map.

    Raises:
        ValueError: there are no strides, or the network has no map at one of them.
    """

    def __init__(
        self,
        name: str = "vgg16",
        strides: Sequence[int] = (8, 16, 32),
        resnet: Literal["v1.5", "v1", "pspnet"] = "v1.5",
        frozen_batch_norm: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        is_vgg = name.startswith("vgg")
        every = [2, 4, 8, 16, 32] if is_vgg else timm_network(name, features_only=True).feature_info.reduction()
        stages = tuple(index for index, stride in enumerate(every) if stride in strides)
        if not strides or [every[stage] for stage in stages] != list(strides):
            raise ValueError(f"pyramid: {name} has maps at strides {every}, expected {list(strides)}")
        if is_vgg:
            features: Any = _vgg(name, 32, tuple(stage + 1 for stage in stages), resnet)
            channels = features.channels
        else:
            features = _timm(name, stages, None, resnet)
            channels = features.feature_info.channels()
        super().__init__(name, features, frozen_batch_norm, frozen)
        self.channels: list[int] = list(channels)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> list[Tensor]:
        return self.maps(images)


def _vgg(name: str, output_stride: int, pools: tuple[int, ...], resnet: str) -> VGG:
    if resnet != "v1.5":
        raise ValueError(
            f"backbone: resnet={resnet!r} needs a ResNet of bottleneck blocks, such as resnet50, got {name}"
        )
    return VGG(name, output_stride, pools)


def _timm(name: str, stages: tuple[int, ...], output_stride: int | None, resnet: str) -> Any:
    options: dict[str, Any] = {"features_only": True, "out_indices": stages}
    if resnet == "pspnet":
        options |= {"stem_type": "deep", "stem_width": 64}
    if output_stride is not None:
        options["output_stride"] = output_stride
    features = timm_network(name, **options)
    if resnet != "v1.5":
        for layer in _bottleneck_stages(features, resnet):
            first = layer[0]
            first.conv2.dilation = first.conv2.padding = layer[-1].conv2.dilation
            if resnet == "v1":
                first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
    return features


def _bottleneck_stages(resnet: nn.Module, variant: str) -> list[Any]:
    layers = [layer for number in (1, 2, 3, 4) if (layer := getattr(resnet, f"layer{number}", None)) is not None]
    if not layers or not all(hasattr(layer[0], "conv3") for layer in layers):
        raise ValueError(f"backbone: resnet={variant!r} needs a ResNet of bottleneck blocks, such as resnet50")
    return layers
