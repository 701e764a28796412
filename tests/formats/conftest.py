import numpy as np
import pytest
from PIL import Image

from ssnan.labels import LIP
from ssnan.results.result import ParsingResult

LABELS = np.zeros((40, 30), dtype=np.uint8)
LABELS[2:10, 10:20] = LIP.classes.index("hair")
LABELS[4:9, 12:18] = LIP.classes.index("face")  # a hole in the hair
LABELS[10:36, 5:25] = LIP.classes.index("upper-clothes")
LABELS[14:20, 8:12] = LIP.classes.index("left-arm")
LABELS[14:20, 18:22] = LIP.classes.index("right-arm")
LABELS[24:30, 12:18] = 0  # a hole where nobody is
LABELS[38, 28] = LIP.classes.index("left-shoe")  # one pixel
LABELS[0:3, 0:3] = LIP.classes.index("hat")  # in the corner
LABELS[39, 0] = 255


@pytest.fixture
def folder(tmp_path):
    """Two maps, one in a folder of its own, with their photos, and what else ``ssnan parse`` leaves there."""
    rng = np.random.default_rng(0)
    for name, labels in (("one", LABELS), ("deeper/two", LABELS[:, ::-1])):
        for place, photo in (("maps", None), ("photos", rng.integers(0, 256, (*labels.shape, 3), dtype=np.uint8))):
            path = tmp_path / place / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if photo is None:
                ParsingResult(np.ascontiguousarray(labels), LIP).save(path)
                ParsingResult(np.ascontiguousarray(labels), LIP).to_image().save(path.with_suffix(".overlay.png"))
            else:
                Image.fromarray(photo).save(path.with_suffix(".jpg"))
    return tmp_path
