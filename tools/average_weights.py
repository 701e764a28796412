"""Average the weights of two trainings of one network, to restore what the second forgot.

    average_weights.py FIRST.ckpt SECOND.ckpt --share 0.6 -o AVERAGE.ckpt

``--share`` is the weight of SECOND, 0 to 1 (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
Tensors that FIRST lacks are taken from SECOND and printed; with ``--from-zero context.out``, those whose names start so
count as zero in FIRST instead. The result is a checkpoint for ``ssnan evaluate`` and ``ssnan export``. FIRST may be
anything that ``model.start_from`` takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ssnan.models.initial_weights import read_network

KEPT = ("hyper_parameters", "pytorch-lightning_version", "epoch", "global_step")
"""The values of SECOND, beside its weights, from which the network is built again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--from-zero", default=None, metavar="PREFIX")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share: expected 0 to 1, got {options.share:g}")
    first, checkpoint = read_network(options.first), torch.load(options.second, map_location="cpu", weights_only=True)
    state, lacking = {}, []
    for key, value in checkpoint["state_dict"].items():
        name = key.removeprefix("network.")
        if options.from_zero and name not in first and name.startswith(options.from_zero):
            first[name] = torch.zeros_like(value)
        if name not in first:
            lacking.append(name)
        elif first[name].shape != value.shape:
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in (first[name], value))
            parser.error(f"expected two trainings of one network, got {name} with shapes {shapes}")
        mixed = name in first and value.is_floating_point()
        state[key] = first[name].to(value).lerp(value, options.share) if mixed else value
    if len(lacking) == len(state):
        parser.error(f"{options.first}: expected weights of the network of {options.second}, got none of its tensors")
    if lacking:
        print(f"{options.first} lacks these, which are those of {options.second}: {', '.join(lacking)}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: checkpoint[key] for key in KEPT} | {"state_dict": state}, options.output)


if __name__ == "__main__":
    main()
