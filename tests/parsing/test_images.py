import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ssnan.labels import LIP
from ssnan.parsing.images import ImageError, palette_image, read_labels, read_reduced, read_rgb

GREY = np.full((4, 6), 100, dtype=np.uint8)


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def test_exif_orientation_is_honoured(tmp_path):
    photo = np.zeros((8, 16, 3), dtype=np.uint8)
    photo[:, :8] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for display
    Image.fromarray(photo).save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = read_rgb(tmp_path / "a.jpg")
    assert upright.shape == (16, 8, 3)
    assert upright[:6].min() > 200  # what was left is now on top
    assert upright[10:].max() < 50


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode):
    rgb = read_rgb(Image.fromarray(GREY).convert(mode))
    assert rgb.shape == (4, 6, 3)
    assert rgb.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_cut():
    sixteen = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(read_rgb(encoded(sixteen))[0, :, 0], [0, 128, 255])


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (read_rgb(clear) == 255).all()


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_rgb(data)[0, 0].tolist() == [255, 0, 0]


def test_arrays():
    assert read_rgb(GREY).shape == (4, 6, 3)
    assert read_rgb(GREY / 255.0).max() == 100
    for wrong, message in (
        (np.zeros((2, 2, 2), np.uint8), "shape"),
        (np.full((2, 2), 7.0), "between 0 and 1"),
        (np.zeros((2, 2), np.int32), "dtype"),
        (np.zeros((0, 2), np.uint8), "shape"),
    ):
        with pytest.raises(ImageError, match=message):
            read_rgb(wrong)


def huge_png() -> bytes:
    """The head of a 30,000 × 30,000 PNG: enough to know that it is too large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a picture"),
        (b"hello", "not a picture"),
        (encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)), "JPEG")[:900],
         "damaged or truncated"),
        (encoded(Image.fromarray(GREY))[:-30], "damaged or truncated"),
        (huge_png(), "million pixels"),
    ],
)  # fmt: skip
def test_bad_files_say_why_in_one_line(tmp_path, data, reason):
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        read_rgb(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_forbidden(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_rgb(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_rgb(tmp_path)
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(Image.fromarray(GREY)))
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ImageError, match="no permission"):
        read_rgb(secret)


def test_labels_are_indices_not_colours(tmp_path):
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    palette_image(labels, LIP).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "m.png"), labels)
    Image.open(tmp_path / "m.png").convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(ImageError, match="got mode RGB"):
        read_labels(tmp_path / "colours.png")


def big_jpeg(path, orientation=1):
    """Left half red, right half blue, 1600 × 800."""
    photo = np.zeros((800, 1600, 3), dtype=np.uint8)
    photo[:, :800, 0] = photo[:, 800:, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, quality=95, exif=exif)
    return path


def test_large_jpegs_are_decoded_smaller(tmp_path):
    rgb, height, width = read_reduced(big_jpeg(tmp_path / "p.jpg"), 321)
    assert (height, width) == (800, 1600)
    assert rgb.shape == (200, 400, 3)  # an eighth would be too small
    assert rgb[100, 50, 0] > 240
    assert rgb[100, 350, 2] > 240
    assert read_reduced((tmp_path / "p.jpg").read_bytes(), 321)[0].shape == (200, 400, 3)


def test_reduced_pictures_are_turned_too(tmp_path):
    rgb, height, width = read_reduced(big_jpeg(tmp_path / "p.jpg", orientation=6), 321)
    assert (height, width) == (1600, 800)
    assert rgb.shape == (400, 200, 3)
    assert rgb[50, 100, 0] > 240  # what was left is on top


@pytest.mark.parametrize("side", [None, 801, 5000])
def test_nothing_is_reduced_below_what_is_needed(tmp_path, side):
    rgb, *size = read_reduced(big_jpeg(tmp_path / "p.jpg"), side)
    assert rgb.shape[:2] == (800, 1600) == tuple(size)
