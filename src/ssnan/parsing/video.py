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
from ssnan.parsing.images import ImageError, refuse_unless_regular
from ssnan.parsing.parser import Parser
from ssnan.parsing.render import confidence_image, map_over
from ssnan.parsing.result import ParsingResult
from ssnan.parsing.writing import unfinished_folder

SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})
"""Suffixes of videos."""

TOLERANCE = 0.1
"""Seconds by which a video may be shorter than its header says."""

READ_ONLY_THIS = {"format_whitelist": "mov,matroska,avi", "protocol_whitelist": "file"}
"""FFmpeg's names of their containers. Others are refused: playlists, for example, make FFmpeg open other files."""


def parse_video(
    parser: Parser, path: Path, output: Path, kinds: Sequence[str] = ()
) -> Iterator[tuple[int, int | None]]:
    """Parse a video frame by frame; yields the number of finished frames and the total (None if unknown).

    Writes ``OUTPUT.overlay.mp4`` (H.264, the maps over the video) and ``OUTPUT.labels.mkv`` (FFV1, lossless, grey
    levels are label ids), with the times of the original frames. With ``kinds``, also writes ``OUTPUT.confidence.mkv``
    and ``OUTPUT.jsonl``, one line of JSON per frame with its ``time`` in seconds. Holds only a few frames in memory,
    and all files appear when they are complete.

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
            raise ImageError(f"{quoted(path)}: not a video that can be read ({error})") from None
        if not source.streams.video:
            raise ImageError(f"{quoted(path)}: has only sound or text; expected a video")
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        streams = {".overlay.mp4": ("libx264", "yuv420p"), ".labels.mkv": ("ffv1", "gray")}
        if "confidence" in kinds:
            streams[".confidence.mkv"] = ("ffv1", "gray")
        targets = {ending: folder / f"film{ending}" for ending in streams}
        lines = None
        if "json" in kinds:
            targets[".jsonl"] = folder / "film.jsonl"
            lines = stack.enter_context(targets[".jsonl"].open("w"))
        writers: dict[str, _Writer] = {}
        times: deque[tuple[int | None, Fraction | None, NDArray[np.uint8]]] = deque()
        for done, result in enumerate(parser.map(_frames(source, path, times)), start=1):
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
            if rgb.shape[:2] != size:
                raise ImageError(
                    f"{quoted(path)}: frame {done} is {rgb.shape[1]} × {rgb.shape[0]}, earlier frames are {size[1]} × "
                    f"{size[0]}; expected frames of one size"
                )
            for ending, writer in writers.items():
                writer.write(_frame(ending, rgb, result), pts, base)
            if lines is not None:
                time = None if pts is None or base is None else float(pts * base)
                lines.write(json.dumps({"image": path.name, "time": time} | result.to_dict()) + "\n")
            yield done, stream.frames or None
        if not writers:
            raise ImageError(f"{quoted(path)}: has no frames")
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

    def __enter__(self) -> _Writer:
        return self

    def write(self, frame: Any, pts: int | None, base: Fraction | None) -> None:
        if base is not None:
            self.stream.codec_context.time_base = base
        if (frame.width, frame.height) != self.size:
            frame = type(frame).from_ndarray(frame.to_ndarray()[: self.size[1], : self.size[0]], frame.format.name)
        frame.pts, frame.time_base = pts, base
        self.container.mux(self.stream.encode(frame))

    def finish(self) -> None:
        self.container.mux(self.stream.encode())
        self.container.close()

    def __exit__(self, *_: object) -> None:
        self.container.close()


def _frames(source: Any, path: Path, times: deque[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of every frame, upright, and append its time to ``times``."""
    import av

    end = 0.0  # in seconds
    packets = 0  # not frames, because an edit list may skip some
    try:
        for packet in source.demux():
            if packet.stream.type != "video" or packet.stream.index != source.streams.video[0].index:
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                continue
            packets += packet.size > 0
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            for frame in packet.decode():
                rgb = _upright(_square(frame, source.streams.video[0].sample_aspect_ratio), _matrix(frame))
                times.append((frame.pts, frame.time_base, rgb))
                yield rgb
    except av.error.FFmpegError as error:
        raise ImageError(f"{quoted(path)}: damaged or truncated ({error})") from None
    if packets < source.streams.video[0].frames:
        raise ImageError(f"{quoted(path)}: truncated, with {packets} of {source.streams.video[0].frames} frames")
    length = (source.duration or 0) / av.time_base
    if "matroska" in source.format.name and end < length - TOLERANCE:
        raise ImageError(f"{quoted(path)}: truncated, with {end:.1f} of {length:.1f} seconds")


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
