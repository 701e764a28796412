import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ssnan.models.mean_field import FLOOR, LEAST, MeanField


def garments(**options):
    return MeanField([[1, 3]], distance=16.0, color=0.5, stride=4, **options)


def softmax(scores):
    exponents = np.exp(scores - scores.max(axis=0))
    return exponents / exponents.sum(axis=0)


def averaged(maps, apart):
    """Averages over a square around every ``apart``-th position, without positions outside the map."""
    height, width = maps.shape[1:]
    near = apart // 2
    return np.stack(
        [
            [
                maps[:, max(y - near, 0) : y + near + 1, max(x - near, 0) : x + near + 1].mean(axis=(1, 2))
                for x in range(0, width, apart)
            ]
            for y in range(0, height, apart)
        ]
    ).transpose(2, 0, 1)


def heard(scores, colors, classes, distance, steps):
    """The shares that MeanField multiplies by, in numpy with loops, at every fourth position of the map."""
    scores = averaged(scores, 4)
    height, width = scores.shape[1:]
    features = np.concatenate([colors, np.mgrid[:height, :width] * 16 / distance])
    told = features.reshape(5, -1).T
    own = softmax(scores)[classes]
    together = own.sum(axis=0)
    shares = own / together
    for _ in range(steps):
        said = (shares * together).reshape(len(classes), -1)
        factors = np.empty_like(own)
        for y in range(height):
            for x in range(width):
                weights = np.exp(-0.5 * ((told - features[:, y, x]) ** 2).sum(axis=1))
                factors[:, y, x] = said @ weights / max((said @ weights).sum(), LEAST) + FLOOR
        shares = own * factors / (own * factors).sum(axis=0)
    return factors


def test_it_equals_its_twin():
    random = np.random.default_rng(0)
    scores = random.normal(size=(4, 17, 9)).astype(np.float32)
    images = random.normal(size=(1, 3, 65, 33)).astype(np.float32)
    colors = averaged(images[0, :, ::2, ::2], 8)
    own = softmax(averaged(scores, 4))[[1, 3]]
    factors = heard(scores, colors / 0.5, [1, 3], 16, 2)
    factors *= own.sum(axis=0) / (own * factors).sum(axis=0)
    gained = interpolate(torch.from_numpy(np.log(factors))[None], (17, 9), mode="bilinear", align_corners=True)
    found = garments()(torch.from_numpy(scores)[None], torch.from_numpy(images)) - torch.from_numpy(scores)
    torch.testing.assert_close(found[:, [1, 3]], gained.float(), rtol=1e-4, atol=1e-5)


def test_groups_do_not_hear_each_other():
    scores, images = torch.randn(1, 6, 9, 9), torch.randn(1, 3, 33, 33)
    one, other = (MeanField([group])(scores, images) for group in ([1, 3], [4, 5, 2]))
    both = MeanField([[1, 3], [4, 5, 2]])(scores, images)
    torch.testing.assert_close(both[:, [1, 3]], one[:, [1, 3]])
    torch.testing.assert_close(both[:, [2, 4, 5]], other[:, [2, 4, 5]])
    torch.testing.assert_close(both[:, 0], scores[:, 0])


def test_the_classes_together_and_all_others_keep_their_probability():
    scores, images = torch.randn(2, 5, 1, 1).expand(2, 5, 17, 9), torch.randn(2, 3, 65, 33)
    before, after = scores.softmax(1), garments()(scores, images).softmax(1)
    torch.testing.assert_close(after[:, [0, 2, 4]], before[:, [0, 2, 4]])
    torch.testing.assert_close(after[:, [1, 3]].sum(1), before[:, [1, 3]].sum(1))
    assert not torch.allclose(after, before)


@pytest.mark.parametrize(("patch", "kept"), [(0.0, False), (3.0, True)])
def test_a_patch_gives_way_if_it_has_the_colour_of_the_rest(patch, kept):
    scores = torch.zeros(1, 4, 17, 17)
    scores[:, 1] = 1
    scores[:, 3, 6:11, 6:11] = 1.5
    images = torch.zeros(1, 3, 65, 65)
    images[:, :, 22:42, 22:42] = patch
    assert (garments()(scores, images).argmax(1)[0, 8, 8] == 3) == kept


def test_distance_is_in_pixels_of_the_input():
    scores, images = torch.randn(1, 4, 9, 9), torch.zeros(1, 3, 33, 33)
    near = MeanField([[1, 3]], distance=1e-3)(scores, images).softmax(1)
    everywhere = MeanField([[1, 3]], distance=1e6, steps=1)(scores, images)
    gained = everywhere[:, 1] - everywhere[:, 3] - (scores[:, 1] - scores[:, 3])
    torch.testing.assert_close(gained, gained[:, :1, :1].expand_as(gained))  # all hear the same
    assert near.isfinite().all()


def test_nobody_is_finite():
    scores = torch.full((1, 4, 9, 9), -200.0)
    scores[:, 0] = 200
    assert garments()(scores, torch.randn(1, 3, 33, 33)).isfinite().all()


def test_a_class_in_two_groups_is_refused():
    with pytest.raises(ValueError, match=r"expected each class in one group, got \[3\] in several"):
        MeanField([[1, 3], [2, 3]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_leaves_it_in_32_bits(dtype):
    torch.manual_seed(0)
    scores, images = 12 * torch.randn(1, 4, 9, 9), torch.randn(1, 3, 33, 33)
    scores[:, [1, 3], :5] -= 60  # their probability is 0 in 16 bits
    rounded = scores.to(dtype)
    found = {}
    for given in (rounded.clone().requires_grad_(), rounded.float().requires_grad_()):
        with torch.autocast("cpu", dtype, enabled=given.dtype == dtype):
            result = garments()(given, images)
        result.softmax(1)[:, 1].sum().backward()
        found[given.dtype] = result, given.grad.float()
    torch.testing.assert_close(found[dtype][0], found[torch.float32][0])
    torch.testing.assert_close(found[dtype][1], found[torch.float32][1], rtol=1e-2, atol=1e-3)
