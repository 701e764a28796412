import contextlib
import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fakes.photos import GREY, encoded
from ssnan.io.images import read_reduced, read_rgb, repeatable
from ssnan.io.opening import ImageError


class Once(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, content):
        self.content = content

    def readable(self):
        return True

    def read(self, size=-1):
        content, self.content = self.content, b""
        return content


def test_file_objects_are_read_from_their_beginning(tmp_path):
    content = encoded(Image.new("RGB", (4, 4), "red"), "PNG")
    (tmp_path / "p.png").write_bytes(content)
    written = io.BytesIO()
    written.write(content)
    with (tmp_path / "p.png").open("rb") as opened:
        for image in (io.BytesIO(content), written, opened, Once(content), bytearray(content), memoryview(content)):
            assert read_rgb(repeatable(image))[0, 0].tolist() == [255, 0, 0]


def test_what_is_no_photo_at_all_is_said_so(tmp_path):
    for wrong, message in (
        (io.StringIO("photo"), "binary mode"),
        (["a.jpg"], "use parser.map for several"),
        (None, "got NoneType"),
        (3, "got int"),
    ):
        with pytest.raises(ImageError, match=message):
            repeatable(wrong)


def test_importing_leaves_the_process_warnings_alone():
    code = (
        "import numpy, PIL.Image, warnings; before = list(warnings.filters); import ssnan; "
        "assert warnings.filters == before, warnings.filters"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_arrays():
    assert read_rgb(GREY).shape == (4, 6, 3)
    assert read_rgb(GREY / 255.0).max() == 100
    for wrong, message in (
        (np.zeros((2, 2, 2), np.uint8), "shape"),
        (np.full((2, 2), 7.0), "between 0 and 1"),
        (np.full((2, 2), -0.1), "between 0 and 1"),
        (np.zeros((2, 2), np.int32), "dtype"),
        (np.zeros((0, 2), np.uint8), "shape"),
    ):
        with pytest.raises(ImageError, match=message):
            read_rgb(wrong)


def big_jpeg(path, orientation=1):
    """Left half red, right half blue, 1600 × 800."""
    photo = np.zeros((800, 1600, 3), dtype=np.uint8)
    photo[:, :800, 0] = photo[:, 800:, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, quality=95, exif=exif)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("side", "reduced"), [(67, 202), (134, 403), (135, 805)])
def test_the_same_pixels_give_the_same_however_they_come(tmp_path, orientation, side, reduced):
    photo = np.random.default_rng(0).integers(0, 255, (403, 805, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(tmp_path / "p.jpg", quality=95, exif=exif)
    path, data = tmp_path / "p.jpg", (tmp_path / "p.jpg").read_bytes()
    expected, *size = read_reduced(path, side)
    assert max(expected.shape) == reduced
    assert size == ([403, 805] if orientation == 1 else [805, 403])
    for same in (data, Image.open(path), read_rgb(path), Image.fromarray(read_rgb(path))):
        found, *found_size = read_reduced(same, side)
        assert found_size == size
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("side", [None, 267, 5000])
def test_nothing_is_reduced_below_what_is_needed(tmp_path, side):
    rgb, *size = read_reduced(big_jpeg(tmp_path / "p.jpg"), side)
    assert rgb.shape[:2] == (800, 1600) == tuple(size)


def closed():
    image = Image.open(io.BytesIO(encoded(Image.fromarray(GREY))))
    image.close()
    return image


def odd_transparency():
    image = Image.fromarray(GREY).convert("P")
    image.info["transparency"] = 999
    return image


@pytest.mark.parametrize(
    "make",
    [
        closed,
        odd_transparency,
        lambda: Image.new("RGB", (0, 0)),
        lambda: Image.new("La", (3, 3)),
        lambda: Image.new("RGBa", (3, 3)),
        lambda: Image.new("LAB", (3, 3)),
        lambda: Image.new("HSV", (3, 3)),
        lambda: Image.open(io.BytesIO(encoded(Image.fromarray(GREY))[:-30])),
    ],
)
def test_any_pil_image_is_read_or_refused(make):
    image = make()
    with contextlib.suppress(ImageError):  # nothing else may come out
        assert read_rgb(image).ndim == 3


def test_huge_arrays_are_refused_before_anything_is_computed():
    untouched = np.broadcast_to(np.float64(np.nan), (20_000, 20_000))
    with pytest.raises(ImageError, match="million pixels"):
        read_rgb(untouched)


def test_threads_leave_the_warning_filters_as_they_are():
    data = encoded(Image.fromarray(GREY).convert("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_rgb, [data] * 200))
    assert warnings.filters == before
