import json
import os
from collections import deque
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from ssnan.commands import main, parse
from ssnan.io.opening import ImageError
from ssnan.parsing.frames import frames as read_frames
from ssnan.parsing.frames import opened
from ssnan.parsing.inputs import find_inputs
from ssnan.parsing.video import BT_709, LIMITED, RESULTS, parse_video, video_of

TIMES = [0, 40, 80, 200, 240]  # milliseconds: a video that pauses


def write_video(path, size=(48, 64)):
    """A red bar that wanders, at uneven times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(TIMES):
            rgb = np.zeros((*size, 3), dtype=np.uint8)
            rgb[:, 8 * number : 8 * number + 16, 0] = 255
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frames(path, kind):
    with av.open(str(path)) as container:
        return [(round(1000 * float(f.time)), f.to_ndarray(format=kind)) for f in container.decode(video=0)]


@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_labels_are_lossless_and_frames_keep_their_times(color_parser, tmp_path, size):
    video = write_video(tmp_path / "video.mkv", size)
    progress = list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert [done for done, _ in progress] == [1, 2, 3, 4, 5]
    labels = frames(tmp_path / "out" / "video.labels.mkv", "gray")
    overlay = frames(tmp_path / "out" / "video.overlay.mp4", "rgb24")
    assert [time for time, _ in labels] == [time for time, _ in overlay] == TIMES
    for (_, found), (_, rgb) in zip(labels, frames(video, "rgb24"), strict=True):
        np.testing.assert_array_equal(found, color_parser(rgb).labels)
    assert overlay[0][1].shape == (48, 64, 3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["video.labels.mkv", "video.overlay.mp4"]


def test_an_overlay_says_how_its_colours_are_coded(color_parser, tmp_path):
    """Players guess otherwise, by the size of the frames."""
    video = write_video(tmp_path / "video.mkv", (96, 128))
    list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    with av.open(str(tmp_path / "out" / "video.overlay.mp4")) as container:
        coded = container.streams.video[0].codec_context
        assert coded.colorspace == coded.color_primaries == coded.color_trc == BT_709
        assert coded.color_range == LIMITED
        levels = next(container.decode(video=0)).to_ndarray()
    assert levels[40:56, 4:12].mean() == pytest.approx(16 + 219 * 0.2126, abs=2)  # red hair in its own colour


def test_what_is_no_video_is_named_and_nothing_is_left(color_parser, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(ImageError, match=r"bad\.mp4: not a video"):
        list(parse_video(color_parser, tmp_path / "bad.mp4", tmp_path / "out" / "bad"))
    assert list((tmp_path / "out").iterdir()) == []


def test_videos_in_a_folder_are_parsed_or_named(color_parser, tmp_path):
    noise_video(tmp_path / "phone.3gp", "mpeg4", "yuv420p", range(2))
    noise_video(tmp_path / "camera.mpg", "mpeg2video", "yuv420p", range(2))
    assert {path.name for path in find_inputs([str(tmp_path)], recursive=False)} == {"phone.3gp", "camera.mpg"}
    assert len(list(parse_video(color_parser, tmp_path / "phone.3gp", tmp_path / "out" / "phone"))) == 2
    with pytest.raises(ImageError, match="expected MP4, MOV, Matroska, WebM or AVI"):
        list(parse_video(color_parser, tmp_path / "camera.mpg", tmp_path / "out" / "camera"))


def test_given_up_halfway_leaves_nothing(color_parser, tmp_path):
    progress = parse_video(color_parser, write_video(tmp_path / "video.mkv"), tmp_path / "out" / "video")
    assert next(progress)[0] == 1
    progress.close()
    assert list((tmp_path / "out").iterdir()) == []


def test_command_parses_videos_beside_photos(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "video.mkv")
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no video")
    Image.new("RGB", (40, 40)).save(tmp_path / "in" / "photo.png")
    (tmp_path / "other").mkdir()
    twin = write_video(tmp_path / "other" / "video.mkv")
    assert main(["parse", str(tmp_path / "in"), str(twin), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "bad.mp4: not a video" in said.err
    assert "video.mkv: its result would overwrite that of" in said.err
    assert "2 parsed" in said.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "photo.png",
        "video.labels.mkv",
        "video.overlay.mp4",
    }


def test_json_and_confidence_of_every_frame(color_parser, tmp_path):
    video = write_video(tmp_path / "video.mkv")
    list(parse_video(color_parser, video, tmp_path / "out" / "video", ("json", "confidence")))
    lines = [json.loads(line) for line in (tmp_path / "out" / "video.jsonl").read_text().splitlines()]
    assert [round(1000 * line["time"]) for line in lines] == TIMES
    confidence = frames(tmp_path / "out" / "video.confidence.mkv", "gray")
    for line, (_, found), (_, rgb) in zip(lines, confidence, frames(video, "rgb24"), strict=True):
        result = color_parser(rgb)
        assert line["parts"]["hair"]["area"] == result.areas["hair"]
        np.testing.assert_array_equal(found, (result.confidence * 255).round().astype(np.uint8))


def test_people_keep_their_number_in_every_file(color_parser, tmp_path):
    """The bar is a person who wanders; a second one comes from the third frame on."""
    video = tmp_path / "video.mkv"
    write_video(video, size=(96, 128))
    list(parse_video(color_parser, video, tmp_path / "out" / "video", ("json", "people")))
    tracks = frames(tmp_path / "out" / "video.people.mkv", "gray16le")
    lines = [json.loads(line) for line in (tmp_path / "out" / "video.jsonl").read_text().splitlines()]
    overlay = frames(tmp_path / "out" / "video.overlay.mp4", "rgb24")
    for (_, found), line, (_, drawn), (_, rgb) in zip(tracks, lines, overlay, frames(video, "rgb24"), strict=True):
        assert [person["track"] for person in line["people"]] == [1]
        np.testing.assert_array_equal(found, color_parser(rgb).labels > 0)
        middle = drawn[40:60, np.flatnonzero(found[50])].mean(axis=(0, 1))
        np.testing.assert_allclose(middle, (220, 88, 0), atol=25)  # 0.65 of the first colour and 0.35 of red


def test_a_parser_follows_people_through_a_video(color_parser, tmp_path):
    video = write_video(tmp_path / "video.mkv")
    results = list(color_parser.video(video))
    assert [result.person(0).track for result in results] == [1] * 5
    for result, (_, rgb) in zip(results, frames(video, "rgb24"), strict=True):
        np.testing.assert_array_equal(result.photo, rgb)
    with pytest.raises(ImageError, match="is a folder"):
        list(color_parser.video(tmp_path))
    with pytest.raises(ImageError, match=r"none\.mkv: no such file"):
        list(color_parser.video(tmp_path / "none.mkv"))


def test_what_videos_cannot_have_is_refused(tmp_path, capsys):
    video = write_video(tmp_path / "video.mkv")
    assert main(["parse", str(video), "-o", str(tmp_path / "out"), "--save", "cutout,json"]) == 1
    assert "videos have no cutout, only overlay, json, confidence, people" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mkv\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mkv\n",
    ],
)
def test_a_playlist_that_claims_to_be_a_video_opens_nothing(color_parser, tmp_path, content):
    write_video(tmp_path / "other.mkv")
    (tmp_path / "video.mp4").write_text(content)
    with pytest.raises(ImageError, match="not a video that can be read"):
        list(parse_video(color_parser, tmp_path / "video.mp4", tmp_path / "out" / "video"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_no_video(color_parser, tmp_path):
    os.mkfifo(tmp_path / "video.mp4")
    with pytest.raises(ImageError, match="expected a regular file"):
        list(parse_video(color_parser, tmp_path / "video.mp4", tmp_path / "out" / "video"))


def noise_video(path, codec, pixels, times=range(40), sound=None, **options):
    """Noise, which every frame has bytes for, at 25 frames a second, with noise to hear in ``sound``'s codec."""
    noise, at = np.random.default_rng(0), Fraction(1, 25)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        heard = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        for time in times:
            rgb = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = time, at
            container.mux(stream.encode(frame))
            if heard is not None:
                levels = av.AudioFrame.from_ndarray(noise.integers(-9999, 9999, (1, 320), np.int16), "s16", "mono")
                levels.sample_rate, levels.pts, levels.time_base = 8000, 320 * time, Fraction(1, 8000)
                container.mux(heard.encode(levels))
        container.mux(stream.encode())
        if heard is not None:
            container.mux(heard.encode(None))
    return path


@pytest.mark.parametrize(
    ("ending", "codec", "pixels", "options"),
    [
        ("mp4", "libx264", "yuv420p", {"movflags": "faststart"}),  # an index that promises more than there is
        ("mkv", "ffv1", "bgr0", {}),
        ("webm", "libvpx", "yuv420p", {}),
        ("avi", "ffv1", "bgr0", {}),
    ],
)
def test_a_video_that_is_cut_off_is_refused(color_parser, tmp_path, ending, codec, pixels, options):
    video = noise_video(tmp_path / f"video.{ending}", codec, pixels, range(20), **options)
    content = video.read_bytes()
    list(parse_video(color_parser, video, tmp_path / "whole" / "video"))
    video.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(ImageError, match="truncated"):
        list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert not list((tmp_path / "out").iterdir())


def test_an_avi_video_that_pauses_is_whole(color_parser, tmp_path):
    """Where a frame stays longer it holds empty packets, which it counts as frames."""
    video = noise_video(tmp_path / "video.avi", "mjpeg", "yuvj420p", times=[0, 1, 6, 9])
    assert [done for done, _ in parse_video(color_parser, video, tmp_path / "out" / "video")] == [1, 2, 3, 4]


def sound_of(path):
    """When the sound begins, in seconds, and its bytes, however they are packed; None of a video without."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        packets = [packet for packet in container.demux(audio=0) if packet.dts is not None]
        return float(packets[0].pts * packets[0].time_base), b"".join(map(bytes, packets))


@pytest.mark.parametrize(("ending", "sound"), [("mkv", "flac"), ("avi", "pcm_s16le")])
def test_the_overlay_sounds_as_the_video(color_parser, tmp_path, ending, sound):
    video = noise_video(tmp_path / f"video.{ending}", "ffv1", "bgr0", range(10), sound)
    list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert sound_of(video) is not None
    assert sound_of(tmp_path / "out" / "video.overlay.mp4") == sound_of(video)
    assert len(frames(tmp_path / "out" / "video.overlay.mp4", "rgb24")) == 10
    assert sound_of(tmp_path / "out" / "video.labels.mkv") is None


def test_a_sound_that_mp4_cannot_hold_is_left_out(color_parser, tmp_path):
    video = noise_video(tmp_path / "video.avi", "ffv1", "bgr0", range(10), "pcm_u8")
    list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert sound_of(tmp_path / "out" / "video.overlay.mp4") is None
    assert len(frames(tmp_path / "out" / "video.overlay.mp4", "rgb24")) == 10


def test_frames_of_another_size_are_refused(color_parser, tmp_path):
    video = tmp_path / "video.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(4):
            own = av.CodecContext.create("mjpeg", "w")
            own.width, own.height = (64, 48) if number < 2 else (32, 24)
            own.pix_fmt, own.time_base = "yuvj420p", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(np.zeros((own.height, own.width, 3), dtype=np.uint8), "rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in own.encode(frame):
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(ImageError, match=r"frame 3 is 32 × 24, earlier frames are 64 × 48"):
        list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("size", "reason"), [((1, 64), "64 × 1, expected at least 2"), ((64, 17000), "cannot be encoded")]
)
def test_frames_that_cannot_be_encoded_are_a_line_and_the_rest_goes_on(
    color_parser, tmp_path, capsys, monkeypatch, size, reason
):
    monkeypatch.setattr(parse, "load_parser", lambda *_: color_parser)
    bad, good = write_video(tmp_path / "bad.mkv", size), write_video(tmp_path / "good.mkv")
    assert main(["parse", str(bad), str(good), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert reason in " ".join(said.err.split())
    assert "1 parsed" in said.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.labels.mkv", "good.overlay.mp4"}


def test_too_little_memory_for_a_video_is_a_line_and_the_rest_goes_on(color_parser, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parse, "load_parser", lambda *_: color_parser)
    videos = [write_video(tmp_path / name) for name in ("large.mkv", "small.mkv")]

    def full(parser, path, *_):
        if path.name == "large.mkv":
            raise MemoryError
        return parse_video(parser, path, *_)

    monkeypatch.setattr("ssnan.parsing.video.parse_video", full)
    assert main(["parse", *map(str, videos), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "large.mkv: not enough memory" in said.err
    assert "1 parsed" in said.out


@pytest.mark.parametrize("ending", RESULTS)
def test_a_file_that_is_not_a_result_is_never_replaced(color_parser, tmp_path, ending):
    video, own = write_video(tmp_path / "video.mkv"), tmp_path / f"video{ending}"
    for content in (b"my notes", write_video(tmp_path / "other.mkv").read_bytes()):
        own.write_bytes(content)
        with pytest.raises(ImageError, match=rf"would overwrite .*video{ending}, which is not a result of ssnan"):
            list(parse_video(color_parser, video, tmp_path / "video", ("json", "confidence", "people")))
        assert own.read_bytes() == content
        assert {path.name for path in tmp_path.iterdir()} == {"video.mkv", "other.mkv", own.name}


@pytest.mark.parametrize("ending", RESULTS)
@pytest.mark.parametrize("make", [name for name in ("mkdir", "mkfifo") if hasattr(os, name)])
def test_no_result_replaces_a_pipe_or_a_folder(color_parser, tmp_path, ending, make):
    video, own = write_video(tmp_path / "video.mkv"), tmp_path / f"video{ending}"
    getattr(os, make)(own)
    with pytest.raises(ImageError, match=rf"would overwrite .*video{ending}, which is not a result of ssnan"):
        list(parse_video(color_parser, video, tmp_path / "video", ("json", "confidence", "people")))
    assert own.is_fifo() or own.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"video.mkv", own.name}


def test_results_name_their_video_and_are_replaced_or_skipped_for_it_alone(color_parser, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parse, "load_parser", lambda *_: color_parser)
    video = write_video(tmp_path / "video.mkv")
    other = noise_video(tmp_path / "video.avi", "ffv1", "bgr0", range(2))
    command = ["parse", "-o", str(tmp_path / "out"), "--save", "json,confidence,people"]
    for flags, said in (([], "1 parsed"), ([], "1 parsed"), (["--skip-existing"], "0 parsed")):
        assert main([*command, str(video), *flags]) == 0
        assert said in capsys.readouterr().out
    assert {video_of(tmp_path / "out" / f"video{ending}") for ending in RESULTS} == {"video.mkv"}
    for flags in ([], ["--skip-existing"]):
        assert main([*command, str(other), *flags]) == 1
        assert "is a result of another video, video.mkv" in " ".join(capsys.readouterr().err.split())


def test_no_result_of_an_earlier_run_stays_beside_new_labels(color_parser, tmp_path):
    video, out = write_video(tmp_path / "video.mkv"), tmp_path / "out"
    list(parse_video(color_parser, video, out / "video", ("json", "confidence")))
    own = write_video(out / "video.people.mkv")
    list(parse_video(color_parser, video, out / "video"))
    assert set(out.iterdir()) == {own, out / "video.labels.mkv", out / "video.overlay.mp4"}


def test_results_in_a_folder_are_no_inputs(color_parser, tmp_path):
    video, own = write_video(tmp_path / "video.mkv"), write_video(tmp_path / "own.labels.mkv")
    list(parse_video(color_parser, video, tmp_path / "video", ("confidence", "people")))
    assert set(find_inputs([str(tmp_path)], recursive=False)) == {video, own}


def test_no_result_replaces_a_video(color_parser, tmp_path, capsys, monkeypatch):
    """The labels of one would have the name of the other."""
    monkeypatch.setattr(parse, "load_parser", lambda *_: color_parser)
    video = noise_video(tmp_path / "video.avi", "ffv1", "bgr0", range(2))
    labels = write_video(tmp_path / "video.labels.mkv")
    before = labels.read_bytes()
    assert main(["parse", str(video), str(labels), "-o", str(tmp_path)]) == 1
    assert "video.avi: its result would overwrite the video" in " ".join(capsys.readouterr().err.split())
    assert labels.read_bytes() == before


def test_a_matrix_in_a_video_mirrors_it(tmp_path):
    video = tmp_path / "video.mp4"
    noise_video(video, "libx264", "yuv420p", range(2))
    one = (1 << 16).to_bytes(4)
    content = bytearray(video.read_bytes())
    matrix = content.index(one + bytes(12) + one, content.index(b"tkhd"))  # the head of the video has one before
    [plain, _] = video_frames(video)
    content[matrix : matrix + 4] = (-(1 << 16)).to_bytes(4, signed=True)
    video.write_bytes(content)
    [mirrored, _] = video_frames(video)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def video_frames(path):
    with opened(path) as source:
        return list(read_frames(source, path, deque(), deque()))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_video_s_own_pixel_aspect_is_read(color_parser, tmp_path, ending):
    video = tmp_path / f"video.{ending}"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), "rgb24")))
        container.mux(stream.encode())
    list(parse_video(color_parser, video, tmp_path / "out" / "video"))
    assert frames(tmp_path / "out" / "video.labels.mkv", "gray")[0][1].shape == (48, 128)


def test_a_video_without_frames_is_one_clear_line(color_parser, tmp_path):
    video = tmp_path / "sound.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="has only sound or text"):
        list(parse_video(color_parser, video, tmp_path / "out" / "video"))
