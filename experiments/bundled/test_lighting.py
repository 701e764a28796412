from types import SimpleNamespace

import pytest
import torch

from experiments.bundled import lighting
from experiments.bundled.lighting import Lighting, light, relit

TASK = SimpleNamespace(preprocessing=SimpleNamespace(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_every_photo_has_a_light_of_its_own():
    maps = light(50, 33, 17)
    assert maps.shape == (50, 1, 33, 17)
    assert maps.min() > 0
    middle = maps[:, 0, 16, 8]
    assert len(middle.unique()) == 50
    assert 0.7 < middle.log().mean().exp() < 1.1  # shadows take light, smooth maps neither take nor give


def test_without_shadows_light_is_smooth(monkeypatch):
    monkeypatch.setattr(lighting, "SHADOW", 0)
    steps = light(50, 129, 129).log().diff(dim=3).abs()
    assert steps.max() < 0.1


def test_a_shadow_leaves_a_part_of_the_light(monkeypatch):
    monkeypatch.setattr(lighting, "SHADOW", 1)
    monkeypatch.setattr(lighting, "STRENGTH", 0)
    maps = light(200, 65, 65)
    assert 0.35 <= maps.min() < 0.5
    assert maps.max() <= 1


def test_light_changes_brightness_and_not_colour(monkeypatch):
    monkeypatch.setattr(lighting, "TONES", 0)
    pixels = torch.tensor([0.2, 0.1, 0.05]).view(1, 3, 1, 1).expand(20, 3, 33, 33)
    found = relit(pixels)
    torch.testing.assert_close(found[:, 0], 2 * found[:, 1])
    torch.testing.assert_close(found[:, 0], 4 * found[:, 2])
    assert not found[:, 0].allclose(pixels[:, 0])


def test_pixels_stay_pixels():
    found = relit(torch.rand(20, 3, 33, 33))
    assert found.min() >= 0
    assert found.max() == 1
    assert relit(torch.zeros(1, 3, 9, 9)).max() == 0


@pytest.mark.parametrize(("share", "changed"), [(0, 0), (1, 40), (0.5, 20)])
def test_a_share_of_the_batch_is_changed_and_the_plain_photos_stay(share, changed):
    images = torch.rand(40, 3, 33, 33)
    batch = {"images": images.clone(), "labels": torch.zeros(40, 33, 33)}
    Lighting(share).on_train_batch_start(None, TASK, batch, 0)
    assert batch["plain"].equal(images)
    differ = (batch["images"] != images).flatten(1).any(dim=1).sum().item()
    assert differ == pytest.approx(changed, abs=8 if 0 < share < 1 else 0)


def test_normalised_photos_stay_in_range():
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (TASK.preprocessing.mean, TASK.preprocessing.std))
    batch = {"images": (torch.rand(20, 3, 33, 33) - mean) / std}
    Lighting(1).on_train_batch_start(None, TASK, batch, 0)
    pixels = batch["images"] * std + mean
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
