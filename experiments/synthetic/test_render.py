"""Without fetched data: a person of boxes, looked at from every side."""

import numpy as np
import pytest
from PIL import Image

from experiments.synthetic.people import Mesh, normals, posed, towards
from experiments.synthetic.render import Camera, Scene, finish, look, seen_joints
from ssnan.data.layouts import open_split
from ssnan.labels import LIP

LEFT, RIGHT, SHIRT = (LIP.classes.index(name) for name in ("left-arm", "right-arm", "upper-clothes"))
FACES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def box(centre, size):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(size) / 2 + centre
    return corners, FACES[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


def person(opacity=1.0):
    """A trunk with an arm at either side, which looks along +z: its own left is at +x."""
    parts = [(SHIRT, 0, [0, 0, 0], [2, 6, 1]), (LEFT, 1, [2, 0, 0], [1, 4, 1]), (RIGHT, 2, [-2, 0, 0], [1, 4, 1])]
    corners, smooth, classes, limbs = [], [], [], []
    for class_id, limb, centre, size in parts:
        points, triangles = box(centre, size)
        corners.append(points[triangles])
        smooth.append(normals(points, triangles)[triangles])
        classes += [class_id] * len(triangles)
        limbs += [limb] * len(triangles)
    corners, smooth, count = np.concatenate(corners), np.concatenate(smooth), len(classes)

    def paint(at, uv):
        return np.concatenate([np.full((len(at), 3), 0.5), np.full((len(at), 1), opacity)], 1)

    return Scene(
        corners,
        smooth,
        corners,
        np.zeros((count, 3, 2)),
        np.array(classes),
        np.zeros(count, int),
        np.array(limbs),
        [paint],
    )


def camera(yaw):
    ahead = -np.array([np.sin(yaw), 0, np.cos(yaw)])
    right = np.cross(ahead, [0, 1, 0])
    return Camera(-20 * ahead, np.stack([right, [0, -1, 0], ahead]), 100, 64, 64)


def seen(yaw, opacity=1.0):
    pytest.importorskip("embreex", reason="no embreex here, which only rendering needs")
    return look(person(opacity), camera(yaw), np.random.default_rng(0), np.zeros((64, 64, 3)))


def columns(mask, class_id):
    return np.nonzero((mask == class_id).any(0))[0].mean()


def test_the_left_arm_is_at_the_right_of_a_front_view():
    _, mask, *_ = seen(0)
    assert columns(mask, LEFT) > 40 > 24 > columns(mask, RIGHT)
    assert mask[32, 32] == SHIRT
    assert mask[0, 0] == 0


def test_the_left_arm_is_at_the_left_of_a_back_view():
    _, mask, *_ = seen(np.pi)
    assert columns(mask, LEFT) < 24 < 40 < columns(mask, RIGHT)


def test_the_near_arm_hides_the_rest_from_its_side():
    _, mask, *_ = seen(np.pi / 2)  # from +x
    assert mask[32, 32] == LEFT
    assert RIGHT not in mask


def test_rays_pass_where_a_texture_is_transparent():
    _, mask, *_ = seen(0, opacity=0.1)
    assert not mask.any()


def test_a_joint_behind_the_trunk_is_hidden():
    joints = np.zeros((17, 3))
    joints[9], joints[10] = [2, 0, 0], [-2, 0, 0]  # wrists
    _, _, limbs, depths = seen(0)
    entries = seen_joints(camera(0), joints, 0, limbs, depths)
    assert entries[9][0] > 0.5 > entries[10][0]
    assert entries[9][2] == entries[10][2] == 2
    _, _, limbs, depths = seen(np.pi / 2)
    entries = seen_joints(camera(np.pi / 2), joints, 0, limbs, depths)
    assert [entries[9][2], entries[10][2]] == [2, 1]


def test_a_garment_is_lifted_off_the_body():
    points, triangles = box([0, 0, 0], [2, 2, 2])
    still = np.zeros((8, 4), int), np.eye(1, 4).repeat(8, 0)
    mesh = Mesh(points, triangles, np.zeros((12, 3, 2)), *still, np.zeros(12, int), lift=0.5)
    moved = posed(mesh, points, np.eye(3)[None], np.zeros((1, 3)))
    assert (np.linalg.norm(moved, axis=1) > np.linalg.norm(points, axis=1) + 0.4).all()


def test_the_least_turn():
    start, end = np.array([1.0, 0, 0]), np.array([0, -2.0, 0])
    np.testing.assert_allclose(towards(start, end).apply(start), [0, -1, 0], atol=1e-9)


def test_ssnan_reads_the_folder(tmp_path):
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    joints = {f"s{i:05}": {"joints": [[0.5, 0.5, 2]] * 17, "others": []} for i in range(30)}
    for name in joints:
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / f"{name}.jpg")
        Image.new("L", (8, 8), LEFT).save(tmp_path / "masks" / f"{name}.png")
    finish(tmp_path, joints)
    train, val = (open_split(tmp_path, split) for split in ("train", "val"))
    assert len(train) + len(val) == 30
    assert len(val) > 0
    assert train.label_set.agrees_with(LIP)
    assert train[0].labels[0, 0] == LEFT
