"""Join a network trained on one scale with the aggregation of a network with two.

    python -m experiments.bundled.both_scales HALF EARLIER -o START.safetensors

HALF is the checkpoint of ``configs/context_half.yaml``. EARLIER is a checkpoint with both scales, whose aggregation is
used. Pass START as ``model.start_from``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import save_file

from ssnan.models.initial_weights import State, read_network


def joined(half: State, earlier: State) -> State:
    """Tensors of ``half``, with the aggregation of ``earlier``, by their names in a checkpoint."""
    state = {name: value for name, value in half.items() if not name.startswith("aggregation.")}
    state |= {name: value for name, value in earlier.items() if name.startswith("aggregation.")}
    return {f"network.{name}": value.contiguous() for name, value in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half")
    parser.add_argument("earlier")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(joined(read_network(options.half), read_network(options.earlier)), options.output)


if __name__ == "__main__":
    main()
