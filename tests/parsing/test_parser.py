import io

import numpy as np
import pytest
from PIL import Image

import ssnan
from ssnan.io.opening import ImageError
from ssnan.labels import ATR, LIP
from ssnan.parsing.engines import OnnxRuntimeEngine, OpenVINOEngine
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.parsing.views import Views
from ssnan.results.colors import distinct


def test_every_kind_of_input_gives_the_same_map(color_parser, tmp_path):
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    photo[8:20, 12:40, 0] = 255
    Image.fromarray(photo).save(tmp_path / "p.png")
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    maps = [
        color_parser(image).labels
        for image in (tmp_path / "p.png", str(tmp_path / "p.png"), buffer.getvalue(), Image.fromarray(photo), photo)
    ]
    assert maps[0].shape == (40, 60)
    assert set(np.unique(maps[0])) == {0, 2}
    assert maps[0][14, 25] == 2
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


def test_preprocessing_resizes_and_normalises():
    preprocessing = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.5), longest_side=64)
    pixels = preprocessing(np.full((200, 100, 3), 255, dtype=np.uint8))
    assert pixels.shape == (3, 65, 33)
    np.testing.assert_allclose(pixels[:, 0, 0], [5, 3, 1.4], rtol=1e-5)
    assert Preprocessing(longest_side=64).size(10, 1000) == (33, 65)
    assert Preprocessing().size(100, 200) == (97, 193)
    assert Preprocessing().size(112, 80) == (97, 65)  # 111 is nearer to 96 than to 128
    stripes = np.zeros((130, 130, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    shrunk = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), longest_side=65)(stripes)
    np.testing.assert_allclose(shrunk[:, :, 1:-1], 0.5, atol=0.05)  # a mean, not one or the other


def test_a_large_photo_stays_three_times_as_large_as_the_largest_view():
    for views, side in ((Views(), 300), (Views((0.5, 2.0)), 600)):
        parser = Parser(lambda pixels: pixels, LIP, Preprocessing(longest_side=100), views)
        decoded = parser.decode(np.zeros((1200, 900, 3), dtype=np.uint8))
        assert (decoded.rgb.shape[0], decoded.height, decoded.width) == (side, 1200, 900)
    parser = Parser(lambda pixels: pixels, LIP, Preprocessing(longest_side=100))
    long = parser.decode(np.zeros((3600, 900, 3), dtype=np.uint8))
    assert long.rgb.shape == (600, 150, 3)  # of windows of 1800 × 900


def test_missing_models_and_engines():
    with pytest.raises(ssnan.ModelError, match="small"):
        ssnan.load("nonesuch")
    with pytest.raises(ssnan.ModelError, match=r"nonesuch\.onnx: no such file"):
        ssnan.load("nonesuch.onnx")
    with pytest.raises(ssnan.ModelError, match="onnxruntime, openvino, torch"):
        ssnan.load(engine="abacus")
    with pytest.raises(ssnan.ModelError, match="torch only runs"):
        ssnan.load(engine="torch")
    with pytest.raises(ssnan.ModelError, match="only torch runs checkpoints"):
        ssnan.load("run.ckpt", engine="openvino")


@pytest.mark.parametrize(("installed", "engine"), [(False, OnnxRuntimeEngine), (True, OpenVINOEngine)])
def test_auto_says_what_it_picked_and_why(installed, engine, caplog, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64" if installed else "riscv64")
    with caplog.at_level("INFO", logger="ssnan"):
        parser = ssnan.load(threads=1)
    assert isinstance(parser.engine, engine)
    [message] = caplog.messages
    assert message.startswith(f"engine {'openvino' if installed else 'onnxruntime'} on small.")
    assert "1 threads: " in message


def test_options_leave_the_parser_itself_as_it_was(color_parser):
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    photo[8:20, 12:40, 0] = 255
    other = color_parser.with_options("atr", "distinct", max_pixels=2400)
    assert other.result_labels.name == "atr"
    assert other.engine is color_parser.engine
    assert other(photo).label_set.palette[2] == distinct(LIP).palette[2]
    assert color_parser(photo).label_set == LIP
    with pytest.raises(ssnan.ImageError, match="million pixels"):
        other(np.zeros((40, 61, 3), dtype=np.uint8))
    color_parser(np.zeros((40, 61, 3), dtype=np.uint8))


def test_load_takes_the_options_of_results():
    parser = ssnan.load(engine="onnxruntime", threads=1, labels="merged", colors="distinct", max_pixels=100)
    assert parser.result_labels.name == "lip_merged"
    assert parser.max_pixels == 100
    with pytest.raises(ssnan.RemapError, match="nonesuch"):
        ssnan.load(engine="onnxruntime", threads=1, labels="nonesuch")


class TwoHalves:
    """An engine whose "network" calls everything hair, of a person in each half of the photo."""

    tells_apart = True
    runs = 0

    def __call__(self, pixels):
        self.runs += 1
        scores = np.zeros((len(pixels), 20, 9, 17), dtype=np.float32)
        scores[:, 2] = 9
        return scores

    def with_people(self, pixels):
        maps = np.zeros((len(pixels), 3, 9, 17), dtype=np.float32)
        maps[:, 0] = -9
        maps[:, 0, 4, [4, 12]] = 9
        maps[:, 1:] = 0
        return self(pixels), maps


@pytest.mark.parametrize(
    ("views", "runs"), [(Views(), 1), (Views(mirror=True), 2), (Views((1.0, 0.5)), 2), (Views((0.5,)), 2)]
)
def test_a_network_that_tells_people_apart_is_believed(views, runs):
    parser = Parser(TwoHalves(), LIP, Preprocessing(), views)
    result = parser(np.zeros((90, 170, 3), dtype=np.uint8))
    assert len(result.people) == 2
    assert len(set(result.people_map[:, :80].ravel())) == len(set(result.people_map[:, 90:].ravel())) == 1
    assert parser.engine.runs == runs


def test_a_long_photo_is_parsed_in_windows_without_it():
    result = Parser(TwoHalves(), LIP, Preprocessing())(np.zeros((50, 400, 3), dtype=np.uint8))
    assert result.instance_maps is None
    assert len(result.people) == 1


def test_omitted_options_stay(color_parser):
    other = color_parser.with_options(colors="distinct").with_options("atr").with_options(max_pixels=2400)
    assert other.result_labels == distinct(ATR)
    assert other.with_options(colors="labels").result_labels == ATR
    assert other.label_set == LIP


def test_a_camera_may_write_every_photo_into_one_array(color_parser):
    buffer = np.zeros((33, 33, 3), dtype=np.uint8)

    def photo(column):
        rgb = np.zeros_like(buffer)
        rgb[:, column : column + 8] = 255, 0, 0  # hair
        return rgb

    def camera():
        for column in range(5):
            buffer[:] = photo(column)
            yield buffer

    for column, result in enumerate(color_parser.map(camera())):
        np.testing.assert_array_equal(result.labels, color_parser(photo(column)).labels)
        np.testing.assert_array_equal(result.photo, photo(column))


@pytest.mark.parametrize("one", ["photo.jpg", np.zeros((9, 9, 3), dtype=np.uint8), io.BytesIO(b"x")])
def test_one_photo_is_not_many(color_parser, one):
    with pytest.raises(ImageError, match=r"expected several photos, got one; call parser\(photo\)"):
        color_parser.map(one)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_pixels": 0}, "max_pixels: expected a whole number"),
        ({"max_pixels": 10**9}, "max_pixels: expected a whole number"),
        ({"max_pixels": True}, "max_pixels: expected a whole number"),
    ],
)
def test_options_are_checked_where_they_are_given(color_parser, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        color_parser.with_options(**options)
