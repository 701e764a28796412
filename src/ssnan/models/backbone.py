"""Any timm backbone, cut after a stage and dilated to an output stride."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import timm
from jaxtyping import Float
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import Tensor, nn

from ssnan.models.weights import grown, in_feature_names, read_weights


class Backbone(nn.Module):
    """Feature maps of one stage of a timm network.

    Args:
        name: timm model with feature maps, such as ``resnet101``, ``convnext_tiny``, ``pvt_v2_b0``.
        output_stride: pixels between neighbouring features. Stages beyond it are dilated. None
            keeps the network's own stride; networks that cannot be dilated want that.
        stage: last stage kept, counted as timm counts feature maps; the deepest by default.
            ``stage=3`` of a ResNet ends after ``layer3`` ("conv4_x").
        resnet: where a ResNet of bottlenecks strides and dilates. ``v1.5`` is timm's: on the 3 × 3
            convolution; the first block of a dilated stage keeps the rate of the stage before, so
            that the features equal the strided network's. ``v1`` is He et al.'s: on the first
            1 × 1, and every block takes the new rate, which is the exact rule there. ``pspnet`` is
            PSPNet's [39]: a stem of three 3 × 3 convolutions (64, 64, 128), strides as in v1.5,
            yet every block of a dilated stage takes the new rate.
        frozen_batch_norm: keep the batch-norm statistics and affine terms of the initial weights;
            for batches too small for statistics of their own.
        frozen: modules that get no gradient, by name: ``[conv1, bn1, layer1]`` of a ResNet.

    Attributes:
        channels: channels of the features.
        stride: pixels between neighbouring features.

    Raises:
        ValueError: the network cannot be dilated so, or is no ResNet of bottlenecks where one is needed.
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
        super().__init__()
        self.name = name
        self.frozen_batch_norm = frozen_batch_norm
        options: dict[str, Any] = {"features_only": True, "out_indices": (-1 if stage is None else stage,)}
        if resnet == "pspnet":
            options |= {"stem_type": "deep", "stem_width": 64}
        if output_stride is not None:
            options["output_stride"] = output_stride
        self.options = options
        try:
            features = timm.create_model(name, **options)
        except (TypeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f"backbone: timm cannot build {name} with {options} ({error}); if it cannot be dilated, "
                "set output_stride to null and choose a stage"
            ) from None
        self.channels: int = features.feature_info.channels()[-1]
        self.stride: int = features.feature_info.reduction()[-1]
        self.channels_last = "NHWC" in str(getattr(features, "output_fmt", ""))
        if resnet != "v1.5":
            for layer in _bottleneck_stages(features, resnet):
                first = layer[0]
                first.conv2.dilation = first.conv2.padding = layer[-1].conv2.dilation
                if resnet == "v1":
                    first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
        for module in frozen:
            features.get_submodule(module).requires_grad_(False)
        self.features = freeze_batch_norm_2d(features) if frozen_batch_norm else features

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        features: Tensor = self.features(images)[0]
        return features.permute(0, 3, 1, 2) if self.channels_last else features

    def load(self, weights: str) -> None:
        """Start from ``weights``: ``timm`` for timm's own (a download), or a file that
        :func:`ssnan.models.weights.read_weights` reads. Stages that were cut off are left out; blocks
        that a shallower network's file lacks are grown, see :func:`ssnan.models.weights.grown`.

        Raises:
            ValueError: no such file, a tensor is missing, or one has another shape.
        """
        if weights == "timm":
            state = timm.create_model(self.name, pretrained=True, **self.options).state_dict()
        else:
            state = read_weights(weights)
        own = self.features.state_dict()
        state = grown(in_feature_names(state, own), own, silence="conv" if self.frozen_batch_norm else "norm")
        missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"{weights}: not weights of timm's {self.name}: {missing[0]} is missing")
        for key, tensor in own.items():
            if key in state and state[key].shape != tensor.shape:
                raise ValueError(
                    f"{weights}: {key} has shape {tuple(state[key].shape)}, {self.name} has {tuple(tensor.shape)}"
                )
        self.features.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _bottleneck_stages(resnet: nn.Module, variant: str) -> list[Any]:
    layers = [layer for number in (1, 2, 3, 4) if (layer := getattr(resnet, f"layer{number}", None)) is not None]
    if not layers or not all(hasattr(layer[0], "conv3") for layer in layers):
        raise ValueError(f"backbone: resnet={variant!r} needs a ResNet of bottleneck blocks, such as resnet50")
    return layers
