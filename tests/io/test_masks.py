import io

import numpy as np
import pytest
from PIL import Image

from fakes.png import png as encoded
from ssnan.io.images import read_rgb
from ssnan.io.masks import palette_image, png, read_colors, read_labels
from ssnan.io.opening import ImageError
from ssnan.labels import LIP


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_masks_of_any_depth_hold_ids(bits):
    ids = np.arange(16).reshape(2, 8) % 2 ** min(bits, 4)
    np.testing.assert_array_equal(read_labels(encoded(ids, bits, 0)), ids)


def test_a_mask_of_larger_numbers_is_refused():
    with pytest.raises(ImageError, match="ids from 0 to 255, got 0 to 256"):
        read_labels(encoded(np.array([[0, 256]]), 16, 0))


def test_labels_are_indices_not_colours(tmp_path):
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    palette_image(labels, LIP).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "m.png"), labels)
    Image.open(tmp_path / "m.png").convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(ImageError, match="got mode RGB"):
        read_labels(tmp_path / "colours.png")


def test_a_map_is_written_as_runs_and_a_photo_is_not():
    labels = np.repeat(np.arange(20, dtype=np.uint8)[:, None], 300, axis=1)
    np.testing.assert_array_equal(read_labels(png(palette_image(labels, LIP))), labels)
    gradient = np.indices((64, 64)).sum(axis=0).astype(np.uint8)
    for image, runs in ((palette_image(gradient % 20, LIP), True), (Image.fromarray(gradient), False)):
        usual = io.BytesIO()
        image.save(usual, format="PNG")
        assert (png(image) != usual.getvalue()) == runs


def test_a_mask_as_jpeg_is_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "m.png", format="JPEG")
    with pytest.raises(ImageError, match="got JPEG, which blends label ids"):
        read_labels(tmp_path / "m.png")


@pytest.mark.parametrize("content", [b"P5 2 1 19\n\0\x13", b"P2 2 1 19\n0 19\n", b"P1 2 1\n0 1\n"])
def test_a_mask_in_a_format_that_changes_ids_is_refused(content):
    with pytest.raises(ImageError, match="got PGM or PBM, whose values would change"):
        read_labels(content)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("format", "problem"), [("PNG", "an animation of 2 frames"), ("TIFF", "several pages")])
def test_a_file_with_several_masks_is_refused(tmp_path, mode, format, problem):
    first, second = (Image.new(mode, (8, 8), color) for color in ("black", "white"))
    first.save(tmp_path / "m", format=format, save_all=True, append_images=[second])
    with pytest.raises(ImageError, match=problem):
        read_labels(tmp_path / "m") if mode == "L" else read_colors(tmp_path / "m")


def test_ids_that_became_greys_of_a_palette_are_refused():
    ids = np.array([[0, 1, 5, 19]], dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(ids).save(content, format="GIF")  # the indices are 0, 1, 2, 3
    with pytest.raises(ImageError, match="grey level 5 at index 2, and both are label ids"):
        read_labels(content.getvalue(), LIP)
    same = Image.fromarray(ids)
    same.putpalette(bytes(level for level in range(256) for _ in range(3)))
    content = io.BytesIO()
    same.save(content, format="PNG")
    np.testing.assert_array_equal(read_labels(content.getvalue(), LIP), ids)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_photos_are(tmp_path, format, orientation):
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    how = {"lossless": True} if format == "WEBP" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    colors = np.array(LIP.palette, dtype=np.uint8)[ids]
    Image.fromarray(colors).save(tmp_path / "p", format=format, exif=exif, **how)
    photo = read_rgb(tmp_path / "p")
    np.testing.assert_array_equal(read_colors(tmp_path / "p"), photo)
    if format == "WEBP":  # has no grey levels
        return
    for mask in (Image.fromarray(ids), palette_image(ids, LIP), Image.fromarray(ids.astype(np.uint16))):
        mask.save(tmp_path / "m", format=format, exif=exif)
        np.testing.assert_array_equal(np.array(LIP.palette)[read_labels(tmp_path / "m", LIP)], photo)
