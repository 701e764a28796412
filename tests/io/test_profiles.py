import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from ssnan.io.images import read_rgb, read_unflattened
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
    assert np.abs(read_rgb(red)[0, 0].astype(int) - (0, 255, 0)).max() <= 3


@pytest.mark.parametrize("profile", [SRGB, b"no profile", None])
def test_srgb_and_damaged_profiles_change_nothing(profile):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(in_srgb(Image.fromarray(pixels), profile), pixels)


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
