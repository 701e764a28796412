"""Photos as the bytes of a file."""

import io

import numpy as np

GREY = np.full((4, 6), 100, dtype=np.uint8)


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()
