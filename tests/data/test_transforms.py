import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from fakes.lip import person
from ssnan.data.transforms import (
    Bars,
    CropAroundPerson,
    Darken,
    LowResolution,
    MirrorWithSwap,
    RandomScale,
    Rotate,
    Sepia,
    geometric,
    photometric,
)
from ssnan.labels import LIP

LEFT_ARM, RIGHT_ARM = 14, 15
MEAN = (0.485, 0.456, 0.406)


@pytest.fixture
def sample():
    photo, labels = person()
    return tv_tensors.Image(torch.from_numpy(photo).movedim(2, 0)), tv_tensors.Mask(torch.from_numpy(labels))


def column_of(mask, class_id):
    return float((mask == class_id).nonzero()[:, 1].float().mean())


def test_mirrored_people_keep_their_left_on_our_right(sample):
    image, mask = sample
    assert column_of(mask, LEFT_ARM) > column_of(mask, RIGHT_ARM)
    mirrored_image, mirrored = MirrorWithSwap(LIP, probability=1.0)(image, mask)
    # Without the swap the left arm would now be on our left.
    assert column_of(mirrored, LEFT_ARM) > column_of(mirrored, RIGHT_ARM)
    np.testing.assert_array_equal(mirrored, LIP.flip_permutation[mask.numpy()][:, ::-1])
    np.testing.assert_array_equal(mirrored_image, image.numpy()[:, :, ::-1])


def test_mirroring_leaves_ignored_pixels_ignored():
    mask = tv_tensors.Mask(torch.full((2, 2), 255, dtype=torch.uint8))
    _, mirrored = MirrorWithSwap(LIP, probability=1.0)(tv_tensors.Image(torch.zeros(3, 2, 2, dtype=torch.uint8)), mask)
    assert (mirrored == 255).all()


def test_person_crop_holds_the_whole_person(sample):
    torch.manual_seed(0)
    image, mask = sample
    for _ in range(10):
        cropped_image, cropped = CropAroundPerson(LIP, probability=1.0)(image, mask)
        assert cropped_image.shape[-2:] == cropped.shape
        assert (cropped > 0).sum() == (mask > 0).sum()
        assert cropped.numel() < mask.numel()


def test_a_person_crop_is_the_box_and_margins_within_the_photo(sample):
    image, mask = sample
    mask[0, 0] = 255  # nobody
    cropped_image, cropped = CropAroundPerson(LIP, probability=1.0, margin=0.0)(image, mask)
    assert torch.equal(cropped, mask[4:92, 10:54])
    assert torch.equal(cropped_image, image[:, 4:92, 10:54])
    torch.manual_seed(0)
    margins = []
    for _ in range(60):
        cropped = LIP.person[CropAroundPerson(LIP, probability=1.0, margin=0.15)(image, mask)[1].numpy()]
        rows, columns = np.nonzero(cropped)
        margins.append([rows[0], columns.min(), *(np.array(cropped.shape) - 1 - (rows[-1], columns.max()))])
    np.testing.assert_array_equal(np.max(margins, axis=0), [4, 10, 4, 10])  # of up to 13, the edges of the photo
    assert np.median(margins, axis=0).max() < 10
    for _ in range(10):
        cropped = CropAroundPerson(LIP, probability=1.0, margin=9.0)(image, mask)[1]
        assert cropped.shape[0] <= 96
        assert cropped.shape[1] <= 64


def test_scale_is_within_its_range_and_invents_no_labels(sample):
    heights = set()
    for _ in range(30):
        image, mask = RandomScale(100, (0.6, 1.4))(*sample)
        assert image.shape[-2:] == mask.shape
        assert 60 <= mask.shape[0] <= 140
        assert set(mask.unique().tolist()) <= set(sample[1].unique().tolist())
        heights.add(mask.shape[0])
    assert max(heights) - min(heights) > 20


def test_labels_and_pixels_shrink_to_the_same_place():
    """A third of the size: every pixel is where the middle of three was."""
    place = torch.arange(27, dtype=torch.uint8).repeat(9, 1)
    pixels, labels = RandomScale(None, (1 / 3, 1 / 3))(tv_tensors.Image(place.repeat(3, 1, 1)), tv_tensors.Mask(place))
    assert labels.tolist() == [[1, 4, 7, 10, 13, 16, 19, 22, 25]] * 3
    torch.testing.assert_close(pixels[0, :, 1:-1].as_subclass(torch.Tensor), labels[:, 1:-1].as_subclass(torch.Tensor))


def test_padding_is_mean_colour_and_ignored(sample):
    transform = geometric(LIP, (200, 200), (1.0, 1.0), None, 0.0, MEAN)
    image, mask = transform(*sample)
    assert mask.shape == (200, 200)
    padded = mask == 255
    assert padded.sum() == 200 * 200 - 96 * 64
    assert (image[:, padded] == torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None]).all()


@pytest.mark.parametrize("transform", [photometric(), Darken(), Sepia(), LowResolution(), v2.JPEG((25, 80))])
def test_photometric_changes_leave_the_labels_alone(sample, transform):
    torch.manual_seed(0)
    changed = 0
    for _ in range(10):
        image, mask = transform(*sample)
        assert image.shape == sample[0].shape
        assert image.dtype == torch.uint8
        assert (mask == sample[1]).all()
        changed += bool((image != sample[0]).any())
    assert changed >= 5


def test_turned_photos_and_labels_stay_together(sample):
    image, mask = sample
    rotate = Rotate(1.0, {tv_tensors.Image: 0, tv_tensors.Mask: 255})
    shapes = set()
    for seed in range(30):
        torch.manual_seed(seed)
        turned, labels = rotate(image, mask)
        assert turned.shape[-2:] == labels.shape
        assert set(labels.unique().tolist()) <= {*mask.unique().tolist(), 255}
        # Ids halved, plus 60, are the colours of the drawn people: blue is the face's.
        face = labels == LIP.classes.index("face")
        assert turned[2][face].float().mean() > turned[2][labels == 0].float().mean() + 60
        # All but the seams of the parts is still there.
        assert abs(int(face.sum()) - int((mask == LIP.classes.index("face")).sum())) < 30
        shapes.add(tuple(labels.shape))
    assert (64, 96) in shapes, "a quarter turn"
    assert len(shapes) > 10


def test_photos_are_turned_to_either_side_and_one_in_six_by_a_quarter():
    torch.manual_seed(0)
    angles = np.array([Rotate(1.0, {}).make_params([])["angle"] for _ in range(600)])
    quarters = np.abs(angles) == 90
    assert quarters.mean() == pytest.approx(1 / 6, abs=0.05)
    for turned, least in ((angles[quarters], 90), (angles[~quarters], 28)):
        assert turned.min() <= -least
        assert turned.max() >= least
    assert np.abs(angles[~quarters]).max() <= 30


def test_nothing_is_turned_at_probability_zero(sample):
    image, mask = Rotate(0.0, {})(*sample)
    assert torch.equal(image, sample[0])
    assert torch.equal(mask, sample[1])


def test_sepia_is_brown():
    torch.manual_seed(0)
    red, green, blue = Sepia()(tv_tensors.Image(torch.randint(0, 200, (3, 8, 8), dtype=torch.uint8))).float()
    assert (red >= green).all()
    assert (green >= blue).all()
    assert (red > blue).any()


def test_darkness_has_a_gamma_a_gain_and_noise():
    torch.manual_seed(0)
    image = torch.full((3, 64, 64), 255, dtype=torch.uint8)
    image[:, 32:] = 128
    whites, powers = [], []
    for _ in range(60):
        white, grey = Darken(gamma=2.5, noise=0.03)(tv_tensors.Image(image)).float().chunk(2, dim=1)
        whites.append(float(white.mean() / 255))
        powers.append(float((grey.mean() / white.mean()).log() / torch.tensor(128 / 255).log()))
        if whites[-1] < 0.8:  # the noise is not cut off
            assert float(white.std() / white.mean()) == pytest.approx(0.03, rel=0.1)
    assert 1 / 2.5 - 0.01 < min(whites) < 0.5
    assert max(whites) > 0.9
    assert 0.9 < min(powers) < 1.2
    assert 2.2 < max(powers) < 2.6


def test_most_bars_are_left_and_right():
    torch.manual_seed(0)
    photo = torch.zeros(3, 90, 60)
    pads = [Bars(1.0).make_params([photo])["pad"] for _ in range(400)]
    beside = [(60 + 2 * left) / 90 for left, top, *_ in pads if left]
    above = [(90 + 2 * top) / 60 for left, top, *_ in pads if top]
    assert len(beside) / 400 == pytest.approx(0.7, abs=0.06)
    assert 4 / 3 - 0.02 < min(beside) < 1.5
    assert 2.8 < max(beside) < 3.02
    assert 1.5 < min(above) < max(above) < 3.04


def test_crops_are_mirrored_half_the_time_and_may_have_bars(sample):
    torch.manual_seed(0)
    plain = geometric(LIP, (96, 64), (1.0, 1.0), None, 0.0, MEAN)
    mirrored = sum(not torch.equal(plain(*sample)[0], sample[0]) for _ in range(40))
    assert 10 < mirrored < 30
    barred = geometric(LIP, (300, 300), (1.0, 1.0), None, 0.0, MEAN, bars=1.0)(*sample)[1]
    assert (barred < 255).sum() > 96 * 64


@pytest.mark.parametrize("seed", range(8))
def test_bars_are_background_beside_an_untouched_photo(sample, seed):
    torch.manual_seed(seed)
    image, mask = sample
    barred, labels = Bars(1.0)(image, mask)
    assert barred.shape[-2:] == labels.shape
    assert isinstance(barred, tv_tensors.Image)
    top, left = ((after - before) // 2 for after, before in zip(labels.shape, mask.shape, strict=True))
    inside = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
    torch.testing.assert_close(labels[inside].as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor))
    torch.testing.assert_close(barred[(..., *inside)].as_subclass(torch.Tensor), image.as_subclass(torch.Tensor))
    around = labels.clone()
    around[inside] = 0
    assert not around.any()
    assert max(labels.shape) / min(labels.shape) > 1.3


def test_no_bars_by_default(sample):
    image, mask = sample
    assert Bars(0.0)(image, mask)[0] is image
