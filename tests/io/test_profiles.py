import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from fakes.png import png
from ssnan.io.images import read_reduced, read_rgb, read_unflattened
from ssnan.io.profiles import in_srgb

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exchanged():
    """sRGB's profile with its red and its green exchanged."""
    return SRGB.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


def encoded(image, kind="PNG", **how):
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_come_in_srgb(kind, mode):
    how = {"lossless": True} if kind == "WEBP" else {}
    red = encoded(Image.new(mode, (6, 4), (255, 0, 0)), kind, icc_profile=exchanged(), **how)
    for rgb in (read_rgb(red), read_reduced(red, 1)[0]):
        assert np.abs(rgb[0, 0].astype(int) - (0, 255, 0)).max() <= 3


@pytest.mark.parametrize("profile", [SRGB, b"no profile", None])
def test_srgb_and_damaged_profiles_change_nothing(profile):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(in_srgb(Image.fromarray(pixels), profile), pixels)


STORED = np.array([[[200, 100, 100], [40, 200, 90], [90, 90, 90]]], dtype=np.uint8)
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
BT_2020_TO_SRGB = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
DISPLAY_P3 = bytes((12, 13, 0, 1))


def converted(stored, matrix=None, gamma=None):
    """``stored`` in sRGB by the formulas of IEC 61966-2-1; ``gamma`` replaces its curve."""
    values = stored / 255
    light = values**gamma if gamma else np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = light if matrix is None else np.clip(light @ matrix.T, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ({"cICP": DISPLAY_P3}, converted(STORED, P3_TO_SRGB)),
        ({"cHRM": struct.pack(">8I", *P3)}, converted(STORED, P3_TO_SRGB)),
        ({"gAMA": struct.pack(">I", 45455), "cHRM": struct.pack(">8I", *P3)}, converted(STORED, P3_TO_SRGB)),
        ({"gAMA": struct.pack(">I", 100000)}, converted(STORED, gamma=1)),
        ({"gAMA": struct.pack(">I", 55556)}, converted(STORED, gamma=1.8)),
        ({"cICP": bytes((9, 13, 0, 1))}, converted(STORED, BT_2020_TO_SRGB)),
        *(({"cICP": bytes((1, code, 0, 1))}, converted(STORED, gamma=g)) for code, g in ((4, 2.2), (5, 2.8), (8, 1))),
        ({"sRGB": b"\0", "gAMA": struct.pack(">I", 55556)}, STORED),
        ({"gAMA": struct.pack(">I", 45455)}, STORED),
        ({"cICP": bytes((1, 13, 0, 1)), "gAMA": struct.pack(">I", 100000)}, STORED),
        ({"gAMA": bytes(4)}, STORED),
        ({"cHRM": bytes(32)}, STORED),
        ({"cHRM": b"\xff" * 32}, STORED),
        ({"cICP": b"", "cHRM": bytes(4)}, STORED),
    ],
)
def test_a_png_may_say_its_colours_in_numbers(tmp_path, chunks, expected):
    content = png(STORED, 8, 2, **chunks)
    (tmp_path / "p.png").write_bytes(content)
    with Image.open(tmp_path / "p.png") as opened:
        for given in (content, tmp_path / "p.png", opened):
            np.testing.assert_allclose(read_rgb(given).astype(float), expected, atol=2.5)


def test_grey_levels_have_the_gamma_of_their_png():
    levels = np.array([[0, 60, 188, 255]])
    grey = read_rgb(png(levels, 8, 0, gAMA=struct.pack(">I", 100000)))
    np.testing.assert_allclose(grey[0, :, 0].astype(float), converted(levels, gamma=1)[0], atol=2.5)
    sixteen = read_rgb(png(levels * 257, 16, 0, gAMA=struct.pack(">I", 100000)))
    np.testing.assert_array_equal(sixteen, grey)


def test_a_heic_in_display_p3_comes_in_srgb():
    """By the numbers that pillow-heif reads; with it, by a file too."""
    photo = Image.new("RGB", (64, 48), (200, 100, 100))
    expected = converted(STORED, P3_TO_SRGB)[0, 0]
    numbered = photo.copy()
    numbered.info["nclx_profile"] = {"color_primaries": 12, "transfer_characteristics": 13}
    np.testing.assert_allclose(read_rgb(numbered)[0, 0].astype(float), expected, atol=2.5)
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo).save(buffer, quality=95, color_primaries=12, transfer_characteristics=13)
    np.testing.assert_allclose(read_rgb(buffer.getvalue())[20, 20].astype(float), expected, atol=4)


def test_alpha_is_kept_with_the_colours_below_it():
    photo = Image.new("RGBA", (6, 4), (200, 0, 0, 100))
    assert read_unflattened(encoded(photo))[0, 0].tolist() == [200, 0, 0, 100]
    assert read_unflattened(photo.convert("RGB")).shape == (4, 6, 3)


def test_cutouts_and_crops_keep_the_photos_alpha(color_parser):
    pixels = np.zeros((40, 60, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[8:20, 12:40] = (255, 0, 0, 200)
    result = color_parser(encoded(Image.fromarray(pixels)))
    cutout = np.asarray(result.cutout("hair"))
    assert cutout[14, 25].tolist() == [255, 0, 0, 200]
    assert cutout[..., 3].max() == 200
    assert result.crop("hair").mode == "RGBA"
    assert result.crop("hair").getpixel((10, 6)) == (255, 0, 0, 200)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused_with_a_word(kind, color_parser):
    first, second = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    content = encoded(first, kind, save_all=True, append_images=[second])
    with pytest.raises(ValueError, match="animation of 2 frames"):
        color_parser(content)
