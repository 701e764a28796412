"""Initial weights of networks: read files in several formats, and add blocks to shallower networks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ssnan.errors import cause
from ssnan.hub.download import offline_if_unreachable
from ssnan.models.heads import FC67

log = logging.getLogger("ssnan")

State = dict[str, Tensor]

BUNDLED = Path(str(resources.files("ssnan") / "weights"))
"""The folder of bundled weights to start training from, in 16 bits, beside the models."""

PSPNET_STEM = {
    "conv1": "conv1.0",
    "bn1": "conv1.1",
    "conv2": "conv1.3",
    "bn2": "conv1.4",
    "conv3": "conv1.6",
    "bn3": "bn1",
}
"""The stem of PSPNet's ResNet: names in its ImageNet checkpoint, and names in timm."""
PSPNET_LAYER0 = {"0": "conv1.0", "1": "conv1.1", "3": "conv1.3", "4": "conv1.4", "6": "conv1.6", "7": "bn1"}
"""The same stem in a trained PSPNet, where it is one sequence named ``layer0``."""


def read_weights(path: str) -> State:
    """Read the tensors of a ``.safetensors`` file with timm's names, or of a PyTorch file (``.pth``, ``.pt``,
    ``.ckpt``) with the names of timm or PSPNet, with or without the prefix ``module.``.

    Raises:
        ValueError: there is no such file, or it has no tensors.
    """
    if not Path(path).is_file():
        raise ValueError(f"backbone weights {path!r}: no such file; expected a .safetensors or .pth file, or 'timm'")
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = content.get("state_dict", content)
        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        return in_timm_names({key.removeprefix("module."): value for key, value in tensors.items()})
    except Exception as error:
        raise ValueError(f"backbone weights {path!r}: cannot be read ({cause(error)})") from None


def downloaded(name: str) -> State:
    """Tensors of timm's weights for the network ``name``, from its cache or its hub.

    Raises:
        ValueError: they are not cached and cannot be downloaded.
    """
    try:
        with offline_if_unreachable():
            return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # from the hub's client, sockets, or timm
        raise ValueError(
            f"backbone weights 'timm' of {name}: cannot be downloaded ({cause(error)}); set model.backbone_weights "
            "to a file, or start from a bundled model with model.start_from"
        ) from None


def initial_weights(name: str, weights: str) -> State:
    """Initial tensors for timm's network ``name``: those of timm for ``timm``, otherwise those of a file.

    Raises:
        ValueError: as :func:`downloaded` and :func:`read_weights`.
    """
    return downloaded(name) if weights == "timm" else read_weights(weights)


def load_all(module: nn.Module, state: State, weights: str, name: str) -> None:
    """Load every tensor of ``module``, a part of timm's network ``name``, from ``state``; ``weights`` is its name in
    errors.

    Raises:
        ValueError: a tensor is missing or has another shape.
    """
    own = module.state_dict()
    for key, tensor in own.items():
        if key not in state and not key.endswith("num_batches_tracked"):
            raise ValueError(f"backbone weights {weights!r}: not weights of timm's {name}; {key} is missing")
        if key in state and state[key].shape != tensor.shape:
            raise ValueError(
                f"backbone weights {weights!r}: {key} has shape {tuple(state[key].shape)}, {name} has "
                f"{tuple(tensor.shape)}"
            )
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def read_network(source: str | Path) -> State:
    """The tensors of a whole network by name, from a bundled model, a checkpoint of ``ssnan train`` or a
    ``.safetensors`` file.

    Raises:
        ValueError: there is no such model or file, or it has no tensors.
    """
    bundled = {path.stem: path for path in BUNDLED.glob("*.safetensors")}
    path = bundled.get(str(source), Path(source))
    if not path.is_file():
        names = ", ".join(bundled) or "(none bundled)"
        raise ValueError(f"start_from {str(source)!r}: expected {names}, a .safetensors file or a checkpoint")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            # Only weights and plain values, because anything else in a pickle may be code.
            state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:
        raise ValueError(f"start_from {str(source)!r}: cannot be read ({cause(error)})") from None
    prefix = "network."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def take_over(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load the tensors of ``state`` that fit ``network`` by name and shape. With other labels, the classifier does not
    fit. A warning names the parts of ``state`` that are left out. An fc6 and fc7 that fit count as trained.

    Returns:
        Parts of the network, such as ``classifier``, that stay untrained, at least partly.

    Raises:
        ValueError: no tensor fits, or none of the part ``backbone`` of a network that has one.
    """
    own = network.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    parts = {key.partition(".")[0] for key in fitting}
    if not parts or (hasattr(network, "backbone") and "backbone" not in parts):
        raise ValueError(
            "start_from: the weights have another backbone; configure the network to match them; their first "
            f"tensors are {', '.join(list(state)[:3])}"
        )
    network.load_state_dict(fitting, strict=False)
    for name, module in network.named_modules():
        if isinstance(module, FC67):
            module.trained |= all(f"{name}.{key}" in fitting for key in module.state_dict())
    if left_out := _parts_of(key for key in state if key not in fitting):
        log.warning(
            "start_from: %d of %d tensors left out, because the network has none of their name and shape: %s",
            len(state) - len(fitting), len(state), ", ".join(left_out),
        )  # fmt: skip
    return _parts_of(key for key in own if key not in fitting and not key.endswith("num_batches_tracked"))


def _parts_of(keys: Iterable[str]) -> list[str]:
    """Parts of a network with these tensors; those of the backbone by two names, such as ``backbone.smooth``."""
    return list(dict.fromkeys(".".join(key.split(".")[: 2 if key.startswith("backbone") else 1]) for key in keys))


def in_timm_names(state: Mapping[str, Tensor]) -> State:
    """Rename PSPNet's stem to timm's deep stem; all other names are equal."""
    if "layer0.0.weight" in state:
        pattern, names = r"layer0\.(\d)\.", PSPNET_LAYER0
    elif "conv3.weight" in state:
        pattern, names = r"((?:conv|bn)\d)\.", PSPNET_STEM
    else:
        return dict(state)
    return {re.sub(f"^{pattern}", lambda match: f"{names[match[1]]}.", key): value for key, value in state.items()}


def in_feature_names(state: State, wanted: Mapping[str, Tensor]) -> State:
    """Rename the tensors for timm's feature extractors, which flatten ``stages.0.`` to ``stages_0.``."""
    renamed = {key: re.sub(r"^(\w+?)_(\d+)\.", r"\1.\2.", key) for key in wanted}
    return state | {key: state[name] for key, name in renamed.items() if key not in state and name in state}


def grow_resnet(state: State, wanted: Mapping[str, Tensor], silence: Literal["conv", "norm"]) -> State:
    """Add the residual blocks that ``wanted`` has beyond ``state``, as for ResNet-101 from ResNet-50.

    A new block is a copy of the last block of its stage. Its residual branch ends in zero, x + 0 = x, so the output of
    the network is unchanged.

    Args:
        state: tensors of the shallower network.
        wanted: tensors of the deeper network, for their names.
        silence: what to set to zero. ``norm``: scale and shift of the last batch norm, which can then learn. ``conv``:
            weights of the last convolution, for frozen batch norms. (Before a trained batch norm, a zero convolution
            has no variance, and its gradient explodes.)
    """
    result = dict(state)
    last = _last_blocks(state)
    for key, needed in wanted.items():
        match = re.match(r"(.*?layer\d+)\.(\d+)\.(.*)", key)
        if match is None or match[1] not in last or int(match[2]) <= last[match[1]]:
            continue
        stage, _, inside = match.groups()
        source = f"{stage}.{last[stage]}."
        if source + inside not in state:
            continue
        end = "3" if f"{source}conv3.weight" in state else "2"
        value = state[source + inside].clone()
        silent = {"conv": (f"conv{end}.weight", f"bn{end}.bias", f"bn{end}.running_mean"),
                  "norm": (f"bn{end}.weight", f"bn{end}.bias")}[silence]  # fmt: skip
        result[key] = torch.zeros_like(needed, dtype=value.dtype) if inside in silent else value
    return result


def _last_blocks(state: Mapping[str, Tensor]) -> dict[str, int]:
    """The highest block number of every stage of a ResNet; empty for other networks."""
    last: dict[str, int] = {}
    for key in state:
        if match := re.match(r"(layer\d+)\.(\d+)\.conv1", key):
            last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return last
