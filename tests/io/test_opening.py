import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from fakes.photos import GREY, encoded
from ssnan.io.images import read_rgb
from ssnan.io.masks import read_labels
from ssnan.io.opening import ImageError


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(kind):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    with pytest.raises(ImageError, match="animation"):
        read_rgb(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert read_rgb(encoded(frames[0], kind)).shape == (4, 4, 3)


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


def test_a_file_that_the_system_cannot_open_is_not_called_damaged(tmp_path):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for path, reason in ((tmp_path / "loop.jpg", "symbolic links"), (tmp_path / ("x" * 300), "name too long")):
        with pytest.raises(ImageError, match=rf"cannot be read \(.*{reason}\)") as caught:
            read_rgb(path)
        assert "damaged" not in str(caught.value)
