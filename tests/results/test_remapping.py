import numpy as np
import pytest
import yaml

from ssnan.labels import ATR, LIP, PASCAL_PERSON_PART, LabelSet
from ssnan.results.remapping import TARGETS, RemapError, Remapping, remapping
from ssnan.results.result import ParsingResult


def ids(label_set, *names):
    return [label_set.classes.index(name) for name in names]


@pytest.fixture
def result():
    """Glove pixels beside either arm, and a coat."""
    left, right, glove, coat = ids(LIP, "left-arm", "right-arm", "gloves", "coat")
    labels = np.array([[left, glove, 0, glove, right, coat, 0]] * 2, dtype=np.uint8)
    scores = np.where(np.arange(20)[:, None, None] == labels, 6.0, 0.0).astype(np.float32)
    return ParsingResult(labels, LIP, scores)


def test_every_class_of_lip_has_a_home_everywhere():
    for target in TARGETS:
        how = remapping(LIP, target)
        ids = how.labels(np.arange(20, dtype=np.uint8)[None])
        assert ids.max() < len(how.target)
        assert ids[0, 0] == 0


def test_names_that_both_know_stay(result):
    for name in set(LIP.classes) & set(ATR.classes):
        labels = np.full((1, 1), LIP.classes.index(name), dtype=np.uint8)
        assert remapping(LIP, "atr").labels(labels) == ATR.classes.index(name)


def test_a_glove_goes_to_the_arm_that_wears_it(result):
    left, right, upper = ids(ATR, "left-arm", "right-arm", "upper-clothes")
    np.testing.assert_array_equal(result.remap("atr").labels, [[left, left, 0, right, right, upper, 0]] * 2)


def test_a_glove_without_an_arm_goes_to_the_first():
    labels = np.full((2, 2), LIP.classes.index("gloves"), dtype=np.uint8)
    assert set(remapping(LIP, "atr").labels(labels).ravel()) == set(ids(ATR, "left-arm"))


def test_ignored_pixels_stay():
    assert remapping(LIP, "merged").labels(np.full((1, 1), 255, dtype=np.uint8)) == 255


def test_probabilities_are_those_of_all_that_go_there(result):
    again = result.remap("merged")
    np.testing.assert_allclose(
        again.probability("skin"),
        result.probability("face", "left-arm", "right-arm", "left-leg", "right-leg"),
        atol=1e-5,
    )
    np.testing.assert_allclose(np.exp(again.scores).sum(axis=0), 1, atol=1e-5)
    arms = result.remap("atr").probability("left-arm", "right-arm")
    np.testing.assert_allclose(arms, result.probability("left-arm", "right-arm", "gloves"), atol=1e-5)


def test_a_class_without_a_home_is_named():
    with pytest.raises(RemapError, match="'hat' has no target class"):
        Remapping(LIP, ATR, {"background": ("background",)})
    homes = dict.fromkeys(LIP.classes, ("background",))
    with pytest.raises(RemapError, match="'hat' goes to 'cap', which is not a class"):
        Remapping(LIP, ATR, homes | {"hat": ("cap",)})
    with pytest.raises(RemapError, match="the source has no class 'cap'"):
        Remapping(LIP, ATR, homes | {"cap": ("hat",)})


OWN = """
name: shop
classes: {background: black, top: "#ff8000", skin: [1, 2, 3], other: white}
from: {background: background, upper-clothes: top, coat: top, dress: top, face: skin, left-arm: skin, right-arm: skin}
"""


def test_labels_of_one_s_own(result, tmp_path):
    rest = "".join(f", {name}: other" for name in LIP.classes if f"{name}:" not in OWN.split("from")[1])
    (tmp_path / "shop.yaml").write_text(OWN.rstrip().removesuffix("}") + rest + "}\n")
    again = result.remap(tmp_path / "shop.yaml")
    assert again.label_set.palette[1:3] == ((255, 128, 0), (1, 2, 3))
    np.testing.assert_array_equal(again.labels[0], [2, 3, 0, 3, 2, 1, 0])


def test_numbers_are_names(result, tmp_path):
    homes = dict.fromkeys(LIP.classes, 7) | {"background": 0, "gloves": [7, 0]}
    text = yaml.safe_dump({"name": "mine", "classes": {0: "black", 7: "red"}, "from": homes}, sort_keys=False)
    (tmp_path / "mine.yaml").write_text(text)
    assert result.remap(tmp_path / "mine.yaml").areas.keys() == {"0", "7"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN, "'hat' has no target class"),
        ("name: x", "'classes' is missing"),
        ("[1, 2", "expected name, classes"),
        ("classes: 3\nfrom: 4\nname: x", "expected name, classes"),
        (OWN.replace("black", "blackish"), "unknown color"),
        (OWN.replace("black", "[0.5, 1.0, 0.9]"), r"expected three integers in 0..255, got \[0.5, 1.0, 0.9\]"),
        ("just words", "expected name, classes"),
    ],
)
def test_a_file_that_says_too_little(tmp_path, text, message):
    (tmp_path / "shop.yaml").write_text(text)
    with pytest.raises(RemapError, match=message) as caught:
        remapping(LIP, tmp_path / "shop.yaml")
    assert "\n" not in str(caught.value)


def test_unknown_labels_list_the_known():
    with pytest.raises(RemapError, match="atr, pascal_person_part, merged"):
        remapping(LIP, "cihp")
    with pytest.raises(RemapError, match="no such file"):
        remapping(LIP, "cihp.yaml")
    with pytest.raises(RemapError, match="needs LIP's labels"):
        remapping(PASCAL_PERSON_PART, "atr")


def test_the_background_becomes_the_first_class():
    target = LabelSet("own", ("rest", "none"), ((0, 0, 0), (1, 1, 1)))
    homes = dict.fromkeys(LIP.classes, ("rest",))
    with pytest.raises(RemapError, match=r"'background' goes to none; expected 'rest'"):
        Remapping(LIP, target, homes | {"background": ("none",)})
