from types import SimpleNamespace

import pytest
import torch

from fakes.lip import write_lip
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.folder import DatasetError


def module(*sources, **options):
    data = ParsingData(list(sources), sources[0].root, crop=(64, 48), batch_size=2, num_workers=0, **options)
    data.setup("fit")
    return data


def test_batches(lip_root):
    batches = list(module(Source(lip_root)).train_dataloader())
    assert len(batches) == 2
    assert batches[0]["images"].shape == (2, 3, 64, 48)
    assert batches[0]["images"].dtype == torch.float32
    assert batches[0]["labels"].shape == (2, 64, 48)
    assert batches[0]["labels"].dtype == torch.int64


def test_every_photo_once_an_epoch_in_an_order_of_its_own(lip_root):
    data = module(Source(lip_root))
    first, second = data._draw(0), data._draw(1)
    assert sorted(first) == sorted(second) == [(0, i) for i in range(4)]
    assert data._draw(0) == first
    orders = {tuple(data._draw(epoch)) for epoch in range(5)}
    assert len(orders) > 1


def test_shares_decide_how_often_a_source_is_drawn(lip_root, tmp_path):
    other = write_lip(tmp_path / "other", train=9)
    drawn = module(Source(lip_root, 3.0), Source(other, 1.0), samples_per_epoch=4000)._draw(0)
    assert len(drawn) == 4000
    assert 0.7 < sum(folder == 0 for folder, _ in drawn) / 4000 < 0.8


def test_augmentation_does_not_depend_on_workers_or_history(lip_root):
    dataset = module(Source(lip_root), photometric=1.0).train_dataloader().dataset
    third = dataset[2]["images"]
    torch.rand(5)
    again = module(Source(lip_root), photometric=1.0).train_dataloader().dataset[2]["images"]
    torch.testing.assert_close(third, again)
    assert not torch.equal(dataset[1]["images"], third)


def test_all_or_no_shares(lip_root):
    with pytest.raises(ValueError, match="a share, or none"):
        module(Source(lip_root, 1.0), Source(lip_root))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch_size": 0}, "data.batch_size: expected 1 or more, got 0"),
        ({"validation_limit": 0}, "data.validation_limit: expected 1 or more"),  # 0 took all photos
        ({"rotation": 30.0}, "data.rotation: expected a share from 0 to 1, got 30.0"),
        ({"crop": (0, 64)}, r"data.crop: expected a height and a width of 1 or more, got \[0, 64\]"),
        ({"scale": (1.4, 0.6)}, "data.scale: expected two factors above 0, the smaller first"),
        ({"resident_side": 65, "damaged": "skip"}, "data.damaged: skip is not supported with data.resident_side"),
    ],
)
def test_numbers_out_of_range_are_one_clear_line(lip_root, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        ParsingData([Source(lip_root)], lip_root, **options)
    with pytest.raises(ValueError, match=r"data\.sources: expected at least one dataset"):
        ParsingData([], lip_root)
    with pytest.raises(ValueError, match=r"data\.sources: expected shares of 0 or more, not all 0"):
        ParsingData([Source(lip_root, 0.0)], lip_root)


def test_photos_per_epoch_need_shares(lip_root):
    with pytest.raises(ValueError, match="samples_per_epoch: needs shares"):
        module(Source(lip_root), samples_per_epoch=2)


def test_fewer_val_photos_than_processes_are_refused(lip_root, monkeypatch):
    data = module(Source(lip_root))
    monkeypatch.setattr(ParsingData, "_processes", property(lambda self: (3, 0)))
    with pytest.raises(DatasetError, match="2 photos are too few for 3 processes"):
        data.setup("fit")


@pytest.mark.parametrize(("crop", "warned"), [((64, 49), "65 × 65"), ((65, 33), None), ((1, 1), "33 × 33")])
def test_a_crop_that_does_not_fit_the_features_is_named(lip_root, caplog, crop, warned):
    ParsingData([Source(lip_root)], lip_root, crop=crop, num_workers=0).setup("fit")
    messages = [record.getMessage() for record in caplog.records if "data.crop" in record.getMessage()]
    assert [message.endswith(f"for example, {warned}") for message in messages] == ([True] if warned else [])


@pytest.mark.parametrize(("batch", "accumulated", "kept"), [(1, 3, 3), (2, 1, 4), (1, 8, 4), (3, 1, 3), (8, 2, 4)])
def test_an_epoch_has_whole_steps_of_the_optimizer(lip_root, batch, accumulated, kept):
    data = ParsingData([Source(lip_root)], lip_root, crop=(33, 33), batch_size=batch, num_workers=0)
    data.setup("fit")
    data.trainer = SimpleNamespace(accumulate_grad_batches=accumulated, world_size=1, global_rank=0, current_epoch=0)
    assert sum(len(batch["labels"]) for batch in data.train_dataloader()) == kept
