from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fakes.lip import person
from fakes.sets import half_labelled, write_sets
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.data.pasting import APART, HEADS, PastedScenes, Pasting, Place, anywhere, cut_out, paste
from ssnan.labels import LIP

FACE, CLOTHES = LIP.classes.index("face"), LIP.classes.index("upper-clothes")


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(3):
        scene = np.full((60, 80, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(scene).save(folder / f"s{number}.png")
    return folder


def drawn(pasted, count=40):
    for index in range(count):
        torch.manual_seed(index)
        yield pasted[index % len(pasted)]


def test_a_cut_out_is_the_box_of_the_person():
    photo, labels = person()
    cut = cut_out(photo, labels, LIP)
    assert cut.shown.shape == (88, 44)
    assert cut.shown[labels[4:92, 10:54] > 0].all()
    np.testing.assert_array_equal(cut.labels[cut.labels < 255], labels[4:92, 10:54][cut.labels < 255])
    assert not cut.cut_below
    assert cut_out(photo[:50], labels[:50], LIP).cut_below
    labels[:4, 24:40] = 255  # who knows what, on the hair
    assert cut_out(photo, labels, LIP).shown.shape == (92, 44)


def test_a_neck_without_a_label_is_shown_and_ignored_but_a_white_wall_is_not():
    photo, labels = person()
    labels[24:28, 20:44] = 0  # a slit across face and clothes, as LIP has no neck
    cut = cut_out(photo, labels, LIP)
    slit = cut.labels[20:24, 14:30]
    assert cut.shown[20:24, 14:30].all()
    assert (slit == 255).all()
    photo[24:28, 20:44] = 240, 100, 100  # red, not white
    assert cut_out(photo, labels, LIP).shown[20:24, 14:30].all()
    photo[24:28, 20:44] = 240
    assert not cut_out(photo, labels, LIP).shown[20:24, 14:30].any()


def test_a_gap_as_wide_as_a_leg_is_no_part_of_the_person():
    photo, labels = person()
    labels[24:36, 20:44] = 0
    assert not cut_out(photo, labels, LIP).shown[25:27, 14:30].any()


def test_what_is_pasted_covers_the_scene_with_its_own_pixels_and_labels():
    photo, labels = person()
    image, truth = np.zeros((96, 120, 3), dtype=np.uint8), np.zeros((96, 120), dtype=np.uint8)
    cut, random = cut_out(photo, labels, LIP), np.random.default_rng(7)
    place = anywhere(cut, 0.6, truth.shape, random)
    assert place.factor == pytest.approx(0.6 * 96 / 88)
    paste(cut, place, image, truth, 255, random)
    assert {FACE, CLOTHES} <= set(np.unique(truth))
    # The light differs, the colours of a part do not spread: blue faces stay the bluest thing there is.
    blueness = image[..., 2].astype(int) - image[..., :2].max(axis=2)
    assert blueness[truth == FACE].mean() > 40 > blueness[truth == CLOTHES].mean()
    assert (image[truth == 0].max(axis=1) == 0).mean() > 0.95
    left, right = (np.nonzero(truth == i)[1].mean() for i in (14, 15))
    assert left > right


def test_who_was_cut_off_below_stands_at_the_lower_edge():
    photo, labels = person()
    half = cut_out(photo[:50], labels[:50], LIP)
    for seed in range(20):
        image, truth = np.zeros((96, 120, 3), dtype=np.uint8), np.zeros((96, 120), dtype=np.uint8)
        random = np.random.default_rng(seed)
        paste(half, anywhere(half, 0.5, truth.shape, random), image, truth, 255, random)
        assert truth[-1].any()


def test_a_person_is_pasted_at_the_place_and_size_that_are_asked_for():
    photo, labels = person()
    cut = cut_out(photo, labels, LIP)  # 88 × 44
    image, truth = np.zeros((96, 120, 3), dtype=np.uint8), np.zeros((96, 120), dtype=np.uint8)
    window, solid = paste(cut, Place(0.5, 20, -10), image, truth, 255, np.random.default_rng(0))
    assert window == (slice(20, 64), slice(0, 12))
    np.testing.assert_array_equal(truth[window] > 0, solid)
    assert truth.astype(bool).sum() == solid.sum()
    _, solid = paste(cut, Place(0.5, 20, 60), image, truth, 255, np.random.default_rng(0))
    assert solid.sum() == pytest.approx(cut.shown.sum() / 4, rel=0.03)
    truth[:] = 0
    scene = np.random.default_rng(1).integers(0, 256, image.shape, dtype=np.uint8)
    image[:] = scene
    window, solid = paste(cut, Place(1.0, 20, -10), image, truth, 255, np.random.default_rng(0))
    np.testing.assert_array_equal(image[truth == 0], scene[truth == 0])
    np.testing.assert_array_equal(solid, cut.shown[:76, 10:])
    np.testing.assert_array_equal(truth[window], np.where(solid, cut.labels[:76, 10:], 0))


def test_a_person_takes_on_some_of_the_light_of_the_scene():
    photo, labels = person()
    cut = cut_out(np.minimum(photo, 150) + np.uint8(100), labels, LIP)
    for level, sign in ((0, -1), (255, 1)):
        changes = []
        for seed in range(10):
            image, truth = np.full((96, 120, 3), level, dtype=np.uint8), np.zeros((96, 120), dtype=np.uint8)
            window, solid = paste(cut, Place(1.0, 0, 0), image, truth, 255, np.random.default_rng(seed))
            changes.append(sign * (image[window][solid].astype(float) - cut.image[solid]))
        assert np.min(changes) >= -1
        assert np.mean(changes) > 5


def test_near_people_cover_far_ones(scenes, lip_root):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP)
    for seed in range(20):
        factors = [place.factor for _, place in pasted._anywhere((60, 80), np.random.default_rng(seed))]
        assert factors == sorted(factors)


def test_a_group_has_only_people_with_heads_and_who_was_cut_off_stands_at_the_lower_edge(scenes, lip_root, monkeypatch):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP, most=5)
    photo, labels = person()
    half = cut_out(photo[:50], labels[:50], LIP)
    for shown, alone in ((half, False), (half._replace(labels=np.full_like(half.labels, CLOTHES)), True)):
        monkeypatch.setattr(pasted, "_person", lambda random, shown=shown: shown)
        placed = [one for seed in range(10) for one in pasted._group((600, 800), np.random.default_rng(seed))]
        assert (not placed) == alone
        assert all(place.top + place.factor * len(one.shown) > 599 for one, place in placed)


def test_everybody_of_a_group_is_in_the_scene(scenes, lip_root):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP, most=7, groups=1.0)
    for seed in range(270, 300):
        for one, place in pasted._group((40, 50), np.random.default_rng(seed)):
            (height, width), top, left = one.size_at(place.factor), round(place.top), round(place.left)
            assert -height < top < 40
            assert -width < left < 50


def test_the_heads_of_a_group_are_of_similar_size_and_side_by_side(scenes, lip_root):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP, most=5, groups=1.0)
    counts, spans, down = [], [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        placed = pasted._group((600, 800), random)
        heads = [person.shown.shape[0] * place.factor for person, place in placed]
        counts.append(len(placed))
        down += np.diff([place.top + height for (_, place), height in zip(placed, heads, strict=True)]).tolist()
        if len(placed) > 1:
            assert max(heads) / min(heads) < np.exp(0.6) * 1.01  # one drawn person, so heads grow with people
            spans += np.abs(np.diff(sorted(place.left for _, place in placed))).tolist()
    assert max(counts) == 5
    assert np.mean(down) > 0  # the nearer ones come later, in front
    assert 0 < np.median(spans) < HEADS[1] * 600 * APART[1] * 1.5


def test_people_of_a_group_have_numbers_of_their_own(scenes, lip_root):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP, most=5, groups=1.0)
    several = 0
    for sample in drawn(pasted):
        np.testing.assert_array_equal(sample.instances > 0, sample.labels > 0)
        several += len(np.unique(sample.instances)) > 2
    assert several > 20


def test_scenes_hold_nobody_one_or_several_and_repeat_themselves(scenes, lip_root, tmp_path):
    half = open_split(write_sets(tmp_path / "half"), "train")
    pasted = PastedScenes(scenes, [open_split(lip_root, "train"), half], LIP, most=4)
    samples = list(drawn(pasted))
    assert all(sample.image.shape == (60, 80, 3) and sample.labels.shape == (60, 80) for sample in samples)
    share = [float((sample.labels > 0).mean()) for sample in samples]
    assert min(share) == 0
    assert max(share) > 0.3
    known = pasted.label_set.membership.any(axis=1)
    known[255] = True
    assert all(known[sample.labels].all() for sample in samples)
    for first, again in zip(samples, drawn(pasted), strict=True):
        np.testing.assert_array_equal(first.image, again.image)


def test_sets_keep_their_meaning(scenes, tmp_path):
    half = open_split(write_sets(tmp_path / "half"), "train")
    pasted = PastedScenes(scenes, [half], LIP)
    seen = np.unique(np.concatenate([sample.labels.ravel() for sample in drawn(pasted)]))
    meanings = {class_set.value: class_set.class_ids for class_set in pasted.label_set.sets}
    wanted = {
        class_set.class_ids
        for class_set in half.label_set.sets
        if class_set.value in np.unique(half_labelled(person()[1]))
    }
    assert wanted <= {meanings[value] for value in seen if value in meanings}


def test_a_folder_without_scenes_is_named(tmp_path, lip_root):
    with pytest.raises(DatasetError, match="nowhere"):
        PastedScenes(tmp_path / "nowhere", [open_split(lip_root, "train")], LIP)


def test_datasets_without_people_are_named(scenes, lip_root, monkeypatch):
    """Instead of drawing for ever."""
    monkeypatch.setattr("ssnan.data.pasting.TRIES", 5)
    empty = replace(open_split(lip_root, "train"), read_mask=lambda mask: np.zeros((96, 64), dtype=np.uint8))
    pasted = PastedScenes(scenes, [empty], LIP)
    with pytest.raises(DatasetError, match="nobody in 5 photos beside train_"):
        list(drawn(pasted))


def test_the_datamodule_draws_pasted_scenes_by_their_share(scenes, lip_root, tmp_path):
    data = ParsingData(
        [Source(lip_root, 1.0)],
        lip_root,
        crop=(64, 48),
        batch_size=2,
        num_workers=0,
        samples_per_epoch=400,
        pasting=Pasting(scenes, [lip_root, write_sets(tmp_path / "half")], share=3.0),
        rotation=0.5,
    )
    data.setup("fit")
    order = data._draw(0)
    assert 0.65 < sum(source == 1 for source, _ in order) / 400 < 0.85
    assert len(data.label_set.sets) == 4  # three, and the mirror image of one
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (2, 3, 64, 48)


def test_pasting_needs_shares(scenes, lip_root):
    pasting = Pasting(scenes, [lip_root], share=1.0)
    with pytest.raises(ValueError, match=r"data\.pasting: give the sources shares"):
        ParsingData([Source(lip_root)], lip_root, pasting=pasting)
