"""Write web/generated/: the model and the engines as the page loads them, and the model's card as a module."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

from ssnan.parsing.card import DEFAULT_MODEL, find_card
from ssnan.parsing.preprocessing import MIN_SIDE
from ssnan.results.colors import distinct
from ssnan.results.people import ABOVE, AROUND
from ssnan.results.result import SOLID, TRANSPARENT
from ssnan.scores.grouping import APART, LEAST, LEAST_HEAD, MOST_PEOPLE, ONE_HEAD, SURE
from ssnan.scores.unsure import MARGIN

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
ENGINES = HERE / "node_modules" / "onnxruntime-web" / "dist"


def main() -> None:
    """The files have names that no server unpacks by itself; the page does it."""
    card = find_card(DEFAULT_MODEL)
    values = {
        "labelSet": card.label_set.to_dict(),
        "distinctPalette": distinct(card.label_set).palette,
        "preprocessing": asdict(card.preprocessing) | {"min_side": MIN_SIDE},
        "cutout": {"transparent": TRANSPARENT, "solid": SOLID},
        "unsure": {
            "least": card.min_person_confidence,
            "margin": MARGIN,
            "person": card.label_set.person[: len(card.label_set)].tolist(),
        },
        "people": {
            "head": card.label_set.head[: len(card.label_set)].tolist(),
            "apart": APART,
            "oneHead": ONE_HEAD,
            "least": LEAST,
            "leastHead": LEAST_HEAD,
            "most": MOST_PEOPLE,
            "sure": SURE,
            "above": ABOVE,
            "around": AROUND,
        },
    }
    GENERATED.mkdir(exist_ok=True)
    (GENERATED / "card.js").write_text(f"export default {json.dumps(values)}\n")
    packed = {"model": card.weights("onnxruntime")}
    packed |= {name: ENGINES / f"ort-wasm-simd-threaded{ending}.wasm" for name, ending in
               (("wasm", ""), ("webgpu", ".asyncify"))}  # fmt: skip
    for name, file in packed.items():
        (GENERATED / f"{name}.bin").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
