"""Convert colours to sRGB: by an ICC profile, or by the numbers that PNG and HEIC files may have in its place."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

CLOSE = 2
"""The largest difference, in levels of 256, of a profile that counts as sRGB."""

SRGB = np.array([(0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.3127, 0.329)])
"""Chromaticities, x and y, of sRGB's red, green, blue and white, (4, 2)."""

PRIMARIES = {
    9: np.array([(0.708, 0.292), (0.17, 0.797), (0.131, 0.046), (0.3127, 0.329)]),  # BT.2020
    11: np.array([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)]),  # DCI-P3
    12: np.array([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)]),  # Display P3
}
"""Chromaticities by their codes in ITU-T H.273; others count as sRGB's."""

PNG_SRGB = 0.45455
"""``gAMA`` of a PNG in sRGB."""

GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Exponents by the codes of transfer functions in ITU-T H.273; others, HDR too, count as sRGB's curve."""

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""``g, a, b, c, d`` of ICC's curve: ``(a x + b) ** g``, and ``c x`` below ``d``."""

D50 = (0.9642, 1.0, 0.8249)
"""XYZ of the white of ICC profiles."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to the responses of the eye, in which one white is adapted to another."""


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image of mode L, RGB or CMYK to sRGB. It stays unchanged if its profile is missing, damaged, of
    another mode, or sRGB. Grey levels may have a profile of RGB."""
    if not profile:
        return image
    if image.mode == "L" and profile[16:20] == b"RGB ":
        image = image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if image.mode != "CMYK":
        levels = np.linspace(0, 255, 6).round().astype(np.uint8)
        table = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        swatch = Image.fromarray(table).convert(image.mode)
        changed = ImageCms.applyTransform(swatch, transform)
        assert changed is not None
        if np.abs(np.asarray(changed, dtype=int) - np.asarray(swatch.convert("RGB"), dtype=int)).max() <= CLOSE:
            return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile of an image that is not decoded yet; None if nothing says that it is not in sRGB.

    In this order: ``cICP`` of a PNG, an ICC profile, ``nclx`` of a HEIC, ``gAMA`` and ``cHRM`` of a PNG. Numbers that
    make no sense count as sRGB.
    """
    info = image.info
    file = getattr(image, "fp", None)
    codes = _cicp(file) if file and image.format == "PNG" else None
    if codes is None and "icc_profile" in info:
        profile: bytes | None = info["icc_profile"]
        return profile
    try:
        if codes is None and "nclx_profile" in info:
            codes = info["nclx_profile"]["color_primaries"], info["nclx_profile"]["transfer_characteristics"]
        if codes is not None:
            return _made(PRIMARIES.get(codes[0], SRGB), GAMMAS.get(codes[1]))
        if "srgb" in info:
            return None
        from_white = np.reshape(info["chromaticity"], (4, 2)) if "chromaticity" in info else np.roll(SRGB, 1, axis=0)
        gamma = info.get("gamma", PNG_SRGB)
        return _made(np.roll(from_white, -1, axis=0), None if abs(gamma - PNG_SRGB) < 0.005 else 1 / gamma)
    except (ArithmeticError, LookupError, ValueError, np.linalg.LinAlgError, struct.error):
        return None


def _cicp(file: Any) -> tuple[int, int] | None:
    """The codes of primaries and transfer in a PNG's ``cICP``, which Pillow does not read; ``file`` stays where it
    is."""
    position = file.tell()
    file.seek(8)
    try:
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"cICP":
                primaries, transfer = file.read(2)
                return primaries, transfer
            if kind == b"IDAT":
                break
            file.seek(length + 4, os.SEEK_CUR)
        return None
    except ValueError:  # the file ends
        return None
    finally:
        file.seek(position)


@np.errstate(all="ignore")
def _made(xy: NDArray[np.float64], gamma: float | None) -> bytes | None:
    """An ICC profile with the chromaticities of red, green, blue and white, (4, 2), and an exponent or sRGB's curve;
    None for sRGB."""
    if gamma is None and np.abs(xy - SRGB).max() < 0.002:
        return None
    xyz = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)]) / xy[:, 1].clip(1e-4)
    white = BRADFORD @ xyz[:, 3]
    colorants = np.linalg.solve(BRADFORD, np.diag(BRADFORD @ D50 / white) @ BRADFORD @ xyz[:, :3])
    colorants *= np.linalg.solve(xyz[:, :3], xyz[:, 3])
    curve = b"para\0\0\0\0\0\3\0\0" + _fixed(SRGB_CURVE if gamma is None else (gamma, 1.0, 0.0, 0.0, 0.0))
    values = [b"XYZ \0\0\0\0" + _fixed(column) for column in colorants.T] + [curve] * 3
    table, at = struct.pack(">I", 6), 128 + 4 + 6 * 12
    for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"), values, strict=True):
        table += struct.pack(">4sII", name, at, len(value))
        at += len(value)
    kinds = (b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return struct.pack(">I4xI4s4s4s12x4s28x12s48x", at, 0x04300000, *kinds, _fixed(D50)) + table + b"".join(values)


def _fixed(numbers: Iterable[float]) -> bytes:
    """Numbers as ICC's s15Fixed16."""
    return b"".join(struct.pack(">i", round(65536 * number)) for number in numbers)
