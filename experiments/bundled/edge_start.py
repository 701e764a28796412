"""A network with edges that starts as what one with a skip has become.

    python -m experiments.bundled.edge_start WEIGHTS CONFIG.yaml -o START.safetensors

WEIGHTS is a bundled model's name, a checkpoint or a .safetensors file of an SSNAN on
:class:`ssnan.models.SkipBackbone`; CONFIG the recipe of one on :class:`ssnan.models.EdgeBackbone`. The classifier
reads the features as before, now enlarged, and the edges not at all. Of the aggregation's hidden channels those stay
that move the weights of the scales most. Give START as ``model.start_from``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from experiments.bundled.skip_start import network_of
from ssnan.labels import LIP
from ssnan.models.initial_weights import State, read_network, take_over


@torch.no_grad()
def started(config: Path, state: State) -> State:
    network = network_of(config, len(LIP))
    take_over(network, state)
    known = state["classifier.weight"].shape[1]
    network.classifier.weight.zero_()
    network.classifier.weight[:, :known] = state["classifier.weight"]
    network.classifier.bias.copy_(state["classifier.bias"])
    first, last = network.aggregation.attention[0], network.aggregation.attention[2]
    into, out = state["aggregation.attention.0.weight"].float(), state["aggregation.attention.2.weight"].float()
    strength = into.flatten(1).norm(dim=1) * out.transpose(0, 1).flatten(1).norm(dim=1)
    kept = strength.topk(len(first.weight)).indices.sort().values
    first.weight.copy_(into[kept])
    first.bias.copy_(state["aggregation.attention.0.bias"][kept])
    last.weight.copy_(out[:, kept])
    last.bias.copy_(state["aggregation.attention.2.bias"])
    return {f"network.{key}": value.contiguous() for key, value in network.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(started(options.config, read_network(options.weights)), options.output)


if __name__ == "__main__":
    main()
