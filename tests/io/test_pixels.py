import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from fakes.photos import GREY, encoded
from fakes.png import png
from ssnan.io.images import read_reduced, read_rgb, read_unflattened
from ssnan.io.opening import ImageError


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


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (read_rgb(clear) == 255).all()


def half_white(format, orientation, kind=None):
    """8 rows, 16 columns, the left half white, with an EXIF orientation stored as it comes."""
    photo = np.zeros((8, 16, 3), dtype=np.uint8)
    photo[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format != "TIFF":
        return encoded(Image.fromarray(photo), format, exif=exif, **({"quality": 95} if format == "JPEG" else {}))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = orientation
    if kind is not None:
        tags.tagtype[0x0112] = kind
    return encoded(Image.fromarray(photo), "TIFF", tiffinfo=tags)


WHITE_IS = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
"""Where the stored photo's left half is in the upright one."""


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [*range(10), 60, 65535])
def test_pixels_and_size_agree_on_every_orientation(format, orientation):
    data = half_white(format, orientation)
    rgb, height, width = read_reduced(data, 4)
    where = WHITE_IS.get(orientation, "left")
    assert (height, width) == ((8, 16) if where in ("left", "right") else (16, 8))
    assert (rgb.shape[0] > rgb.shape[1]) == (height > width)
    np.testing.assert_array_equal(read_rgb(data).shape, (height, width, 3))
    rows, columns = np.array(rgb.shape[:2]) // 2
    halves = {"left": rgb[:, :columns], "right": rgb[:, columns:], "top": rgb[:rows], "bottom": rgb[rows:]}
    assert halves[where].mean() > 200


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_tiff_is_the_same_by_its_path(tmp_path, mode, orientation):
    """Pillow maps files of these modes into memory."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = orientation
    levels = np.arange(128, dtype=np.uint8).reshape(8, 16)
    photo = Image.fromarray(levels.astype(np.uint16)) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    photo.save(tmp_path / "p.tif", tiffinfo=tags)
    expected = read_rgb((tmp_path / "p.tif").read_bytes())
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.tif"), expected)
    with Image.open(tmp_path / "p.tif") as opened:
        np.testing.assert_array_equal(read_rgb(opened), expected)


@pytest.mark.parametrize(("orientation", "kind"), [("6", 2), (b"\x06", 7), ((6, 6), 3), (6.0, 11)])
def test_an_orientation_of_another_type_does_not_refuse_the_photo(orientation, kind):
    rgb, height, width = read_reduced(half_white("TIFF", orientation, kind), None)
    assert rgb.shape == (height, width, 3)


def test_damaged_exif_says_nothing_about_the_pixels():
    good = encoded(Image.fromarray(GREY).convert("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage")
    assert read_rgb(good).shape == (4, 6, 3)


def test_a_transparent_grey_of_16_bits_lies_over_white(tmp_path):
    levels = np.array([[0, 40000, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png", transparency=40000)
    with Image.open(tmp_path / "deep.png") as image:
        assert image.info["transparency"] == 40000
    assert read_rgb(tmp_path / "deep.png").tolist() == [[[0] * 3, [255] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("levels", "bits", "color", "key"),
    [
        ([[3, 2, 0, 0]], 2, 0, (3,)),
        ([[15, 3]], 4, 0, (15,)),
        ([[3, 15]], 4, 0, (3,)),
        ([[200, 3]], 8, 0, (200,)),
        ([[4660, 65535]], 16, 0, (4660,)),
        ([[(1, 2, 3), (0, 2, 3)]], 8, 2, (1, 2, 3)),
        ([[(4660, 0, 65535), (13330, 0, 65535)]], 16, 2, (4660, 0, 65535)),
    ],
)
def test_the_transparent_colour_of_a_png_has_its_bits(levels, bits, color, key):
    photo = png(np.array(levels), bits, color, tRNS=struct.pack(f">{len(key)}H", *key))
    assert (read_unflattened(photo)[0, :, 3] == 0).tolist() == [True] + [False] * (len(levels[0]) - 1)
    with Image.open(io.BytesIO(photo)) as image:  # read twice, as for a cutout
        np.testing.assert_array_equal(read_unflattened(image), read_unflattened(photo))
        np.testing.assert_array_equal(read_unflattened(image), read_unflattened(photo))


def test_an_opaque_alpha_is_left_out():
    assert read_unflattened(Image.new("RGBA", (2, 1), (1, 2, 3, 255))).tolist() == [[[1, 2, 3]] * 2]
    assert read_unflattened(Image.new("RGBA", (2, 1), (1, 2, 3, 254))).shape == (1, 2, 4)


def test_premultiplied_alpha_is_divided_out():
    half = Image.fromarray(np.full((2, 2, 4), [100, 50, 0, 128], dtype=np.uint8))
    np.testing.assert_allclose(read_rgb(half.convert("RGBa")).astype(int), read_rgb(half), atol=2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_large_photos_are_reduced(mode):
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[:, :40] = 255
    data = encoded(Image.fromarray(photo).convert(mode), "TIFF")
    rgb, height, width = read_reduced(data, 6)
    assert (height, width) == (40, 80)
    assert rgb.shape == (10, 20, 3)
    np.testing.assert_allclose(rgb[:, :10], 255, atol=1)
    np.testing.assert_allclose(rgb[:, 10:], 0, atol=1)
    assert read_rgb(data).shape == (40, 80, 3)


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_strips_of_a_large_photo_share_one_white(monkeypatch, mode):
    monkeypatch.setattr("ssnan.io.pixels.STRIP_PIXELS", 1)
    levels = np.zeros((44, 80), dtype=np.uint16 if mode == "I;16" else np.float32)
    levels[:20] = 200 if mode == "I;16" else 0.5  # alone, the first strips would pass for 8 bits
    levels[-8:] = 65535 if mode == "I;16" else 255
    rgb, height, width = read_reduced(encoded(Image.fromarray(levels), "TIFF"), 6)
    assert (height, width) == (44, 80)
    assert rgb.shape == (11, 20, 3)
    assert rgb[:5].max() <= 1
    assert rgb[-1].min() == 255


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_is_not_averaged(mode):
    """Stripes of black, which is transparent, and grey: white and grey."""
    photo = Image.fromarray(np.tile(np.array([0, 200], dtype=np.uint8), (40, 40))).convert(mode)
    data = encoded(photo, transparency=0 if mode == "L" else (0, 0, 0))
    rgb, *_ = read_reduced(data, 6)
    np.testing.assert_allclose(rgb, (255 + 200) / 2, atol=1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])  # as a whole, and in strips
def test_a_reduced_photo_is_the_mean_of_what_was_there(monkeypatch, mode):
    monkeypatch.setattr("ssnan.io.pixels.STRIP_PIXELS", 700)
    photo = np.random.default_rng(0).integers(0, 255, (45, 83, 3), dtype=np.uint8)
    rgb, *_ = read_reduced(encoded(Image.fromarray(photo).convert(mode)), 6)
    np.testing.assert_array_equal(rgb, np.asarray(Image.fromarray(photo).reduce(4)))


def test_sixteen_bits_are_scaled_not_cut():
    sixteen = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(read_rgb(encoded(sixteen))[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_fewer_bits_in_sixteen_are_as_bright(white, mode):
    levels = np.array([[0, white // 2, white]], dtype={"I;16B": ">u2", "I": "<i4"}.get(mode, "<u2"))
    np.testing.assert_allclose(
        read_rgb(Image.frombytes(mode, (3, 1), levels.tobytes()))[0, :, 0], [0, 127, 255], atol=1
    )


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("color", [2, 4])
def test_fewer_bits_of_colour_in_sixteen_are_refused(bits, color):
    """In RGB and, as type 4, in grey with alpha, of which Pillow keeps the upper eight bits."""
    levels = np.random.default_rng(0).integers(0, 1 << bits, (4, 5, 3 if color == 2 else 2))
    if color == 4:
        levels[..., 1] = 65535
    with pytest.raises(ImageError, match="14 bits or fewer in 16"):
        read_rgb(png(levels, 16, color))
    assert read_rgb(png(levels << (16 - bits), 16, color)).max() > 200
    assert read_rgb(png(levels * 0, 16, color)).shape == (4, 5, 3)


def test_float_tiffs_of_zero_to_one_are_not_black_and_no_number_is_refused():
    levels = np.array([[0, 0.25, 1]], dtype=np.float32)
    assert read_rgb(encoded(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == [0, 64, 255]
    assert read_rgb(encoded(Image.fromarray(levels * 200), "TIFF"))[0, :, 0].tolist() == [0, 50, 200]
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(ImageError, match="not finite numbers"):
            read_rgb(encoded(Image.fromarray(np.array([[0, wrong]], dtype=np.float32)), "TIFF"))
