import numpy as np
import pytest
from PIL import Image

from fakes.png import png
from ssnan.io.images import read_rgb
from ssnan.io.masks import palette_image, read_colors, read_labels
from ssnan.io.opening import ImageError
from ssnan.labels import LIP


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_masks_of_any_depth_hold_ids(bits):
    ids = np.arange(16).reshape(2, 8) % 2 ** min(bits, 4)
    np.testing.assert_array_equal(read_labels(png(ids, bits, 0)), ids)


def test_a_mask_of_larger_numbers_is_refused():
    with pytest.raises(ImageError, match="ids from 0 to 255, got 0 to 256"):
        read_labels(png(np.array([[0, 256]]), 16, 0))


def test_labels_are_indices_not_colours(tmp_path):
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    palette_image(labels, LIP).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "m.png"), labels)
    Image.open(tmp_path / "m.png").convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(ImageError, match="got mode RGB"):
        read_labels(tmp_path / "colours.png")


def test_a_mask_as_jpeg_is_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "m.png", format="JPEG")
    with pytest.raises(ImageError, match="got JPEG, which blends label ids"):
        read_labels(tmp_path / "m.png")


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
