import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from ssnan.labels import LIP
from ssnan.results.result import ParsingResult
from ssnan.serving.answers import as_files, as_json, keep_parts, keep_person
from ssnan.serving.limits import RefusedError

CLOTHES, FACE = 5, 13


def test_people_stay_apart_without_their_heads():
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[2:18, 2:18] = CLOTHES
    labels[2:6, 4:8] = labels[2:6, 12:16] = FACE
    kept = keep_parts(ParsingResult(labels, LIP), ("upper-clothes",))
    assert len(kept.people) == 2
    assert all(person.parts.keys() == {"upper-clothes"} for person in kept.people)


def test_people_of_a_zip_have_the_numbers_of_the_json():
    """The larger person shows the smaller face."""
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[2:38, 2:30] = CLOTHES
    labels[2:5, 4:8] = FACE
    labels[2:20, 40:52] = CLOTHES
    labels[2:14, 40:52] = FACE
    instances = np.zeros_like(labels)
    instances[:, :35], instances[:, 35:] = 1, 2
    result = ParsingResult(labels, LIP, source=np.zeros((40, 60, 3), dtype=np.uint8), instances=instances)
    document = json.loads(as_json(result, ("face",)))
    with zipfile.ZipFile(io.BytesIO(as_files(result, ("face",), ("json", "people", "overlay")))) as archive:
        zipped = json.loads(archive.read("photo.json"))
        numbers = np.asarray(Image.open(archive.open("photo.people.png")))
        first = np.asarray(Image.open(archive.open("photo.person1.png")))
        map_ = np.asarray(Image.open(archive.open("photo.png")))
    assert zipped == {"image": "photo"} | document
    assert (numbers[30, 10], numbers[8, 45]) == (1, 2)
    assert first[30, 10] == CLOTHES
    assert set(np.unique(map_)) == {0, FACE}


def test_one_person_is_kept_without_the_others():
    labels = np.zeros((20, 30), dtype=np.uint8)
    labels[2:18, 2:12] = labels[4:16, 18:26] = CLOTHES
    result = ParsingResult(labels, LIP)
    assert keep_person(result, 2).labels[10, 20] == CLOTHES
    assert not keep_person(result, 2).labels[:, :12].any()
    assert "people" not in vars(result)
    with pytest.raises(RefusedError, match="no person 3: the photo shows 2"):
        keep_person(result, 3)
