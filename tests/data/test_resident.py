import numpy as np
import pytest
import torch
from PIL import Image

from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.layouts import open_split
from ssnan.data.resident import ResidentPictures, View
from ssnan.labels import LIP
from ssnan.parsing.preprocessing import Preprocessing

RAW = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), longest_side=96)


@pytest.fixture
def folder(lip_root):
    return open_split(lip_root, "train")


@pytest.fixture
def pictures(folder):
    return ResidentPictures([folder, folder], LIP, RAW, side=96, device=torch.device("cpu"), threads=2)


def plain(origin=(0.0, 0.0), step=(1.0, 1.0), box=(0.0, 0.0, 96.0, 64.0)):
    return View(*(torch.tensor([values]) for values in (origin, step, box)))


def test_an_unmoved_view_is_the_picture(folder, pictures):
    sample = folder[2]
    assert sample.labels.shape == (96, 64)
    batch = pictures.crops(torch.tensor([pictures.index(1, 2)]), plain(), torch.tensor([False]), (96, 64))
    np.testing.assert_allclose(batch["images"][0].permute(1, 2, 0) * 255, sample.image, atol=1e-2)
    np.testing.assert_array_equal(batch["labels"][0], sample.labels)


def test_a_mirrored_view_exchanges_left_and_right(folder, pictures):
    batch = pictures.crops(torch.tensor([1]), plain(), torch.tensor([True]), (96, 64))
    np.testing.assert_allclose(batch["images"][0].permute(1, 2, 0) * 255, folder[1].image[:, ::-1], atol=1e-2)
    np.testing.assert_array_equal(
        batch["labels"][0], np.array([*LIP.flip_permutation, *range(20, 256)])[folder[1].labels[:, ::-1]]
    )


def test_beyond_the_edge_is_the_mean_and_no_label(pictures):
    view = plain(origin=(-4.0, 0.0), box=(8.0, 0.0, 40.0, 64.0))  # row 12 of the crop shows row 8
    batch = pictures.crops(torch.tensor([0]), view, torch.tensor([False]), (60, 64))
    outside = torch.ones(60, 64, dtype=torch.bool)
    outside[12:44] = False
    assert (batch["images"][0][:, outside] == 0).all()
    assert (batch["labels"][0][outside] == LIP.ignore_index).all()
    assert (batch["labels"][0][~outside] < 20).all()


def test_a_shrunken_view_is_a_mean_not_a_choice(folder, pictures):
    view = plain(origin=(0.5, 0.5), step=(2.0, 2.0))
    batch = pictures.crops(torch.tensor([0]), view, torch.tensor([False]), (48, 32))
    reference = Image.fromarray(folder[0].image).resize((32, 48), Image.Resampling.BOX)
    difference = batch["images"][0].permute(1, 2, 0).numpy() * 255 - np.asarray(reference, dtype=float)
    assert np.abs(difference).mean() < 6
    stripes = torch.zeros(96, 64, dtype=torch.uint8)
    stripes[::2] = 200
    pictures.images[0] = 0
    pictures.images[0, :, :, :64] = stripes
    shrunk = pictures.crops(torch.tensor([0]), view, torch.tensor([False]), (48, 32))["images"] * 255
    assert shrunk[0, :, 2:-2].sub(100).abs().max() < 1


def test_views_are_drawn_as_workers_draw_them(pictures):
    random = torch.Generator().manual_seed(0)
    index = torch.zeros(4000, dtype=torch.long)
    origin, step, box = pictures.draw(index, (64, 48), (0.5, 1.5), 0.0, torch.rand(len(index), 8, generator=random))
    assert (box == torch.tensor([0.0, 0.0, 96.0, 64.0])).all()
    resized = 96 / step[:, 0]
    assert resized.min() >= 48
    assert resized.max() <= 144
    assert abs(resized.mean() - 96) < 2
    # Crop and picture lie within one another, whichever is larger.
    first, last = origin[:, 0] + 0.5 * (1 - step[:, 0]), origin[:, 0] + (64 - 0.5) * step[:, 0]
    larger = resized >= 64
    assert (first[larger] > -1e-3).all()
    assert (last[larger] < 96).all()
    assert (first[~larger] < 0.5).all()
    assert (last[~larger] > 95 - 1e-3).all()


def test_around_the_person(folder, pictures):
    random = torch.Generator().manual_seed(0)
    _, _, box = pictures.draw(torch.full((500,), 3), (64, 48), (1.0, 1.0), 1.0, torch.rand(500, 8, generator=random))
    rows, columns = np.nonzero(folder[3].labels)
    person = torch.tensor([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    assert (box[:, :2] <= person[:2]).all()
    assert (box[:, 2:] >= person[2:]).all()
    extent = (person[2:] - person[:2]).max()
    assert ((person[:2] - box[:, :2]).amax() <= 0.15 * extent + 0.5) or (box[:, :2] == 0).any()


def test_batches_of_a_data_module_repeat_themselves(lip_root):
    def batches():
        data = ParsingData(
            [Source(lip_root)],
            lip_root,
            preprocessing=RAW,
            crop=(64, 48),
            batch_size=2,
            num_workers=0,
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


def test_what_cannot_be_resident_is_refused(lip_root, folder):
    with pytest.raises(ValueError, match="photometric"):
        ParsingData([Source(lip_root)], lip_root, photometric=0.5, resident_side=96)
    with pytest.raises(ValueError, match="longest_side"):
        ResidentPictures([folder], LIP, Preprocessing(), side=96, device=torch.device("cpu"))
