import numpy as np
import pytest

from formats.conftest import LABELS
from ssnan.commands import main
from ssnan.formats.picture import FormatError, find_maps, read_pictures
from ssnan.labels import ATR
from ssnan.parsing.result import ParsingResult


def test_overlays_are_no_maps(folder):
    assert [path.name for path in find_maps(folder / "maps")] == ["two.png", "one.png"]


def test_maps_in_other_labels_are_named(folder):
    ParsingResult(np.minimum(LABELS, 10), ATR).save(folder / "maps" / "three.png")
    with pytest.raises(FormatError, match=r"three.png'?: is in labels of"):
        list(read_pictures(folder / "maps"))


def test_a_photo_that_is_not_there_is_named(folder, capsys):
    (folder / "photos" / "one.jpg").unlink()
    assert (
        main(
            [
                "convert",
                str(folder / "maps"),
                "--to",
                "coco",
                "--photos",
                str(folder / "photos"),
                "-o",
                str(folder / "out"),
            ]
        )
        == 1
    )
    assert "one.png" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize("arguments", [["nowhere", "--to", "coco"], [".", "--to", "cvat", "--tolerance", "-1"]])
def test_misuse_is_said_in_a_line(arguments, capsys):
    assert main(["convert", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_without_maps_is_said_so(folder, capsys):
    assert main(["convert", str(folder / "photos"), "--to", "coco", "-o", str(folder / "out")]) == 1
    assert "holds no map" in capsys.readouterr().err
