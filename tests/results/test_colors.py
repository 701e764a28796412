import numpy as np

from ssnan.labels import LIP, PASCAL_PERSON_PART
from ssnan.results.colors import distinct

EYES = {
    "normal": np.eye(3),
    "red-blind": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green-blind": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB."""


def lab(palette, eyes):
    """CIELAB under D65 of sRGB colours as somebody sees them."""
    values = np.asarray(palette, dtype=float) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ np.asarray(eyes).T
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear, 0, 1) @ to_xyz.T / [0.9505, 1, 1.089]
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def nearest(palette):
    """The smallest distance of two colours, for the eyes that tell them apart least."""
    distances = []
    for eyes in EYES.values():
        colors = lab(palette, eyes)
        apart = np.linalg.norm(colors[:, None] - colors, axis=-1)
        distances.append(apart[np.triu_indices(len(palette), 1)].min())
    return min(distances)


def test_clear_colours_stay_apart_for_all_eyes():
    assert nearest(distinct(LIP).palette[1:]) > 20
    assert nearest(LIP.palette[1:]) < 3


def test_they_show_on_dark_clothes():
    assert lab(distinct(LIP).palette[1:], EYES["normal"])[:, 0].min() > 38


def test_only_the_colours_change():
    assert distinct(LIP).agrees_with(LIP)
    assert distinct(LIP).palette[0] == LIP.palette[0]
    assert len(distinct(PASCAL_PERSON_PART).palette) == 7
