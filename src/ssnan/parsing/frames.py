"""Read videos: their frames upright and with square pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import quoted
from ssnan.io.opening import ImageError, explained, refuse_unless_regular

TOLERANCE = 0.1
"""Seconds by which a video may be shorter than its header says."""

READ_ONLY_THIS = {"format_whitelist": "mov,matroska,avi", "protocol_whitelist": "file"}
"""FFmpeg's names of their containers. Others are refused: playlists, for example, make FFmpeg open other files."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A video as PyAV's container, with at least one stream of frames.

    Raises:
        ImageError: the file is no video that can be read.
        ModuleNotFoundError: PyAV is not installed.
    """
    import av

    explained(quoted(path), lambda: refuse_unless_regular(path))
    try:
        source = av.open(str(path), options=READ_ONLY_THIS)
    except (av.error.FFmpegError, OSError) as error:
        raise ImageError(
            f"{quoted(path)}: not a video that can be read: expected MP4, MOV, Matroska, WebM or AVI ({error})"
        ) from None
    with source:
        if not source.streams.video:
            raise ImageError(f"{quoted(path)}: has only sound or text; expected a video")
        source.streams.video[0].thread_type = "AUTO"
        yield source


def frames(source: Any, path: Path, times: deque[Any], sound: deque[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of every frame, upright, uint8 (H, W, 3). Append its time, the unit of the time and its pixels
    to ``times``, and packets of the first sound to ``sound``.

    Args:
        source: from :func:`opened`.
        path: its file, for errors.

    Raises:
        ImageError: the video is damaged or truncated.
    """
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
