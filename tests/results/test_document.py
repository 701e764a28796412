import json
from importlib import resources
from typing import get_type_hints

import jsonschema
import numpy as np
import pytest
from scipy import ndimage

from ssnan.labels import LIP, PASCAL_PERSON_PART
from ssnan.results.document import Document, Part, PersonEntry
from ssnan.results.result import ParsingResult

SCHEMA = json.loads((resources.files("ssnan") / "results" / "document.schema.json").read_text())


@pytest.fixture
def pieces():
    """Hair in three pieces: 2 × 2, then 2 × 3 with a diagonal neighbour, then 1 × 6."""
    labels = np.zeros((12, 20), dtype=np.uint8)
    labels[1:3, 1:3] = 2
    labels[5:7, 8:11] = 2
    labels[7, 11] = 2
    labels[10, 14:20] = 2
    return ParsingResult(labels, LIP)


def as_read(result):
    return json.loads(json.dumps(result.to_dict()))


def test_it_is_what_the_schema_says(pieces, color_parser):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    photo[8:20, 12:40, 0] = 255
    for result in (pieces, color_parser(photo), ParsingResult(pieces.labels // 2, PASCAL_PERSON_PART)):
        jsonschema.validate({"image": "a.jpg"} | as_read(result), SCHEMA)
    broken = as_read(pieces)
    broken["parts"]["hair"]["center"] = [1.0]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_types_and_schema_name_the_same():
    assert set(SCHEMA["properties"]) == set(get_type_hints(Document))
    optional = {
        name for name, kind in get_type_hints(Document, include_extras=True).items() if "NotRequired" in str(kind)
    }
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) - optional
    assert set(SCHEMA["$defs"]["part"]["required"]) == set(get_type_hints(Part))
    assert set(SCHEMA["$defs"]["person"]["properties"]) == set(get_type_hints(PersonEntry))
    assert set(SCHEMA["$defs"]["person"]["required"]) == set(get_type_hints(PersonEntry)) - {"track"}


def test_people_have_their_own_parts_and_joints(color_parser):
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[5:35, 5:25, 0] = 255
    photo[10:35, 50:65, 0] = 255
    result = color_parser(photo)
    document = as_read(result)
    assert document["count"] == len(document["people"]) == 2
    for entry, person in zip(document["people"], result.people, strict=True):
        assert set(entry["parts"]) == {"hair"}
        assert entry["area"] == entry["parts"]["hair"]["area"] == person.mask().sum()
        assert entry["box"] == list(person.box) == entry["parts"]["hair"]["extent"]
        assert entry["joints"]["head"] == pytest.approx(person.joints["head"])
        assert 0.5 < entry["score"] <= 1
    assert sum(entry["area"] for entry in document["people"]) == document["parts"]["hair"]["area"]


def test_the_box_is_that_of_the_largest_piece(pieces):
    hair = pieces.to_dict()["parts"]["hair"]
    assert hair["area"] == 4 + 7 + 6
    assert hair["extent"] == (1, 1, 20, 11)
    assert hair["box"] == (8, 5, 12, 8)


def test_points_are_x_and_y(pieces):
    hair = pieces.to_dict()
    y, x = ndimage.center_of_mass(pieces.labels == 2)
    assert hair["parts"]["hair"]["center"] == pytest.approx((x, y))
    assert hair["joints"]["head"] == pytest.approx((x, y))
    assert hair["joints"]["left-arm"] is None
    assert (hair["width"], hair["height"]) == (20, 12)


def test_confidence_is_a_mean_over_the_part(color_parser):
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    photo[8:20, 12:40, 0] = 255
    result = color_parser(photo)
    expected = result.confidence[result.labels == 2].mean()
    assert result.to_dict()["parts"]["hair"]["confidence"] == pytest.approx(expected, abs=1e-3)
