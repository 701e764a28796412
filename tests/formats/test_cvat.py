import numpy as np
import pytest

from formats.conftest import LABELS
from ssnan.formats.cvat import document
from ssnan.formats.folder import NamedResult
from ssnan.labels import LIP
from ssnan.results.result import ParsingResult


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ctl\x01.jpg", r"ctl\x01.jpg"),
        ("bad\udcff.jpg", r"bad\udcff.jpg"),
        ("\uffff.jpg", r"\uffff.jpg"),
        ("9.41\u202fAM\n\u00a0<\U0001f642>.jpg", "9.41\u202fAM\n\u00a0<\U0001f642>.jpg"),
    ],
)
def test_names_of_photos_are_read_back(tmp_path, name, expected):
    from xml.etree import ElementTree as Xml

    labels = np.ascontiguousarray(LABELS)
    written = Xml.tostring(document([NamedResult("one", name, ParsingResult(labels, LIP))]).getroot(), encoding="utf-8")
    [image] = Xml.fromstring(written).iter("image")
    assert image.get("name") == expected
