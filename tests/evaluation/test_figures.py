import pytest
from PIL import Image

from ssnan.evaluation.figures import Shown, draw


def test_a_full_disk_leaves_the_earlier_figures(color_parser, tmp_path, monkeypatch):
    def full(image, place, **_):
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    photos, output = tmp_path / "photos", tmp_path / "report"
    for folder in (photos, output):
        folder.mkdir()
    Image.new("RGB", (60, 80), "red").save(photos / "a.png")
    draw([Shown("colours", color_parser, ())], photos, 1, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert sorted(before) == ["joints.jpg", "side_by_side.jpg"]
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        draw([Shown("colours", color_parser, ())], photos, 1, output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
