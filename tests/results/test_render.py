import tracemalloc

import numpy as np
from PIL import Image

from fakes.lip import person
from ssnan.labels import LIP
from ssnan.results.render import grid, heatmap, map_over, with_names


def test_heat_is_brighter_where_values_are_larger():
    image = np.asarray(heatmap(np.array([[0.0, 1.0]], dtype=np.float32), (8, 4)))
    assert image.shape == (4, 8, 3)
    assert image[0, 0].tolist() == [13, 8, 80]
    assert image[0, -1].tolist() == [240, 249, 33]


def test_grid_places_images_under_their_heads():
    red, blue = (Image.new("RGB", (50, 100), color) for color in ("red", "blue"))
    image = np.asarray(grid([[red, blue], [blue, red]], ["a", "b"], height=100))
    assert image.shape == (26 + 100 + 4 + 100, 50 + 4 + 50, 3)
    assert image[60, 20].tolist() == image[200, 80].tolist() == [255, 0, 0]
    assert image[60, 80].tolist() == image[200, 20].tolist() == [0, 0, 255]


def test_names_of_a_thin_photo_are_on_their_parts():
    labels = np.zeros((9000, 8), dtype=np.uint8)
    labels[8000:8500] = LIP.classes.index("face")
    named = np.asarray(with_names(Image.new("RGB", (8, 9000)), labels, LIP))
    assert 8000 < np.flatnonzero(named.any(axis=(1, 2))).mean() < 8500


def test_an_overlay_takes_little_more_memory_than_the_photo():
    photo, labels = np.zeros((800, 800, 3), dtype=np.uint8), np.ones((800, 800), dtype=np.uint8)
    tracemalloc.start()
    map_over(photo, labels, LIP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * photo.nbytes


def test_map_over_leaves_the_background():
    photo, labels = person()
    blended = np.asarray(map_over(photo, labels, LIP, opacity=1.0))
    np.testing.assert_array_equal(blended[labels == 0], photo[labels == 0])
    np.testing.assert_array_equal(
        blended, LIP.color_table[labels] * (labels > 0)[..., None] + photo * (labels == 0)[..., None]
    )
