import contextlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from ssnan.io.images import ImageError, read_reduced, read_rgb, repeatable
from ssnan.io.masks import read_labels

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


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (read_rgb(clear) == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(kind):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    with pytest.raises(ImageError, match="animation"):
        read_rgb(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert read_rgb(encoded(frames[0], kind)).shape == (4, 4, 3)


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
        (b"", "not an image"),
        (b"hello", "not an image"),
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


def big_jpeg(path, orientation=1):
    """Left half red, right half blue, 1600 × 800."""
    photo = np.zeros((800, 1600, 3), dtype=np.uint8)
    photo[:, :800, 0] = photo[:, 800:, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, quality=95, exif=exif)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("huge", [10**9, 1000])
def test_the_same_pixels_give_the_same_however_they_come(tmp_path, monkeypatch, orientation, huge):
    monkeypatch.setattr("ssnan.io.images.REDUCED_FROM", huge)
    photo = np.random.default_rng(0).integers(0, 255, (403, 805, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(tmp_path / "p.jpg", quality=95, exif=exif)
    path, data = tmp_path / "p.jpg", (tmp_path / "p.jpg").read_bytes()
    expected, *size = read_reduced(path, 100)
    assert size == ([403, 805] if orientation == 1 else [805, 403])
    for same in (data, Image.open(path), read_rgb(path), Image.fromarray(read_rgb(path))):
        found, *found_size = read_reduced(same, 100)
        assert found_size == size
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("side", [None, 801, 5000])
def test_nothing_is_reduced_below_what_is_needed(tmp_path, side):
    rgb, *size = read_reduced(big_jpeg(tmp_path / "p.jpg"), side)
    assert rgb.shape[:2] == (800, 1600) == tuple(size)


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


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(/tmp/x) (w) file\nshowpage\n%%EOF\n"


def test_no_format_that_starts_another_program_is_opened(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *args, **_: started.append(args))
    monkeypatch.setattr("subprocess.check_call", lambda *args, **_: started.append(args))
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    for claimed in (EPS, path, str(path)):
        with pytest.raises(ImageError, match="not an image in a known format"):
            read_rgb(claimed)
    with Image.open(path) as lazy, pytest.raises(ImageError, match="EPS is not one of"):
        read_rgb(lazy)
    with pytest.raises(ImageError, match="not an image"):
        read_labels(path)
    assert not started


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("read", [read_rgb, read_labels])
def test_a_pipe_is_refused_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to("photo.png")
    for name in ("photo.png", "link.png"):
        with pytest.raises(ImageError, match="expected a regular file"):
            read(tmp_path / name)
    with pytest.raises(ImageError, match="expected a regular file"):
        read(Path("/dev/zero"))


def test_names_come_quoted_and_on_one_line(tmp_path):
    path = tmp_path / "a\n\x1b[31mred\u202e.jpg"
    path.write_bytes(b"no photo")
    with pytest.raises(ImageError) as caught:
        read_rgb(path)
    assert str(caught.value).isprintable()
    assert r"'" in str(caught.value)
    assert r"a\n\x1b[31mred\u202e.jpg" in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "d/" * 2500 + "x", "loop", "a\0b"])
def test_paths_that_no_system_call_takes(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ImageError) as caught:
        read_rgb(tmp_path / name)
    assert str(caught.value).isprintable()


def closed():
    image = Image.open(io.BytesIO(encoded(Image.fromarray(GREY))))
    image.close()
    return image


def test_a_transparent_grey_of_16_bits_lies_over_white(tmp_path):
    levels = np.array([[0, 40000, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png", transparency=40000)
    with Image.open(tmp_path / "deep.png") as image:
        assert image.info["transparency"] == 40000
    assert read_rgb(tmp_path / "deep.png").tolist() == [[[0] * 3, [255] * 3, [255] * 3]]


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


def test_premultiplied_alpha_is_divided_out():
    half = Image.fromarray(np.full((2, 2, 4), [100, 50, 0, 128], dtype=np.uint8))
    np.testing.assert_allclose(read_rgb(half.convert("RGBa")).astype(int), read_rgb(half), atol=2)


def test_huge_arrays_are_refused_before_anything_is_computed():
    untouched = np.broadcast_to(np.float64(np.nan), (20_000, 20_000))
    with pytest.raises(ImageError, match="million pixels"):
        read_rgb(untouched)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_huge_photos_are_reduced_before_they_are_copied(monkeypatch, mode):
    monkeypatch.setattr("ssnan.io.images.REDUCED_FROM", 100)
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[:, :40] = 255
    data = encoded(Image.fromarray(photo).convert(mode), "TIFF")
    rgb, height, width = read_reduced(data, 20)
    assert (height, width) == (40, 80)
    assert rgb.shape == (10, 20, 3)
    np.testing.assert_allclose(rgb[:, :10], 255, atol=1)
    np.testing.assert_allclose(rgb[:, 10:], 0, atol=1)
    assert read_rgb(data).shape == (40, 80, 3)


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_strips_of_a_huge_photo_share_one_white(monkeypatch, mode):
    monkeypatch.setattr("ssnan.io.images.REDUCED_FROM", 100)
    monkeypatch.setattr("ssnan.io.images.STRIP_PIXELS", 1)
    levels = np.zeros((44, 80), dtype=np.uint16 if mode == "I;16" else np.float32)
    levels[:20] = 200 if mode == "I;16" else 0.5  # alone, the first strips would pass for 8 bits
    levels[-8:] = 65535 if mode == "I;16" else 255
    rgb, height, width = read_reduced(encoded(Image.fromarray(levels), "TIFF"), 20)
    assert (height, width) == (44, 80)
    assert rgb.shape == (11, 20, 3)
    assert rgb[:5].max() <= 1
    assert rgb[-1].min() == 255


def test_a_reduced_photo_is_the_mean_of_what_was_there(monkeypatch):
    monkeypatch.setattr("ssnan.io.images.REDUCED_FROM", 100)
    monkeypatch.setattr("ssnan.io.images.STRIP_PIXELS", 700)
    photo = np.random.default_rng(0).integers(0, 255, (45, 83, 3), dtype=np.uint8)
    rgb, *_ = read_reduced(encoded(Image.fromarray(photo)), 20)
    np.testing.assert_array_equal(rgb, np.asarray(Image.fromarray(photo).reduce(4)))


def test_threads_leave_the_warning_filters_as_they_are():
    data = encoded(Image.fromarray(GREY).convert("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_rgb, [data] * 200))
    assert warnings.filters == before
