import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from ssnan.data.batch_photometric import PHOTOMETRIC_CHANCES, blurred, compressed, jittered, photometric_of_batch

NONE = torch.zeros(2, 1, 1, 1)


@pytest.fixture
def pixels():
    """Two smooth photos with some texture, (2, 3, 40, 30), in 0.2..0.8."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 5, 4, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, size=(40, 30), mode="bilinear", align_corners=True)
    return 0.2 + 0.55 * smooth + 0.05 * torch.rand(2, 3, 40, 30, generator=random)


def test_each_photo_has_its_own_jitter_as_in_torchvision(pixels):
    values = torch.tensor([-1.0, 0.5])[:, None, None, None]
    for changed, reference in (
        (jittered(pixels, values, NONE, NONE, NONE), F.adjust_brightness),
        (jittered(pixels, NONE, values, NONE, NONE), F.adjust_contrast),
        (jittered(pixels, NONE, NONE, values, NONE), F.adjust_saturation),
    ):
        for photo, factor, result in zip(pixels, 1 + 0.3 * values.flatten(), changed, strict=True):
            torch.testing.assert_close(result, reference(photo, float(factor)), atol=2e-3, rtol=0)


def test_hue_turns_as_in_torchvision(pixels):
    turned = jittered(pixels, NONE, NONE, NONE, NONE + 1)
    reference = F.adjust_hue(pixels, 0.05)
    # Torchvision turns in HSV, this in YIQ: the same direction and nearly the same amount.
    moved, expected = turned - pixels, reference - pixels
    assert torch.nn.functional.cosine_similarity(moved.flatten(), expected.flatten(), dim=0) > 0.7
    assert 0.5 < moved.norm() / expected.norm() < 2


def test_blur_is_torchvision_s(pixels):
    for photo, sigma, result in zip(pixels, (0.5, 2.0), blurred(pixels, torch.tensor([0.5, 2.0])), strict=True):
        reference = F.gaussian_blur(photo, [13, 13], [sigma, sigma])
        inside = (slice(None), slice(7, -7), slice(7, -7))  # the edges are extended in another way
        torch.testing.assert_close(result[inside], reference[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize("quality", [15, 40, 80])
def test_compression_loses_what_a_jpeg_loses(pixels, quality):
    result = compressed(pixels, torch.full((2,), float(quality)))
    for photo, ours in zip(pixels, result, strict=True):
        file = io.BytesIO()
        image = Image.fromarray((photo * 255).byte().permute(1, 2, 0).numpy())
        image.save(file, "JPEG", quality=quality, subsampling=0)
        jpeg = np.asarray(Image.open(file)) / 255
        lost = ours.permute(1, 2, 0).numpy() - photo.permute(1, 2, 0).numpy()
        expected = jpeg - photo.permute(1, 2, 0).numpy()
        assert 0.6 < np.abs(lost).mean() / np.abs(expected).mean() < 1.4
        assert np.corrcoef(lost.ravel(), expected.ravel())[0, 1] > 0.4


def test_the_share_of_changed_photos():
    pixels = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    chances = torch.rand(400, PHOTOMETRIC_CHANCES, generator=torch.Generator().manual_seed(2))
    assert torch.equal(photometric_of_batch(pixels, 0.0, chances), pixels)
    changed = photometric_of_batch(pixels, 0.5, chances)
    assert 0.35 < (changed != pixels).flatten(1).any(dim=1).float().mean() < 0.5  # some draw no change
    assert changed.min() >= 0
    assert changed.max() <= 1
