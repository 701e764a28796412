import io
import struct
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from ssnan.data.folder import photos_by_stem
from ssnan.io.images import read_rgb
from ssnan.io.opening import ImageError
from ssnan.parsing.inputs import find_inputs

HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"
CONTENT = {"JPEG": "a.jfif", "MPO": "b.mpo", "PPM": "c.ppm", "PNG": "d", "WEBP": "e.photo", "TIFF": "f.1", "BMP": "g.x"}


@pytest.fixture
def folder(tmp_path):
    """Photos with unusual names, and files that are none."""
    root = tmp_path / "in"
    root.mkdir()
    for format, name in CONTENT.items():
        Image.new("RGB", (8, 6), "red").save(root / name, format=format)
    (root / "phone.heic").write_bytes(HEIC)
    (root / "plain").write_bytes(b"Pf\n2 1\n-1.0\n" + np.array([0, 1], dtype="<f4").tobytes())
    (root / "notes.txt").write_text("BMW, P3 and RIFF are words")
    (root / "empty").touch()
    Image.new("RGB", (8, 6)).save(root / ".ssnan-0-1-x.part", format="PNG")
    return root


PHOTOS = {*CONTENT.values(), "phone.heic", "plain"}


def test_folders_and_tars_are_searched_by_content(folder, tmp_path):
    assert {path.name for path in find_inputs([str(folder)], recursive=True)} == PHOTOS
    assert {path.name for path in photos_by_stem(folder).values()} == PHOTOS
    find_items = pytest.importorskip("ssnan.cluster.items", exc_type=ImportError).find_items
    assert {item.uri.rpartition("/")[2] for item in find_items([str(folder)])} == PHOTOS
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    find_items = pytest.importorskip("ssnan.cluster.items", exc_type=ImportError).find_items
    assert len(find_items([str(tmp_path / "t.tar")])) == len(PHOTOS)


def test_every_one_of_them_is_read(folder):
    for name in CONTENT.values():
        assert read_rgb(folder / name).shape == (6, 8, 3)
    assert read_rgb(folder / "plain")[0, :, 0].tolist() == [0, 255]


def test_heic_is_read_or_its_extra_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for given in (folder / "phone.heic", HEIC):
        with pytest.raises(ImageError, match=r"pip install 'ssnan\[heif\]'"):
            read_rgb(given)


def test_heic_by_its_extra():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), "red")).save(buffer, quality=90)
    rgb = read_rgb(buffer.getvalue())
    assert rgb.shape == (48, 64, 3)
    assert rgb[0, 0, 0] > 240


def test_a_raw_file_does_not_pass_for_its_thumbnail(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "x.dng", format="TIFF")
    assert list(find_inputs([str(tmp_path)], recursive=False)) == [tmp_path / "x.dng"]
    with pytest.raises(ImageError, match="raw file"):
        read_rgb(tmp_path / "x.dng")
