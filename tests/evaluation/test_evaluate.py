import json
from dataclasses import replace

import numpy as np
import pytest

from ssnan.data.folder import Sample
from ssnan.evaluation.evaluate import evaluate, numbers, record
from ssnan.labels import LIP
from ssnan.parsing.card import find_card
from ssnan.parsing.parser import Parser


@pytest.mark.parametrize("parts", [True, False])
def test_a_card_has_no_mean_over_classes_of_masks_without_parts(color_parser, tmp_path, parts):
    """The mean would be the IoU of the background alone, which is near 100 %."""
    labels = np.zeros((40, 30), dtype=np.uint8)
    image = np.zeros((40, 30, 3), dtype=np.uint8)
    if parts:
        labels[:20], image[:20, :, 0] = LIP.classes.index("hair"), 255
    confusion, structure, photos, _ = evaluate(color_parser, [Sample("a", image, labels)], LIP)
    (tmp_path / "m.onnx").write_bytes(b"")
    card = replace(find_card("small"), files={"onnxruntime": tmp_path / "m.onnx"}, about={})
    record(card, "own val", numbers(confusion, LIP, photos) | {"structure": structure.numbers()})
    measured = json.loads((tmp_path / "m.json").read_text())["about"]["measured"]["own val"]
    assert ("mean_iou" in measured) == ("mean_iou_merged" in measured) == parts
    assert ("iou_person" in measured) == parts
    assert parts or measured["empty_with_people"] == 0


@pytest.mark.parametrize("without", ["dataset", "model", "neither"])
def test_joints_are_measured_if_the_dataset_or_the_model_has_regions(color_parser, without):
    """Hair is in rows 10 to 19 and found in rows 8 to 19, so that its centre is off by 1 of 39."""
    image, labels = np.zeros((40, 30, 3), dtype=np.uint8), np.zeros((40, 30), dtype=np.uint8)
    image[8:20, :, 0], labels[10:20] = 255, LIP.classes.index("hair")
    bare = replace(LIP, regions=())
    parser = Parser(color_parser.engine, bare if without == "model" else LIP, color_parser.preprocessing)
    structure = evaluate(parser, [Sample("a", image, labels)], bare if without == "dataset" else LIP).structure
    assert structure.missed == 0
    assert structure.offsets == pytest.approx([1 / 39], abs=0.5 / 39)
