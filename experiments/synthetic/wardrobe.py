"""What a random person wears, and how it is coloured."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.synthetic.people import CLASSES, PROXIES, SOMEBODY, Assets, Mesh, load_image

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Red, green, blue and opacity 0..1, (k, 4), of places at rest (k, 3) with texture coordinates (k, 2)."""


def colour(rng: np.random.Generator) -> np.ndarray:
    """Of cloth: often grey, dark or pale, sometimes strong."""
    saturation = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.15, 0.6), rng.uniform(0.6, 1)], p=[0.4, 0.4, 0.2])
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.06, 1)))


def textured(image: np.ndarray, tint: np.ndarray | None = None, flat: float = 0.0) -> Paint:
    """An image laid on by its coordinates; ``tint`` recolours its brightness, ``flat`` is how much of that."""
    height, width = image.shape[:2]

    def paint(_: np.ndarray, uv: np.ndarray) -> np.ndarray:
        column = (uv[:, 0] % 1 * (width - 1)).astype(int)
        row = ((1 - uv[:, 1] % 1) * (height - 1)).astype(int)
        found = image[row, column].copy()
        if tint is not None:
            grey = found[:, :3].mean(1, keepdims=True)
            found[:, :3] = np.clip((flat * 0.75 + (1 - flat) * grey * 1.3) * tint, 0, 1)
        return found

    return paint


def cloth(rng: np.random.Generator, photos: list[Path]) -> Paint:
    """Plain, striped, checked, dotted or cut from a photo, with soft folds."""
    first, second = colour(rng), colour(rng)
    kind = rng.choice(["plain", "stripes", "checks", "dots", "photo"], p=[0.5, 0.12, 0.08, 0.06, 0.24])
    step, axis = rng.uniform(0.15, 0.9), rng.integers(0, 2)
    waves, phases = rng.normal(0, 1.6, (5, 3)), rng.uniform(0, 6.3, 5)
    photo = load_image(photos[rng.integers(len(photos))]) if kind == "photo" else None
    scale, depth = rng.uniform(0.08, 0.5), rng.uniform(0, 0.09)

    def paint(at: np.ndarray, uv: np.ndarray) -> np.ndarray:
        flat = np.stack([at[:, 0] + 0.7 * at[:, 2], at[:, 1]], 1)
        if kind == "photo":
            result = textured(photo)(at, flat * scale)[:, :3]
        else:
            odd = (flat / step % 1) > 0.5
            mixed = {"plain": np.zeros(len(at), bool), "stripes": odd[:, axis], "checks": odd[:, 0] ^ odd[:, 1],
                     "dots": ((flat / step % 1 - 0.5) ** 2).sum(1) < 0.06}[kind]  # fmt: skip
            result = np.where(mixed[:, None], second, first)
        folds = 1 + depth * np.sin(at @ waves.T + phases).sum(1, keepdims=True)
        return np.concatenate([np.clip(result * folds, 0, 1), np.ones((len(at), 1))], 1)

    return paint


class Wardrobe:
    """Dresses people with MakeHuman's garments and with garments grown from the body."""

    def __init__(self, assets: Assets, photos: list[Path]):
        self.assets, self.photos = assets, photos

    def dress(self, rng: np.random.Generator, sex: str) -> list[Mesh]:
        """The body and all that it wears."""
        skin = self._skin(rng, sex)
        worn = self._clothes(rng) if rng.random() > 0.015 else []
        hidden = [mesh.hidden for mesh in worn if mesh.hidden is not None]
        if hidden:
            kept = ~np.any(hidden, axis=0)[skin.triangles].all(1)
            skin = replace(skin, triangles=skin.triangles[kept], uv=skin.uv[kept], classes=skin.classes[kept])
        return [skin, *self._head(rng, skin), *worn]

    def _skin(self, rng: np.random.Generator, sex: str) -> Mesh:
        skins = [path for path in self.assets.skins if f"_{sex}" in path.parent.parent.name]
        mesh = self.assets.skin(skins[rng.integers(len(skins))])
        image = load_image(mesh.texture, 1024)
        image[..., :3] = np.clip(image[..., :3] * rng.normal(1, 0.06, 3) * rng.uniform(0.75, 1.15), 0, 1)
        image[..., 3] = 1
        mesh.paint = textured(image)
        return mesh

    def _take(self, rng: np.random.Generator, kind: str, lift: float = 0.02) -> Mesh:
        name = PROXIES[kind][rng.integers(len(PROXIES[kind]))]
        mesh = replace(self.assets.proxy(kind, name), lift=lift)
        image = load_image(mesh.texture)
        if kind in ("hair", "eyes"):
            tint = np.array(colorsys.hsv_to_rgb(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.8), rng.uniform(0.1, 1.0)))
            mesh.paint = textured(image, tint if kind == "hair" else None)
        elif kind == "sunglasses":
            image[..., 3] = np.where(image[..., 3] > 0.05, 1, 0)
            mesh.paint = textured(image, colour(rng) if rng.random() < 0.3 else None)
        elif rng.random() < 0.35:
            mesh.paint = cloth(rng, self.photos)
        else:
            mesh.paint = textured(image, colour(rng) if rng.random() < 0.7 else None, rng.uniform(0, 0.9))
        return mesh

    def _grow(
        self, rng: np.random.Generator, surface: str, wanted, kind: str, lift, paint: Paint | None = None
    ) -> Mesh:
        mesh = self.assets.grow(surface, wanted, kind, lift)
        mesh.paint = paint or cloth(rng, self.photos)
        return mesh

    def _head(self, rng: np.random.Generator, skin: Mesh) -> list[Mesh]:
        result = [self._take(rng, "eyes", 0)]
        if rng.random() < 0.95:
            result.append(self._take(rng, "hair", 0))
            # Hair cards leave gaps at the crown, through which no bald skin may show.
            result.append(self._scalp(rng, result[-1].paint))
        return result

    def _scalp(self, rng: np.random.Generator, like: Paint) -> Mesh:
        shade = like(np.zeros((1, 3)), np.array([[0.5, 0.5]]))[0, :3] * 0.7
        line = rng.uniform(7.75, 7.95)

        def paint(at: np.ndarray, uv: np.ndarray) -> np.ndarray:
            return np.concatenate([np.broadcast_to(shade, (len(at), 3)), np.ones((len(at), 1))], 1)

        return self._grow(
            rng,
            "skin",
            lambda part, _, at: (
                (part == "head") & (at[:, 1] > line + (at[:, 2] - 0.6) * 0.45) & (at[:, 1] > 7.0) & (at[:, 2] < 1.3)
            ),
            "hair",
            0.03,
            paint,
        )

    def _top(self, rng: np.random.Generator, kind: str, lift: float, paint: Paint | None = None) -> Mesh:
        sleeve = rng.choice([0, rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.85), 0.97], p=[0.18, 0.3, 0.1, 0.42])
        hem, neck, deep = rng.uniform(-0.6, 2.0), rng.uniform(5.5, 6.3), rng.choice([0, rng.uniform(0, 1.3)])
        if kind == "coat":
            sleeve, hem = rng.choice([0.9, 0.97]), rng.uniform(-1.2, 0.6)
        opening = rng.choice([0, rng.uniform(0.15, 0.7)], p=[0.4, 0.6]) if kind == "coat" else 0

        def wanted(part: np.ndarray, along: np.ndarray, at: np.ndarray) -> np.ndarray:
            trunk = np.isin(part, ["trunk", "neck", "leg"]) & (at[:, 1] > hem)
            collar = at[:, 1] < neck - deep * np.maximum(0, 1 - abs(at[:, 0]) / 0.9) * (at[:, 2] > 0.5)
            front = (at[:, 2] > 0.3) & (abs(at[:, 0]) < opening)
            return (trunk & collar & ~front) | ((part == "arm") & (along < sleeve))

        return self._grow(rng, "tights", wanted, kind, lift, paint)

    def _trousers(self, rng: np.random.Generator, kind: str, paint: Paint | None = None) -> Mesh:
        length = rng.choice(
            [rng.uniform(0.2, 0.4), rng.uniform(0.45, 0.85), rng.uniform(0.93, 1.0)], p=[0.3, 0.15, 0.55]
        )
        waist, wide = rng.uniform(1.1, 2.2), rng.choice([0.0, rng.uniform(0, 0.35)])
        lift = 0.07 + wide * np.clip((0.49 - self.assets.rest[:, 1]) / 7.94, 0, 1)
        return self._grow(
            rng,
            "tights",
            lambda part, along, at: ((part == "trunk") & (at[:, 1] < waist)) | ((part == "leg") & (along < length)),
            kind,
            lift,
            paint,
        )

    def _skirt(self, rng: np.random.Generator, kind: str, lift: float, paint: Paint | None = None) -> Mesh:
        hem, flare, opening = rng.uniform(-6.8, -1.6), rng.choice([0, rng.uniform(0, 0.16)]), 0.0
        if kind == "coat":
            hem, opening = rng.uniform(-5, -1.5), rng.choice([0, 0.4])
        spread = lift + flare * np.clip(1.2 - self.assets.rest[:, 1], 0, 9)
        return self._grow(
            rng,
            "skirt",
            lambda part, _, at: (at[:, 1] > hem) & ~((abs(at[:, 0]) < opening) & (at[:, 2] > 0)),
            kind,
            spread,
            paint,
        )

    def _clothes(self, rng: np.random.Generator) -> list[Mesh]:
        kind = rng.choice(["suit", "pieces", "dress", "jumpsuit"], p=[0.17, 0.56, 0.17, 0.1])
        if kind == "suit":
            result = [self._take(rng, "suit")]
        elif kind == "dress":
            if rng.random() < 0.5:
                result = [self._take(rng, "dress")]
            else:
                paint = cloth(rng, self.photos)
                top = self._top(rng, "dress", 0.08, paint)
                result = [top, self._skirt(rng, "dress", 0.08, paint)]
        elif kind == "jumpsuit":
            if rng.random() < 0.15:
                result = [self._take(rng, "jumpsuits")]
            else:
                paint = cloth(rng, self.photos)
                result = [self._top(rng, "jumpsuits", 0.08, paint), self._trousers(rng, "jumpsuits", paint)]
        else:
            top = (
                self._take(rng, "upper-clothes", 0.05)
                if rng.random() < 0.3
                else self._top(rng, "upper-clothes", rng.uniform(0.09, 0.18))
            )
            if rng.random() < 0.27:
                bottom = self._take(rng, "skirt", 0.03) if rng.random() < 0.35 else self._skirt(rng, "skirt", 0.06)
            else:
                bottom = self._take(rng, "pants", 0.03) if rng.random() < 0.3 else self._trousers(rng, "pants")
            result = [bottom, top]
        if rng.random() < 0.27:
            if rng.random() < 0.2:
                result.append(self._take(rng, "coat", 0.06))
            else:
                paint, lift = cloth(rng, self.photos), rng.uniform(0.25, 0.4)
                result.append(self._top(rng, "coat", lift, paint))
                if rng.random() < 0.4:
                    result.append(self._skirt(rng, "coat", lift, paint))
        return result + self._small_things(rng)

    def _small_things(self, rng: np.random.Generator) -> list[Mesh]:
        result = []
        if rng.random() < 0.35:
            top, foot = rng.uniform(0.55, 0.95), ["foot", "leg"]
            result.append(
                self._grow(rng, "tights", lambda part, along, at: np.isin(part, foot) & (along > top), "socks", 0.05)
            )
        shod = rng.random()
        if shod < 0.68:
            result.append(self._take(rng, "shoe", 0.02))
        elif shod < 0.86:
            top = rng.uniform(0.62, 0.97)
            result.append(
                self._grow(
                    rng, "tights", lambda part, along, at: np.isin(part, ["foot", "leg"]) & (along > top), "shoe", 0.16
                )
            )
        if rng.random() < 0.14:
            cuff = rng.uniform(0.8, 0.97)
            result.append(
                self._grow(rng, "skin", lambda part, along, at: (part == "arm") & (along > cuff), "gloves", 0.09)
            )
        if rng.random() < 0.14:
            low, tail = rng.uniform(5.15, 5.6), rng.choice([9, rng.uniform(1.5, 4.5)])
            side = rng.choice([-1, 1]) * rng.uniform(0.35, 0.6)

            def wrapped(part: np.ndarray, _: np.ndarray, at: np.ndarray) -> np.ndarray:
                ring = np.isin(part, ["neck", "trunk"]) & (at[:, 1] > low) & (abs(at[:, 0]) < 1.0)
                ends = (part == "trunk") & (at[:, 2] > 0.4) & (at[:, 1] > tail) & (abs(at[:, 0] - side) < 0.35)
                return ring | ends

            bulge = 0.5 + 0.08 * np.sin(9 * self.assets.rest[:, 1] + 2 * self.assets.rest[:, 0])
            result.append(self._grow(rng, "tights", wrapped, "scarf", bulge))
        if rng.random() < 0.14:
            result.append(self._take(rng, "sunglasses", 0))
        if rng.random() < 0.26:
            if rng.random() < 0.6:
                result.append(self._take(rng, "hat", 0.02))
            else:
                line, slope = rng.uniform(7.6, 7.95), rng.uniform(0, 0.25)
                result.append(
                    self._grow(
                        rng,
                        "skin",
                        lambda part, _, at: (part == "head") & (at[:, 1] > line + slope * (at[:, 2] - 0.5)),
                        "hat",
                        0.28,
                    )
                )
        return result


def covered(classes: np.ndarray) -> bool:
    """Whether a photo's classes show somebody who wears something or has bare limbs."""
    return bool(np.isin(classes, [*range(1, len(CLASSES)), SOMEBODY]).mean() > 0.02)
