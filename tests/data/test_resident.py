import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from fakes.lip import write_lip
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.keypoints import limb_map
from ssnan.data.layouts import open_split
from ssnan.data.pasting import Pasting
from ssnan.data.resident import BLURRED, CHANCES, COMPOSITIONS, Augmentation, ResidentPhotos, View
from ssnan.data.transforms import Bars
from ssnan.labels import LIP
from ssnan.parsing.preprocessing import Preprocessing

RAW = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), longest_side=96)


@pytest.fixture
def folder(lip_root):
    return open_split(lip_root, "train")


@pytest.fixture
def photos(folder):
    return ResidentPhotos([folder, folder], LIP, RAW, side=96, device=torch.device("cpu"))


def plain(
    origin=(0.0, 0.0), step=(1.0, 1.0), box=(0.0, 0.0, 96.0, 64.0), angle=0.0, bars=(0.0, 0.0), fill=0.0, mirrored=False
):
    return View(*(torch.tensor([values]) for values in (box, angle, bars, fill, origin, step, mirrored)))


def crop_of(photos, index, view, size):
    """Pixels (h, w, 3) in 0..255 and labels (h, w) of one crop."""
    pixels, maps = photos.crops(torch.tensor([index]), view, size)
    return (pixels[0] * 255).permute(1, 2, 0).numpy(), maps[0, 0].numpy()


def test_an_unmoved_view_is_the_photo(folder, photos):
    sample = folder[2]
    assert sample.labels.shape == (96, 64)
    pixels, labels = crop_of(photos, photos.index(1, 2), plain(), (96, 64))
    np.testing.assert_allclose(pixels, sample.image, atol=1e-2)
    np.testing.assert_array_equal(labels, sample.labels)


def test_a_mirrored_view_exchanges_left_and_right(folder, photos):
    pixels, labels = crop_of(photos, 1, plain(mirrored=True), (96, 64))
    np.testing.assert_allclose(pixels, folder[1].image[:, ::-1], atol=1e-2)
    np.testing.assert_array_equal(labels, np.array([*LIP.flip_permutation, *range(20, 256)])[folder[1].labels[:, ::-1]])


def test_beyond_the_edge_is_the_mean_and_no_label(folder):
    photos = ResidentPhotos([folder], LIP, Preprocessing(longest_side=96), side=96, device=torch.device("cpu"))
    view = plain(origin=(4.0, 0.0), box=(8.0, 0.0, 40.0, 64.0))  # row 0 of the crop shows row 12
    chances = torch.ones(1, CHANCES)
    outside = np.ones((60, 64), dtype=bool)
    outside[:28] = False
    pixels, labels = crop_of(photos, 0, view, (60, 64))
    np.testing.assert_allclose(pixels[outside] / 255, np.tile(photos.mean.flatten(), (outside.sum(), 1)), atol=1e-6)
    assert (labels[outside] == LIP.ignore_index).all()
    assert (labels[~outside] < 20).all()
    batch = photos.batch(torch.tensor([0]), Augmentation((120, 64)), chances)  # larger than the photo
    assert batch["images"][batch["labels"][:, None].expand(-1, 3, -1, -1) == LIP.ignore_index].abs().max() < 1e-5


def test_a_shrunken_view_is_a_mean_not_a_choice(folder, photos):
    view = plain(origin=(0.5, 0.5), step=(2.0, 2.0))
    pixels, _ = crop_of(photos, 0, view, (48, 32))
    reference = Image.fromarray(folder[0].image).resize((32, 48), Image.Resampling.BOX)
    assert np.abs(pixels - np.asarray(reference, dtype=float)).mean() < 6
    stripes = torch.zeros(96, 64, dtype=torch.uint8)
    stripes[::2] = 200
    photos.images[0] = 0
    photos.images[0, :, :, :64] = stripes
    shrunk, _ = crop_of(photos, 0, view, (48, 32))
    assert np.abs(shrunk[2:-2] - 100).max() < 1


def test_a_pixel_of_a_third_of_the_size_is_the_mean_of_the_corners_of_three_by_three(folder, photos):
    pixels, labels = crop_of(photos, 0, plain(origin=(1.0, 1.0), step=(3.0, 3.0)), (32, 21))
    photo = folder[0].image[:, :63].astype(float).reshape(32, 3, 21, 3, 3)
    np.testing.assert_allclose(pixels, photo[:, ::2][:, :, :, ::2].mean(axis=(1, 3)), atol=0.05)
    np.testing.assert_array_equal(labels, folder[0].labels[1::3, 1::3][:, :21])


def test_an_enlarged_view_shows_every_pixel_to_its_edges(folder, photos):
    """Twice as large, a pixel has two places, a quarter of a pixel before and after its centre."""
    _, labels = crop_of(photos, 0, plain(origin=(-0.25, -0.25), step=(0.5, 0.5)), (192, 128))
    np.testing.assert_array_equal(labels, folder[0].labels.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("degrees", [90, -90, 20])
def test_a_rotated_view_is_the_rotated_photo(folder, photos, degrees):
    turned = F.rotate(
        torch.from_numpy(folder[0].image.copy()).permute(2, 0, 1), degrees, F.InterpolationMode.BILINEAR, expand=True
    )
    labels = F.rotate(torch.from_numpy(folder[0].labels.copy())[None], degrees, expand=True, fill=[LIP.ignore_index])[
        0
    ].numpy()
    radians = math.radians(degrees)
    height = abs(math.cos(radians)) * 96 + abs(math.sin(radians)) * 64
    width = abs(math.cos(radians)) * 64 + abs(math.sin(radians)) * 96
    # Torchvision rounds the canvas up to whole pixels; the centres agree.
    origin = ((height - labels.shape[0]) / 2, (width - labels.shape[1]) / 2)
    pixels, ours = crop_of(photos, 0, plain(angle=radians, origin=origin), labels.shape)
    assert (ours == labels).mean() > 0.98
    inside = labels != LIP.ignore_index
    assert np.abs(pixels - turned.permute(1, 2, 0).numpy())[inside].mean() < 2


@pytest.mark.parametrize(
    ("pad", "fill"), [([20, 0, 20, 0], 0), ([0, 12, 0, 12], 255), ([20, 0, 20, 0], 102), ([20, 0, 20, 0], None)]
)
def test_bars_are_those_of_the_transform(folder, photos, pad, fill):
    image = tv_tensors.Image(torch.from_numpy(folder[0].image.copy()).permute(2, 0, 1))
    mask = tv_tensors.Mask(torch.from_numpy(folder[0].labels.copy()))
    expected, labels = (Bars(1.0).transform(each, {"pad": pad, "fill": fill}) for each in (image, mask))
    view = plain(bars=(float(pad[1]), float(pad[0])), fill=BLURRED if fill is None else fill / 255)
    pixels, ours = crop_of(photos, 0, view, labels.shape)
    np.testing.assert_array_equal(ours, labels)
    difference = np.abs(pixels - expected.permute(1, 2, 0).numpy())
    assert difference.mean() < (12 if fill is None else 0.1)  # the blur is a mean of 16 × 16 pixels there too


def drawn(photos, index, **options):
    wanted = Augmentation((64, 48), **options)
    return photos.draw(index, wanted, torch.rand(len(index), CHANCES, generator=torch.Generator().manual_seed(0)))


def test_views_are_drawn_as_workers_draw_them(photos):
    view = drawn(photos, torch.zeros(4000, dtype=torch.long), scale=(0.5, 1.5))
    assert (view.box == torch.tensor([0.0, 0.0, 96.0, 64.0])).all()
    assert not view.angle.any()
    assert not view.bars.any()
    assert 0.45 < view.mirrored.float().mean() < 0.55
    resized = 96 / view.step[:, 0]
    assert resized.min() >= 48
    assert resized.max() <= 144
    assert abs(resized.mean() - 96) < 2
    # Crop and photo lie within one another, whichever is larger.
    first, last = view.origin[:, 0] + 0.5 * (1 - view.step[:, 0]), view.origin[:, 0] + (64 - 0.5) * view.step[:, 0]
    larger = resized >= 64
    assert (first[larger] > -1e-3).all()
    assert (last[larger] < 96).all()
    assert (first[~larger] < 0.5).all()
    assert (last[~larger] > 95 - 1e-3).all()


def test_shares_of_rotated_photos_and_of_bars(photos):
    view = drawn(photos, torch.zeros(4000, dtype=torch.long), rotation=0.5, bars=0.4)
    turned = view.angle != 0
    assert 0.45 < turned.float().mean() < 0.55
    quarter = (view.angle.abs() - torch.pi / 2).abs() < 1e-5
    assert 0.12 < quarter.sum() / turned.sum() < 0.21
    assert (view.angle[~quarter].abs() <= math.radians(30) + 1e-5).all()
    assert 0.35 < view.bars.any(dim=1).float().mean() < 0.45
    assert not (view.bars > 0).all(dim=1).any()


def test_around_the_person(folder, photos):
    box = drawn(photos, torch.full((500,), 3), crop_around_person=1.0).box
    rows, columns = np.nonzero(folder[3].labels)
    person = torch.tensor([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    assert (box[:, :2] <= person[:2]).all()
    assert (box[:, 2:] >= person[2:]).all()
    extent = (person[2:] - person[:2]).max()
    largest = torch.cat([person[:2] - box[:, :2], box[:, 2:] - person[2:]], dim=1).amax(dim=0)
    edges = torch.cat([person[:2], torch.tensor([96, 64]) - person[2:]])
    torch.testing.assert_close(largest, edges.clamp_max(0.15 * extent), atol=1.0, rtol=0)


def test_limbs_come_with_the_labels(folder):
    joints = np.full((1, 17, 3), 2.0, dtype=np.float32)
    joints[..., :2] = np.linspace(0.2, 0.8, 17)[None, :, None]
    known = replace(folder, keypoints={folder.pairs[0].id: joints})
    photos = ResidentPhotos([known], LIP, RAW, side=96, device=torch.device("cpu"))
    _, maps = photos.crops(torch.tensor([0]), plain(), (96, 64))
    np.testing.assert_array_equal(maps[0, 1], limb_map(joints, folder[0].labels, LIP))
    batch = photos.batch(torch.tensor([0, 1]), Augmentation((64, 48)), torch.rand(2, CHANCES))
    assert batch["limbs"].shape == batch["labels"].shape == (2, 64, 48)


def test_batches_of_a_data_module_repeat_themselves(lip_root):
    def batches():
        data = ParsingData(
            [Source(lip_root)],
            lip_root,
            preprocessing=RAW,
            crop=(64, 48),
            batch_size=2,
            num_workers=0,
            photometric=0.5,
            resident_side=96,
        )
        data.setup("fit")
        return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]

    first, second = batches(), batches()
    assert len(first) == 2
    assert first[0]["images"].shape == (2, 3, 64, 48)
    assert first[0]["labels"].dtype == torch.int64
    assert all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a)
    assert not torch.equal(first[0]["images"], first[1]["images"])


def test_indices_of_resident_photos_stay_on_the_cpu(lip_root):
    data = ParsingData(
        [Source(lip_root)], lip_root, preprocessing=RAW, crop=(64, 48), batch_size=2, num_workers=0, resident_side=96
    )
    data.setup("fit")
    for batch in data.train_dataloader():
        assert data.transfer_batch_to_device(batch, torch.device("meta"), 0) is batch
    photo = data.transfer_batch_to_device({"images": torch.zeros(2)}, torch.device("meta"), 0)
    assert photo["images"].is_meta


def test_pasted_scenes_are_composed_several_times(lip_root, tmp_path):
    (tmp_path / "scenes").mkdir()
    for number in range(3):
        Image.new("RGB", (80, 60), (40 * number, 90, 120)).save(tmp_path / "scenes" / f"{number}.png")
    data = ParsingData(
        [Source(lip_root, 1.0)],
        lip_root,
        preprocessing=RAW,
        crop=(64, 48),
        batch_size=4,
        samples_per_epoch=400,
        pasting=Pasting(tmp_path / "scenes", [lip_root], share=3.0),
        num_workers=1,
        resident_side=96,
    )
    data.setup("fit")
    assert len(data.train_dataloader()) == 100
    assert data.resident.count(1) == 3 * COMPOSITIONS
    assert {photo for source, photo in data._draw(0) if source == 1} == set(range(3 * COMPOSITIONS))
    first, again = (data.resident.images[data.resident.index(1, photo)] for photo in (0, 3))
    assert not torch.equal(first, again)


def test_a_longest_side_is_needed(folder):
    with pytest.raises(ValueError, match="longest_side"):
        ResidentPhotos([folder], LIP, Preprocessing(), side=96, device=torch.device("cpu"))


def test_blurred_bars_are_the_stretched_photo(photos):
    """A photo that grows steadily brighter to the right does so over the whole canvas, where no edge is near."""
    photos.images[0] = torch.arange(96, dtype=torch.uint8) * 2
    pixels, _ = crop_of(photos, 0, plain(bars=(0.0, 20.0), fill=BLURRED), (96, 104))
    columns = np.r_[14:20, 84:90]
    expected = 2 * ((columns + 0.5) * 64 / 104 - 0.5)
    np.testing.assert_allclose(pixels[50, columns, 0], expected, atol=0.1)


def test_blurred_bars_are_as_bright_as_the_photo(tmp_path):
    write_lip(tmp_path)
    folder = open_split(tmp_path, "train")
    Image.fromarray(np.full_like(folder[0].image, 255)).save(folder.pairs[0].image, quality=100)
    folder = replace(folder, pairs=folder.pairs[:1])
    photos = ResidentPhotos([folder], LIP, RAW, side=96, device=torch.device("cpu"))
    view = plain(bars=(0.0, 12.0), fill=BLURRED)
    pixels, _ = crop_of(photos, 0, view, folder[0].labels.shape)
    assert pixels.min() > 0.99 * pixels.max()
