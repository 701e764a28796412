import numpy as np
import pytest

from fakes.custom import write_custom
from fakes.keypoints import SLEEVED, entry, people, write_joints
from fakes.lip import person
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.folder import NOBODY, DatasetError
from ssnan.data.keypoints import limb_map, read_keypoints
from ssnan.data.layouts import open_split
from ssnan.labels import LIP, PASCAL_PERSON_PART

LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG, LEFT_SHOE = (
    LIP.classes.index(name) for name in ("left-arm", "right-arm", "left-leg", "right-leg", "left-shoe")
)


def test_a_limb_in_clothes_gets_the_side_of_its_bones():
    labels = np.full((100, 100), LIP.classes.index("coat"), dtype=np.uint8)
    limbs = limb_map(SLEEVED, labels, LIP)
    assert (limbs[25:80, 70] == LEFT_ARM).all()
    assert (limbs[15:85, 20] == RIGHT_LEG).all()
    assert (limbs[:, 45] == LIP.ignore_index).all()
    assert set(np.unique(limbs)) == {LEFT_ARM, RIGHT_LEG, LIP.ignore_index}


def test_a_bone_to_a_hidden_joint_is_not_painted():
    hidden = people(left_elbow=(0.5, 0.2), left_wrist=(0.5, 0.8, 1))
    assert (limb_map(hidden, np.ones((50, 50), dtype=np.uint8), LIP) == LIP.ignore_index).all()


def test_where_limbs_cross_nobody_knows():
    crossed = people(left_elbow=(0.2, 0.5), left_wrist=(0.8, 0.5), right_elbow=(0.5, 0.2), right_wrist=(0.5, 0.8))
    limbs = limb_map(crossed, np.zeros((101, 201), dtype=np.uint8), LIP)
    assert limbs[50, 100] == LIP.ignore_index
    assert (limbs[50, 50], limbs[25, 100], limbs[0, 0]) == (LEFT_ARM, RIGHT_ARM, 0)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("limb", "ends"),
    [("arm", "shoulder elbow"), ("arm", "elbow wrist"), ("leg", "hip knee"), ("leg", "knee ankle")],
)
def test_every_bone_is_of_its_limb(side, limb, ends):
    """It is a twentieth as wide as the person's keypoints, without those that nobody marked."""
    upper, lower = (f"{side}_{end}" for end in ends.split())
    bone = people(**{upper: (0.8, 0.4), lower: (0.8, 0.8)})
    limbs = limb_map(bone, np.ones((100, 50), dtype=np.uint8), LIP)
    assert limbs[60, 40] == LIP.classes.index(f"{side}-{limb}")
    assert np.count_nonzero(limbs[60] < 255) == 2


def test_without_keypoints_the_labels_say_what_they_can():
    labels = np.array([[0, LEFT_ARM, LEFT_SHOE, LIP.classes.index("coat")]], dtype=np.uint8)
    assert limb_map(NOBODY, labels, LIP).tolist() == [[0, LEFT_ARM, LEFT_LEG, LIP.ignore_index]]


def test_labels_without_sides_have_no_limbs():
    limbs = limb_map(SLEEVED, np.array([[0, 1]], dtype=np.uint8), PASCAL_PERSON_PART)
    assert limbs.tolist() == [[0, PASCAL_PERSON_PART.ignore_index]]


def test_samples_carry_their_people_the_main_one_first(tmp_path):
    root = write_custom(tmp_path)
    write_joints(root, {"p1": entry(SLEEVED[0])})
    folder = open_split(root, "train")
    by_name = {pair.id: folder[index] for index, pair in enumerate(folder.pairs)}
    np.testing.assert_allclose(by_name["p1"].keypoints, np.concatenate([SLEEVED, SLEEVED]))
    assert by_name["p2"].keypoints.shape == (0, 17, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a file of keypoints"),
        ("[]", "not a file of keypoints"),
        ({"p1": {"others": []}}, "not a file of keypoints"),
        ({"p1": {"joints": [[0, 0, 2]]}}, "p1: expected 17 keypoints"),
        ({"p1": {"joints": "none"}}, "p1: expected 17 keypoints"),
    ],
)
def test_what_is_no_file_of_keypoints_is_one_clear_line(tmp_path, content, message):
    root = write_custom(tmp_path)
    write_joints(root, content)
    with pytest.raises(DatasetError, match=message):
        open_split(root, "train")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="joints"):
        read_keypoints(tmp_path / "joints.json")


def lip_like(root):
    """The fake as LIP's own labels, whose limbs have sides."""
    import yaml
    from PIL import Image

    (root / "photos").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(4):
        photo, labels = person(shift=number)
        Image.fromarray(photo).save(root / "photos" / f"p{number}.png")
        Image.fromarray(labels).save(root / "masks" / f"p{number}.png")
    classes = {name: list(color) for name, color in zip(LIP.classes, LIP.palette, strict=True)}
    pairs = [[LIP.classes[left], LIP.classes[right]] for left, right in LIP.flip_pairs]
    values = {"name": "lip", "images": "photos", "masks": "masks", "classes": classes, "pairs": pairs}
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return root


def test_batches_have_limbs_where_a_source_has_keypoints(tmp_path):
    plain, known = lip_like(tmp_path / "plain"), lip_like(tmp_path / "known")
    write_joints(known, {f"p{number}": entry(SLEEVED[0]) for number in range(4)})
    for sources, expected in (([plain], False), ([plain, known], True)):
        data = ParsingData([Source(root) for root in sources], plain, crop=(65, 49), batch_size=2, num_workers=0)
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        assert ("limbs" in batch) == expected
        if expected:
            assert batch["limbs"].shape == batch["labels"].shape


def test_photos_of_nobody_need_no_masks(tmp_path):
    root = lip_like(tmp_path)
    description = (root / "dataset.yaml").read_text().replace("masks: masks", "masks: background")
    (root / "dataset.yaml").write_text(description)
    sample = open_split(root, "train")[0]
    assert sample.labels.shape == sample.image.shape[:2]
    assert not sample.labels.any()


def test_keypoints_of_no_photo_are_refused(tmp_path):
    root = write_custom(tmp_path)
    write_joints(root, {"p1.jpg": entry(SLEEVED[0])})
    with pytest.raises(DatasetError, match=r"keypoints: expected names of photos in .* without suffix, got 'p1\.jpg'"):
        open_split(root, "train")
