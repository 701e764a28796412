import numpy as np
from PIL import Image
from pyora import Project

from formats.conftest import LABELS
from ssnan.commands import main
from ssnan.labels import LIP


def test_a_layer_a_part_over_the_photo(folder):
    command = ["convert", str(folder / "maps"), "--to", "openraster", "-o", str(folder / "out")]
    assert main([*command, "--photos", str(folder / "photos")]) == 0
    layers = {layer.name: layer for layer in Project.load(str(folder / "out" / "one.ora"))}
    assert set(layers) == {"photo", *(LIP.classes[i] for i in np.unique(LABELS) if 0 < i < 255)}
    photo = np.array(Image.open(folder / "photos" / "one.jpg"))
    face = np.array(layers["face"].get_image_data(raw=False))
    mask = LIP.classes.index("face") == LABELS
    np.testing.assert_array_equal(face[..., 3] == 255, mask)
    np.testing.assert_array_equal(face[mask, :3], photo[mask])


def test_without_photos_in_the_labels_colours(folder):
    assert main(["convert", str(folder / "maps"), "--to", "openraster", "-o", str(folder / "out")]) == 0
    (face,) = (layer for layer in Project.load(str(folder / "out" / "one.ora")) if layer.name == "face")
    pixels = np.array(face.get_image_data(raw=False))
    index = LIP.classes.index("face")
    assert {tuple(color) for color in pixels[index == LABELS, :3]} == {LIP.palette[index]}
