"""Any timm backbone, cut after a stage and dilated to an output stride."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import timm
from jaxtyping import Float
from safetensors.torch import load_file
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import Tensor, nn


class Backbone(nn.Module):
    """Feature maps of one stage of a timm network.

    Args:
        name: timm model, such as ``resnet101`` or ``tf_efficientnet_lite0``.
        output_stride: pixels between neighbouring features. Stages beyond it are dilated.
        stage: last stage kept, counted as timm counts feature maps; the deepest by default.
            ``stage=3`` of a ResNet ends after ``layer3`` ("conv4_x").
        stride_on_first_conv: ResNet v1, as He et al. published it and as PSPNet and DeepLab use
            it: a stage's stride sits on its first 1 × 1 convolution, and a dilated stage takes its
            rate in every block. timm's own weights are v1.5 and want False.
        frozen_batch_norm: keep the batch-norm statistics and affine terms of the initial weights;
            for batches too small for statistics of their own.
        frozen: modules that get no gradient, by name: ``[conv1, bn1, layer1]`` of a ResNet.
    """

    def __init__(
        self,
        name: str = "resnet101",
        output_stride: int = 8,
        stage: int | None = None,
        stride_on_first_conv: bool = False,
        frozen_batch_norm: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.name = name
        features = timm.create_model(
            name,
            features_only=True,
            out_indices=(-1 if stage is None else stage,),
            output_stride=output_stride,
        )
        self.channels: int = features.feature_info.channels()[-1]
        if stride_on_first_conv:
            _to_resnet_v1(features)
        for module in frozen:
            features.get_submodule(module).requires_grad_(False)
        self.features = freeze_batch_norm_2d(features) if frozen_batch_norm else features

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        return self.features(images)[0]

    def load(self, weights: str) -> None:
        """Start from ``weights``: "timm" for timm's own (a download), or a .safetensors file in
        timm's key names; stages that were cut off are left out.

        Raises:
            ValueError: the file lacks a tensor, or one has another shape.
        """
        if weights == "timm":
            state = timm.create_model(self.name, pretrained=True).state_dict()
        else:
            if not Path(weights).is_file():
                raise ValueError(f"backbone weights {weights!r}: no such file; give a .safetensors file or 'timm'")
            state = load_file(weights)
        own = self.features.state_dict()
        missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"{weights}: not weights of timm's {self.name}: {missing[0]} is missing")
        for key, tensor in own.items():
            if key in state and state[key].shape != tensor.shape:
                raise ValueError(
                    f"{weights}: {key} has shape {tuple(state[key].shape)}, {self.name} has {tuple(tensor.shape)}"
                )
        self.features.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _to_resnet_v1(resnet: nn.Module) -> None:
    for number in (1, 2, 3, 4):
        layer = getattr(resnet, f"layer{number}", None)
        if layer is None:
            break
        first = layer[0]
        if not hasattr(first, "conv3"):
            raise ValueError("stride_on_first_conv: expected a ResNet of bottleneck blocks, such as resnet50")
        first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
        rate = layer[-1].conv2.dilation
        first.conv2.dilation = first.conv2.padding = rate
