import json
from importlib import resources

import jsonschema
import numpy as np
import pytest

from ssnan.errors import UserError
from ssnan.labels import LIP
from ssnan.results.reading import read_document
from ssnan.results.result import ParsingResult

SCHEMA, SCHEMA_1 = (
    json.loads((resources.files("ssnan") / "results" / f"document.{name}").read_text())
    for name in ("schema.json", "v1.schema.json")
)

OLD = """{"image": "a.jpg", "version": 1, "label_set": "two", "classes": ["background", "hair"],
    "width": 2, "height": 1, "joints": {"head": [0.0, 0.0], "left-arm": null},
    "parts": {"hair": {"id": 1, "color": [255, 0, 0], "area": 1, "confidence": null, "extent": [0, 0, 1, 1],
    "box": [0, 0, 1, 1], "center": [0.0, 0.0]}}}"""


def test_version_1_is_read_as_version_2():
    jsonschema.validate(json.loads(OLD), SCHEMA_1)
    jsonschema.validate(read_document(OLD), SCHEMA)
    assert read_document(OLD)["count"] is None  # older than the count of people
    counted = read_document(OLD.replace('"width"', '"people": 2, "width"').encode())
    assert (counted["count"], counted["people"]) == (2, [])
    assert counted["parts"] == json.loads(OLD)["parts"]


def test_version_2_is_read_as_it_is():
    written = json.dumps(ParsingResult(np.eye(4, dtype=np.uint8), LIP).to_dict())
    assert read_document(written) == json.loads(written)


@pytest.mark.parametrize("content", ["[]", "{", '{"version": 3}', "{}"])
def test_what_is_no_document_is_said_in_a_line(content):
    with pytest.raises(UserError, match=r"not JSON|expected the JSON of a photo, version 1 or 2, got version"):
        read_document(content)


def test_other_json_with_a_version_is_no_document():
    with pytest.raises(UserError, match="expected the JSON of a photo, but 'label_set' is None"):
        read_document('{"version": 2, "my": "notes"}')
