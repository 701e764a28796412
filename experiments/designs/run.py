"""Train, export, measure and time networks of several costs, and print the table.

    python -m experiments.designs.run DILATED [--rows skip_half,dilated_3] [-o runs/designs]
    python -m experiments.designs.run --results experiments/designs/results.csv

A row is one file of ``configs/`` and a longest side, which becomes the nearest of 64 k + 1 (three scales ask for that).
Each network begins as what DILATED, weights of dilated_3.yaml's network, has become, but those that say ImageNet; it is
measured in fp32 on four val splits, in percent, and timed in 8 bits by ``ssnan bench`` on one photo, network alone, in
milliseconds. Rows that are done are not done again; times are taken at the end, in one go. The table is kept in
``results.csv`` beside the runs; --results prints the table of such a file and trains nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from experiments.ingredients.run import COLUMNS, measure, value
from experiments.tables import show, write
from ssnan.data.layouts import open_split
from ssnan.errors import unknown
from ssnan.evaluation.systems import RESULTS
from ssnan.export.quantize import quantize_for_onnxruntime, quantize_for_openvino
from ssnan.parsing.card import ModelCard

CONFIGS = Path(__file__).parent / "configs"
ROWS = {
    "dilated_3": 417,
    "dilated_half": 417,
    "dilated_34": 417,
    "skip_34": 417,
    "skip_half": 417,
    "skip_half_321": 321,
    "edge_half": 417,
    "skip_short": 417,
    "skip_imagenet": 417,
    "lite0_imagenet": 417,
}


def train(design: str, dilated: Path, output: Path) -> Path:
    last = output / "checkpoints" / "last.ckpt"
    if last.exists():
        return last
    start = [] if design.endswith("imagenet") else ["--model.start_from", str(started(design, dilated, output))]
    command = ["ssnan", "train", "--config", str(CONFIGS / f"{design}.yaml"), "--output", str(output)]
    subprocess.run([*command, *start], check=True)
    return last


def started(design: str, dilated: Path, output: Path) -> Path:
    """Weights of a design that are those of ``dilated``, as far as it can take them over."""
    output.mkdir(parents=True, exist_ok=True)
    weights = output / "start.safetensors"
    without_edges = CONFIGS / f"{design.replace('edge', 'skip')}.yaml"
    take_over = ["experiments.bundled.skip_start", str(dilated), str(without_edges), "data/ccp-lip", "-o", str(weights)]
    subprocess.run([sys.executable, "-m", *take_over], check=True)
    if design.startswith("edge"):
        add_edges = [
            "experiments.bundled.edge_start",
            str(weights),
            str(CONFIGS / f"{design}.yaml"),
            "-o",
            str(weights),
        ]
        subprocess.run([sys.executable, "-m", *add_edges], check=True)
    return weights


def exported(row: str, checkpoint: Path) -> Path:
    model = checkpoint.parents[1] / row / "model.onnx"
    if not model.exists():
        command = ["ssnan", "export", "--model", str(checkpoint), "-o", str(model), "--longest-side", str(ROWS[row])]
        subprocess.run(command, check=True)
    return model


def in_eight_bits(model: Path) -> Path:
    """The same for both engines, whatever it costs in accuracy: what is timed does not depend on the weights."""
    card = ModelCard.read(model.with_suffix(".json"))
    files = {"onnxruntime": model.with_name("int8.onnx"), "openvino": model.with_name("int8.xml")}
    if not all(file.exists() for file in files.values()):
        folder = open_split(Path("data/ccp-lip"), "train")
        photos = [folder[index].image for index in range(4)]
        quantize_for_onnxruntime(model, files["onnxruntime"], card.preprocessing, photos)
        quantize_for_openvino(model, files["openvino"], card.preprocessing, photos)
        replace(card, files=files).write(model.with_name("int8.json"))
    return files["onnxruntime"]


def milliseconds(model: Path, photo: Path) -> dict[str, float]:
    where = model.with_suffix(".bench.json")
    command = ["ssnan", "bench", str(photo), "--model", str(model), "--json", str(where)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    engines = json.loads(where.read_text())["engines"]
    return {name: 1000 * engine["stages"]["network"]["median"] for name, engine in engines.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dilated", type=Path, nargs="?", help="checkpoint or .safetensors file")
    parser.add_argument("--rows", type=lambda text: tuple(text.split(",")), default=tuple(ROWS))
    parser.add_argument("--photo", type=Path, default=Path("examples/grace_hopper.jpg"))
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/designs"))
    parser.add_argument("--results", type=Path, metavar="FILE", help="print the table of this file, train nothing")
    options = parser.parse_args()
    if options.results is not None:
        show(options.results)
        return
    if problem := unknown("row", options.rows, tuple(ROWS)):
        parser.error(f"--rows: {problem}")
    if options.dilated is None:
        parser.error("expected DILATED, the weights to begin with, or --results FILE")
    models, accuracy = {}, {}
    for row in options.rows:
        design = row.removesuffix("_321")
        models[row] = exported(row, train(design, options.dilated, options.output / design))
        accuracy[row] = measure(models[row], models[row].parent)
    timed = {row: in_eight_bits(model) for row, model in models.items()}
    times = {row: milliseconds(model, options.photo) for row, model in timed.items()}
    engines = list(next(iter(times.values())))
    table = [["row", "GFLOPs at 321 × 321", *(f"{engine}, ms" for engine in engines), *COLUMNS]]
    for row in options.rows:
        cells = [f"{value(accuracy[row], column):.1f}" for column in COLUMNS]
        flops = json.loads((models[row].parents[1] / RESULTS).read_text())["flops_321"]
        table.append([row, f"{flops / 1e9:.1f}", *(f"{times[row][name]:.0f}" for name in engines), *cells])
    write(table, options.output / "results.csv")
    show(options.output / "results.csv")


if __name__ == "__main__":
    main()
