"""Videos: write an overlay to watch and a stream of label ids."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import printable, quoted
from ssnan.io.opening import ImageError, refuse_unless_regular
from ssnan.io.writing import unfinished_folder
from ssnan.parsing.frames import frames, opened
from ssnan.parsing.parser import Parser
from ssnan.results.images import confidence_image
from ssnan.results.people_images import people_over
from ssnan.results.reading import read_document
from ssnan.results.render import map_over
from ssnan.results.result import ParsingResult
from ssnan.results.tracking import Tracker

SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
})  # fmt: skip
"""Suffixes of videos, including formats that cannot be read, so that reading them reports the error."""

RESULTS = (".overlay.mp4", ".labels.mkv", ".confidence.mkv", ".people.mkv", ".jsonl")
"""Suffixes of the files that may be written for a video."""

LONGEST_LINE = 1 << 24
"""The most bytes of a frame's JSON that are read."""

BT_709 = LIMITED = 1
"""FFmpeg's numbers of the colour space, primaries and curve of HD video, and of its range of levels, 16 to 235."""

MARK = "result of ssnan for "
"""The start of the comment in every video that is a result; the name of its video follows."""


def parse_video(
    parser: Parser, path: Path, output: Path, kinds: Sequence[str] = ()
) -> Iterator[tuple[int, int | None]]:
    """Parse a video frame by frame; yields the number of finished frames and the total (None if unknown).

    Writes ``OUTPUT.overlay.mp4`` (H.264, the maps over the video, with its sound if MP4 supports the format) and
    ``OUTPUT.labels.mkv`` (FFV1, lossless, grey levels are label ids), with the times of the original frames. With
    ``kinds``, also writes ``OUTPUT.confidence.mkv``, ``OUTPUT.people.mkv`` (grey levels of 16 bits are the people's
    tracks, 0 is nobody; the overlay then has a colour for each), and ``OUTPUT.jsonl``, one line of JSON per frame with
    its ``time`` in seconds. Holds only a few frames in memory, and all files appear when they are complete. Other
    results of an earlier run for a video of this name are then removed.

    Raises:
        ImageError: the video is unreadable or truncated, its frames change size or cannot be encoded, or a result would
            replace a file that is no result of a video of this name.
        OSError: the results cannot be written.
        ModuleNotFoundError: PyAV is not installed.
    """
    with ExitStack() as stack:
        stack.enter_context(_encoding(path))
        folder = stack.enter_context(unfinished_folder(output.parent))
        source = stack.enter_context(opened(path))
        stream = source.streams.video[0]
        streams = {".overlay.mp4": ("libx264", "yuv420p"), ".labels.mkv": ("ffv1", "gray")}
        if "confidence" in kinds:
            streams[".confidence.mkv"] = ("ffv1", "gray")
        if "people" in kinds:
            streams[".people.mkv"] = ("ffv1", "gray16le")
        targets = {ending: folder / f"video{ending}" for ending in streams}
        lines = None
        if "json" in kinds:
            targets[".jsonl"] = folder / "video.jsonl"
            lines = stack.enter_context(targets[".jsonl"].open("w", encoding="utf-8"))
        _refuse_to_replace([output.with_name(output.name + ending) for ending in targets], path)
        writers: dict[str, _Writer] = {}
        times: deque[tuple[int | None, Fraction | None, NDArray[np.uint8]]] = deque()
        sound: deque[Any] = deque()
        tracker = Tracker()
        for done, result in enumerate(parser.map(frames(source, path, times, sound)), start=1):
            pts, base, rgb = times.popleft()
            if isinstance(result, ImageError):
                raise result
            if {"people", "json"} & {*kinds}:
                result = tracker.follow(result)
            if not writers:
                size = height, width = rgb.shape[:2]
                if min(size) < 2:
                    raise ImageError(f"{quoted(path)}: its frames are {width} × {height}, expected at least 2 × 2")
                rate = stream.average_rate or Fraction(25)
                writers = {
                    ending: stack.enter_context(_Writer(targets[ending], path.name, *stream, width, height, rate))
                    for ending, stream in streams.items()
                }
                if source.streams.audio:
                    writers[".overlay.mp4"].take_sound_of(source.streams.audio[0])
            if rgb.shape[:2] != size:
                raise ImageError(
                    f"{quoted(path)}: frame {done} is {rgb.shape[1]} × {rgb.shape[0]}, earlier frames are {size[1]} × "
                    f"{size[0]}; expected frames of one size"
                )
            for ending, writer in writers.items():
                writer.write(_frame(ending, rgb, result, "people" in kinds), pts, base)
            writers[".overlay.mp4"].write_sound(sound)
            if lines is not None:
                time = None if pts is None or base is None else float(pts * base)
                lines.write(json.dumps({"image": path.name, "time": time} | result.to_dict()) + "\n")
            yield done, stream.frames or None
        if not writers:
            raise ImageError(f"{quoted(path)}: has no frames")
        writers[".overlay.mp4"].write_sound(sound)
        for writer in writers.values():
            writer.finish()
        if lines is not None:
            lines.close()
        places = {ending: output.with_name(output.name + ending) for ending in RESULTS}
        for ending, file in targets.items():
            file.replace(places[ending])
        for ending, place in places.items():  # of an earlier run, when the video may have been another
            if ending not in targets and video_of(place) == printable(path.name):
                place.unlink(missing_ok=True)


def video_of(place: Path) -> str | None:
    """The name of the video that a file is a result of, as :func:`ssnan.errors.printable` gives it. None if it is no
    result of a video, or PyAV is not installed."""
    try:
        if place.suffix == ".jsonl":
            refuse_unless_regular(place)  # opening a pipe would wait forever
            with place.open("rb") as file:
                return printable(str(read_document(file.readline(LONGEST_LINE)).get("image", "")))
        with opened(place) as source:
            comments = [text for key, text in source.metadata.items() if key.lower() == "comment"]
    except (OSError, ModuleNotFoundError, ValueError):  # also a comment that is not UTF-8
        return None
    return next((text.removeprefix(MARK) for text in comments if text.startswith(MARK)), None)


def _refuse_to_replace(places: Iterable[Path], video: Path) -> None:
    for place in places:
        if not place.exists() or (of := video_of(place)) == printable(video.name):
            continue
        what = "is not a result of ssnan" if of is None else f"is a result of another video, {quoted(of)}"
        raise ImageError(
            f"{quoted(video)}: its result would overwrite {quoted(place)}, which {what}; choose another folder"
        )


@contextmanager
def _encoding(path: Path) -> Iterator[None]:
    """Within the block, an error of FFmpeg that is not of the file system becomes an ImageError that names the video:
    H.264, for example, has frames of at most 16,384 pixels a side."""
    import av

    try:
        yield
    except OSError:
        raise
    except av.error.FFmpegError as error:
        raise ImageError(f"{quoted(path)}: cannot be encoded ({error})") from None


def _frame(ending: str, rgb: NDArray[np.uint8], result: ParsingResult, people: bool) -> Any:
    """The frame of the stream with this suffix."""
    import av

    match ending:
        case ".overlay.mp4":
            over = people_over(rgb, result.track_map) if people else map_over(rgb, result.labels, result.label_set)
            return av.VideoFrame.from_ndarray(np.asarray(over), "rgb24")
        case ".people.mkv":
            return av.VideoFrame.from_ndarray(result.track_map.astype(np.uint16), "gray16le")
        case ".confidence.mkv":
            return av.VideoFrame.from_ndarray(np.asarray(confidence_image(result)), "gray")
        case _:
            return av.VideoFrame.from_ndarray(result.labels, "gray")


class _Writer:
    """Write one stream of frames with their times to a file."""

    def __init__(
        self, file: Path, video: str, codec: str, pixels: str, width: int, height: int, rate: Fraction
    ) -> None:
        import av

        self.container = av.open(str(file), "w")
        self.container.metadata["comment"] = MARK + printable(video)
        self.stream: Any = self.container.add_stream(codec, rate=rate)
        # H.264 in yuv420p needs even sides, so the last row or column is dropped.
        even = 2 if pixels == "yuv420p" else 1
        self.stream.width, self.stream.height = width // even * even, height // even * even
        self.stream.pix_fmt = pixels
        if pixels == "yuv420p":  # without these, players guess by the size of the frames
            coded = self.stream.codec_context
            coded.colorspace = coded.color_primaries = coded.color_trc = BT_709
            coded.color_range = LIMITED
        self.size = (self.stream.width, self.stream.height)
        self.sound: Any = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, frame: Any, pts: int | None, base: Fraction | None) -> None:
        if base is not None:
            self.stream.codec_context.time_base = base
        if (frame.width, frame.height) != self.size:
            frame = type(frame).from_ndarray(frame.to_ndarray()[: self.size[1], : self.size[0]], frame.format.name)
        if self.stream.pix_fmt == "yuv420p":
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = pts, base
        self.container.mux(self.stream.encode(frame))

    def take_sound_of(self, stream: Any) -> None:
        """Copy the packets of a sound stream, if this kind of file supports them. Call this before the first frame."""
        if stream.codec_context.codec.canonical_name in self.container.supported_codecs:
            self.sound = self.container.add_stream_from_template(stream)

    def write_sound(self, packets: deque[Any]) -> None:
        """Write all ``packets`` and remove them."""
        while packets:
            packet = packets.popleft()
            if self.sound is not None and packet.dts is not None:
                packet.stream = self.sound
                self.container.mux(packet)

    def finish(self) -> None:
        self.container.mux(self.stream.encode())
        self.container.close()

    def __exit__(self, *_: object) -> None:
        self.container.close()
