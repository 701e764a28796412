"""Videos: write an overlay to watch and a stream of label ids."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import quoted
from ssnan.io.images import ImageError, refuse_unless_regular
from ssnan.io.writing import unfinished_folder
from ssnan.parsing.parser import Parser
from ssnan.results.images import confidence_image
from ssnan.results.render import map_over
from ssnan.results.result import ParsingResult

SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
})  # fmt: skip
"""Suffixes of videos, including formats that cannot be read, so that reading them reports the error."""

RESULTS = (".overlay.mp4", ".labels.mkv", ".confidence.mkv", ".jsonl")
"""Suffixes of the files that may be written for a video."""

TOLERANCE = 0.1
"""Seconds by which a video may be shorter than its header says."""

READ_ONLY_THIS = {"format_whitelist": "mov,matroska,avi", "protocol_whitelist": "file"}
"""FFmpeg's names of their containers. Others are refused: playlists, for example, make FFmpeg open other files."""


def parse_video(
    parser: Parser, path: Path, output: Path, kinds: Sequence[str] = ()
) -> Iterator[tuple[int, int | None]]:
    """Parse a video frame by frame; yields the number of finished frames and the total (None if unknown).

    Writes ``OUTPUT.overlay.mp4`` (H.264, the maps over the video, with its sound if MP4 supports the format) and
    ``OUTPUT.labels.mkv`` (FFV1, lossless, grey levels are label ids), with the times of the original frames. With
    ``kinds``, also writes ``OUTPUT.confidence.mkv`` and ``OUTPUT.jsonl``, one line of JSON per frame with its ``time``
    in seconds. Holds only a few frames in memory, and all files appear when they are complete.

    Raises:
        ImageError: the video is unreadable or truncated, or its frames change size.
        ModuleNotFoundError: PyAV is not installed.
    """
    import av

    with ExitStack() as stack:
        folder = stack.enter_context(unfinished_folder(output.parent))
        try:
            refuse_unless_regular(path)
            source = stack.enter_context(av.open(str(path), options=READ_ONLY_THIS))
        except ImageError as error:
            raise ImageError(f"{quoted(path)}: {error}") from None
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(
                f"{quoted(path)}: not a video that can be read: expected MP4, MOV, Matroska, WebM or AVI ({error})"
            ) from None
        if not source.streams.video:
            raise ImageError(f"{quoted(path)}: has only sound or text; expected a video")
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        streams = {".overlay.mp4": ("libx264", "yuv420p"), ".labels.mkv": ("ffv1", "gray")}
        if "confidence" in kinds:
            streams[".confidence.mkv"] = ("ffv1", "gray")
        targets = {ending: folder / f"video{ending}" for ending in streams}
        lines = None
        if "json" in kinds:
            targets[".jsonl"] = folder / "video.jsonl"
            lines = stack.enter_context(targets[".jsonl"].open("w"))
        writers: dict[str, _Writer] = {}
        times: deque[tuple[int | None, Fraction | None, NDArray[np.uint8]]] = deque()
        sound: deque[Any] = deque()
        for done, result in enumerate(parser.map(_frames(source, path, times, sound)), start=1):
            pts, base, rgb = times.popleft()
            if isinstance(result, ImageError):
                raise result
            if not writers:
                size = height, width = rgb.shape[:2]
                rate = stream.average_rate or Fraction(25)
                writers = {
                    ending: stack.enter_context(_Writer(targets[ending], *stream, width, height, rate))
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
                writer.write(_frame(ending, rgb, result), pts, base)
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
        for ending, file in targets.items():
            file.replace(output.with_name(output.name + ending))


def _frame(ending: str, rgb: NDArray[np.uint8], result: ParsingResult) -> Any:
    """The frame of the stream with this suffix."""
    import av

    if ending == ".overlay.mp4":
        return av.VideoFrame.from_ndarray(np.asarray(map_over(rgb, result.labels, result.label_set)), "rgb24")
    grey = result.labels if ending == ".labels.mkv" else np.asarray(confidence_image(result))
    return av.VideoFrame.from_ndarray(grey, "gray")


class _Writer:
    """Write one stream of frames with their times to a file."""

    def __init__(self, file: Path, codec: str, pixels: str, width: int, height: int, rate: Fraction) -> None:
        import av

        self.container = av.open(str(file), "w")
        self.stream: Any = self.container.add_stream(codec, rate=rate)
        # H.264 in yuv420p needs even sides, so the last row or column is dropped.
        even = 2 if pixels == "yuv420p" else 1
        self.stream.width, self.stream.height = width // even * even, height // even * even
        self.stream.pix_fmt = pixels
        self.size = (self.stream.width, self.stream.height)
        self.sound: Any = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, frame: Any, pts: int | None, base: Fraction | None) -> None:
        if base is not None:
            self.stream.codec_context.time_base = base
        if (frame.width, frame.height) != self.size:
            frame = type(frame).from_ndarray(frame.to_ndarray()[: self.size[1], : self.size[0]], frame.format.name)
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


def _frames(source: Any, path: Path, times: deque[Any], sound: deque[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of every frame, upright. Append its time to ``times``, and packets of the first sound to
    ``sound``."""
    import av

    stream = source.streams.video[0]
    heard = source.streams.audio[:1]
    end = 0.0  # in seconds
    packets = 0  # not frames, because an edit list may skip some
    try:
        for packet in source.demux():
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None:
                end = max(end, float((time + (packet.duration or 0)) * packet.time_base))
            if packet.stream in heard:
                sound.append(packet)
            if packet.stream != stream:
                continue
            packets += packet.size > 0
            for frame in packet.decode():
                rgb = _upright(_square(frame, stream.sample_aspect_ratio), _matrix(frame))
                times.append((frame.pts, frame.time_base, rgb))
                yield rgb
    except av.error.FFmpegError as error:
        raise ImageError(f"{quoted(path)}: damaged or truncated ({error})") from None
    if "mov" in source.format.name and packets < stream.frames:
        raise ImageError(f"{quoted(path)}: truncated, with {packets} of {stream.frames} frames")
    length = _length(source, stream)
    if end < length - TOLERANCE:
        raise ImageError(f"{quoted(path)}: truncated, with {end:.1f} of {length:.1f} seconds")


def _length(source: Any, stream: Any) -> float:
    """The stated length of a Matroska or AVI video in seconds; 0 if there is none."""
    import av

    if source.format.name == "avi":  # the index may be missing, and an empty packet may stand for a frame
        return float(stream.frames * stream.time_base)
    return (source.duration or 0) / av.time_base if "matroska" in source.format.name else 0.0


def _square(frame: Any, aspect: Fraction | None) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of a frame with square pixels: the shorter side of a pixel grows."""
    width, height = frame.width, frame.height
    if aspect and aspect > 1:
        width = round(width * aspect)
    elif aspect:
        height = round(height / aspect)
    rgb: NDArray[np.uint8] = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return rgb


def _matrix(frame: Any) -> NDArray[np.int32] | None:
    """The display matrix of a frame, (3, 3): from x and y in the frame to x and y on the screen."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), dtype=np.int32).reshape(3, 3)
    return None


def _upright(rgb: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) rotated in quarter turns and mirrored by the display matrix."""
    if matrix is None:
        return rgb
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(b) > abs(a):
        rgb, a, d = rgb.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
