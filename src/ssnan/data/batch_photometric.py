"""Changes of colour, darkness, sharpness and compression for a whole batch at once, each photo its own, on any device.

The chances and ranges are those of :func:`ssnan.data.transforms.photometric`, which works on one photo on the CPU. Blur
also stands for its low resolution.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value, of ITU-R BT.601."""

LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""The quantisation of luminance in JPEG's Annex K."""


PHOTOMETRIC_CHANCES = 16
"""The number of random numbers for one photo: whether it changes, which six changes, and nine amounts."""


def photometric_of_batch(
    pixels: Float[Tensor, "b 3 h w"], share: float, chances: Float[Tensor, "b 16"]
) -> Float[Tensor, "b 3 h w"]:
    """Change a ``share`` of the photos; pixels are in 0..1 before and after.

    Args:
        chances: random numbers in 0..1, on the CPU; they determine the changes.
    """
    pick = torch.where(chances[:, 0] < share, chances[:, 1:7].T, 1.0)  # 1 is above every chance
    draw = sent(chances[:, 7:].T[..., None, None, None], pixels.device)

    def where(chosen: Tensor, new: Tensor) -> Tensor:
        return torch.where(sent(chosen[:, None, None, None], pixels.device), new, pixels)

    pixels = where(pick[0] < 0.6, jittered(pixels, *(2 * draw[:4] - 1)))
    pixels = where(pick[1] < 0.15, _grey(pixels).expand_as(pixels))
    cast = _by_channel((0.15, 0.0, -0.25), pixels) * draw[4]
    pixels = where(pick[2] < 0.05, _grey(pixels) * (1 + cast))
    gain = 1 - 0.6 * draw[6]
    random = torch.Generator(pixels.device).manual_seed(int(2**31 * chances[0, 0]))
    noise = torch.randn(pixels.shape, generator=random, device=pixels.device)
    dark = pixels.clamp_min(0).pow(1 + 1.5 * draw[5]) * gain
    pixels = where(pick[3] < 0.12, dark + 0.03 * gain * noise).clamp(0, 1)
    amounts = draw[7:, :, 0, 0, 0]
    for chosen, change in ((pick[4] < 0.22, _some_blur), (pick[5] < 0.12, _some_compression)):
        which = sent(chosen.nonzero()[:, 0], pixels.device)
        if len(which):
            pixels = pixels.index_copy(0, which, change(pixels[which], amounts[:, which]).clamp(0, 1))
    return pixels


def _some_blur(pixels: Tensor, amounts: Float[Tensor, "2 b"]) -> Tensor:
    return blurred(pixels, 0.3 + 2.7 * amounts[0])


def _some_compression(pixels: Tensor, amounts: Float[Tensor, "2 b"]) -> Tensor:
    return compressed(pixels, 12 + 68 * amounts[1])


def _grey(pixels: Tensor) -> Float[Tensor, "b 1 h w"]:
    return (pixels * _by_channel(GREY, pixels)).sum(dim=1, keepdim=True)


def _by_channel(values: tuple[float, float, float], pixels: Tensor) -> Float[Tensor, "3 1 1"]:
    return sent(torch.tensor(values), pixels.device)[:, None, None]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device``, without waiting for what a GPU still computes, as an ordinary copy does."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def jittered(pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Brightness, contrast and saturation by ±30 % and hue by ±18°, for arguments in −1..1, (b, 1, 1, 1)."""
    pixels = (pixels * (1 + 0.3 * brightness)).clamp(0, 1)
    mean = _grey(pixels).mean(dim=(2, 3), keepdim=True)
    pixels = ((pixels - mean) * (1 + 0.3 * contrast) + mean).clamp(0, 1)
    grey = _grey(pixels)
    red, _, blue = ((pixels - grey) * (1 + 0.3 * saturation)).split(1, dim=1)
    # Rotate the two colour differences by the angle of the hue; green follows, because the grey value stays.
    turn = -2 * torch.pi * 0.05 * hue
    red, blue = red * turn.cos() - blue * turn.sin(), red * turn.sin() + blue * turn.cos()
    green = -(GREY[0] * red + GREY[2] * blue) / GREY[1]
    return (grey + torch.cat([red, green, blue], dim=1)).clamp(0, 1)


def blurred(pixels: Float[Tensor, "b 3 h w"], sigma: Float[Tensor, " b"], reach: int = 6) -> Tensor:
    """Gaussian blur with a standard deviation of ``sigma`` pixels for each photo."""
    count, channels, height, width = pixels.shape
    offsets = torch.arange(-reach, reach + 1, device=pixels.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None]
    flat = pad(pixels, [reach] * 4, mode="replicate").reshape(1, count * channels, height + 2 * reach, -1)
    flat = conv2d(flat, kernel[..., None], groups=count * channels)
    return conv2d(flat, kernel[:, :, None], groups=count * channels).reshape(count, channels, height, width)


def compressed(pixels: Float[Tensor, "b 3 h w"], quality: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
    """The loss of a JPEG of ``quality`` 1..100, with luminance's quantisation for all three channels of YCbCr, and
    without subsampling of colour."""
    height, width = pixels.shape[2:]
    whole = pad(pixels, [0, -width % 8, 0, -height % 8], mode="replicate")
    grey = _grey(whole)
    blue, red = (whole[:, 2:] - grey) / 1.772, (whole[:, :1] - grey) / 1.402
    planes = torch.cat([grey - 0.5, blue, red], dim=1) * 255
    rows, columns = whole.shape[2] // 8, whole.shape[3] // 8
    blocks = planes.reshape(-1, 3, rows, 8, columns, 8)
    index = torch.arange(8, device=pixels.device)
    cosines = torch.cos((2 * index + 1) * index[:, None] * torch.pi / 16) / 2  # rows are frequencies
    cosines[0] /= 2**0.5
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50).clamp_min(0.01)
    table = (sent(LUMINANCE, pixels.device) * factor[:, None, None]).clamp_min(1)[:, None, None, :, None, :]
    spectrum = torch.einsum("uy,bcrysx,vx->bcrusv", cosines, blocks, cosines)
    spectrum = (spectrum / table).round() * table
    planes = torch.einsum("uy,bcrusv,vx->bcrysx", cosines, spectrum, cosines).reshape(planes.shape) / 255
    grey, blue, red = (planes + _by_channel((0.5, 0.0, 0.0), pixels)).split(1, dim=1)
    red, blue = grey + 1.402 * red, grey + 1.772 * blue
    green = (grey - GREY[0] * red - GREY[2] * blue) / GREY[1]
    return torch.cat([red, green, blue], dim=1)[..., :height, :width]
