"""Photos of more than 8 bits, and files of more than one photo."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from fakes.png import png
from ssnan.io.images import ImageError, read_rgb


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


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


@pytest.mark.parametrize(("kind", "readable"), [(0, False), (1, True), (4, True)])
def test_a_tiff_of_several_photos_is_refused(tmp_path, kind, readable):
    """A smaller version (1) or a mask (4) beside the photo is none of its own."""
    first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    with AppendingTiffWriter(tmp_path / "p.tif", new=True) as pages:
        first.save(pages, "TIFF")
        pages.newFrame()
        second.save(pages, "TIFF", tiffinfo={0x00FE: kind})
    for given in (tmp_path / "p.tif", (tmp_path / "p.tif").read_bytes()):
        if readable:
            assert read_rgb(given)[0, 0].tolist() == [255, 0, 0]
        else:
            with pytest.raises(ImageError, match="has several pages"):
                read_rgb(given)


def test_a_raw_file_without_its_name_is_told_by_its_content():
    thumbnail = encoded(Image.new("RGB", (8, 6)), "TIFF", tiffinfo={0x00FE: 1})
    for content in (thumbnail, b"II*\0\x10\0\0\0CR\2\0"):
        with pytest.raises(ImageError, match="raw file"):
            read_rgb(content)


def test_float_tiffs_of_zero_to_one_are_not_black_and_no_number_is_refused():
    levels = np.array([[0, 0.25, 1]], dtype=np.float32)
    assert read_rgb(encoded(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == [0, 64, 255]
    assert read_rgb(encoded(Image.fromarray(levels * 200), "TIFF"))[0, :, 0].tolist() == [0, 50, 200]
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(ImageError, match="not finite numbers"):
            read_rgb(encoded(Image.fromarray(np.array([[0, wrong]], dtype=np.float32)), "TIFF"))
