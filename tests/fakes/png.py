"""PNGs of kinds that Pillow does not write."""

import struct
import zlib

import numpy as np


def png(levels, bits, color, **chunks):
    """``levels`` (H, W) or (H, W, 3) in ``bits`` bits; ``color`` is 0 for grey, 2 for RGB. ``chunks`` come before the
    pixels, by name."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *levels.shape[1::-1], bits, color, 0, 0, 0)
    rows = b"".join(
        b"\0" + (np.packbits(row.ravel()).tobytes() if bits == 1 else row.astype(">u2").tobytes() if bits == 16 else
        np.packbits(np.unpackbits(row.astype(np.uint8).ravel()[:, None], axis=1)[:, -bits:]).tobytes())
        for row in levels
    )  # fmt: skip
    before = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND", b"")
