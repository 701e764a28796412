from dataclasses import replace

import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.results.people_images import COLORS
from ssnan.results.result import ParsingResult, largest_person
from ssnan.results.tracking import KEPT, Tracker, _iou

CLOTHES = 5


def frame(*lefts, width=200, size=20, source=None):
    """People ``size`` pixels wide with their left edge at ``lefts``, the first in front; None is out of sight."""
    instances = np.zeros((60, width), dtype=np.uint8)
    for number, left in reversed(list(enumerate(lefts, start=1))):
        if left is not None:
            instances[10:50, max(0, left) : max(0, left + size)] = number
    labels = (instances > 0).astype(np.uint8) * CLOTHES
    return ParsingResult(labels, LIP, source=source, instances=instances)


def followed(frames):
    """The frames of one video with the tracks of their people."""
    tracker = Tracker()
    return [tracker.follow(frame) for frame in frames]


def at(result, left, size=20):
    """The track of the pixels in the middle of a person."""
    return int(result.track_map[30, min(left + size // 2, result.labels.shape[1] - 1)])


def test_people_keep_their_track_whoever_is_largest():
    first = frame(10, 100)
    second = frame(12, 96)
    second.instances[10:50, 96:130] = 2  # the other is the largest now
    second.labels[10:50, 96:130] = CLOTHES
    found = followed([first, second])
    assert [(person.number, person.track) for person in found[0].people] == [(1, 1), (2, 2)]
    assert [(person.number, person.track) for person in found[1].people] == [(1, 2), (2, 1)]
    assert found[1].person(0).to_entry()["track"] == 2
    assert found[1].remap("atr").person(0).track == 2
    assert largest_person(found[1]).track == 2
    gone = replace(found[1], labels=np.where(found[1].people_map == 2, found[1].labels, 0))
    assert [person.track for person in gone.people] == [1]


@pytest.mark.parametrize(("step", "track"), [(10, 1), (11, 2)])
def test_a_step_with_an_iou_of_less_than_three_tenths_is_somebody_new(step, track):
    assert followed([frame(50), frame(50 + step)])[-1].person(0).track == track


def test_boxes_apart_in_both_directions_share_nothing():
    boxes = np.array([[0, 0, 2, 2], [5, 5, 9, 8]], dtype=float)
    np.testing.assert_array_equal(_iou(boxes, boxes), np.eye(2))


def test_who_comes_out_where_steps_lead_keeps_the_track_and_the_speed():
    seen = [frame(8 * step) if step < 5 or step > 9 else frame() for step in range(13)]
    assert {person.track for result in followed(seen) for person in result.people} == {1}


def test_people_who_cross_keep_their_tracks():
    """One walks to the right in front of another who walks to the left and is hidden for some frames."""
    walked = [(20 + 4 * step, 140 - 4 * step) for step in range(30)]
    hidden = [(left, None if abs(left - right) < 12 else right) for left, right in walked]
    assert sum(right is None for _, right in hidden) >= 2
    found = followed([frame(*places) for places in hidden])
    assert {at(result, left) for result, (left, _) in zip(found, walked, strict=True)} == {1}
    apart = [(result, right) for result, (left, right) in zip(found, hidden, strict=True) if right is not None
             and abs(left - right) >= 20]  # fmt: skip
    assert {at(result, right) for result, right in apart} == {2}


def test_somebody_who_comes_after_another_left_has_a_new_track():
    leaves = [(left,) for left in range(150, 206, 5)]
    comes = [(left,) for left in range(-15, 40, 5)]
    found = followed([frame(*places) for places in leaves[:-1] + comes])
    tracks = [[person.track for person in result.people] for result in found]
    assert tracks[0] == [1]
    assert tracks[-1] == [2]
    assert {track for frame_tracks in tracks for track in frame_tracks} == {1, 2}


@pytest.mark.parametrize(("empty", "track"), [(1, 1), (KEPT, 1), (KEPT + 1, 2)])
def test_a_track_waits_through_empty_frames(empty, track):
    found = followed([frame(50), *[frame()] * empty, frame(50)])
    assert all(result.people == [] and not result.track_map.any() for result in found[1:-1])
    assert found[-1].person(0).track == track


def test_a_photo_has_no_tracks():
    photo = frame(10)
    assert photo.person(0).track is None
    assert "track" not in photo.person(0).to_entry()
    with pytest.raises(ValueError, match="people have tracks only in videos"):
        photo.track_map  # noqa: B018


def test_colours_follow_the_track():
    pixels = np.zeros((60, 200, 3), dtype=np.uint8)
    first, second = frame(10, 100, source=pixels), frame(None, 100, source=pixels)
    for result in followed([first, second]):
        drawn = np.asarray(result.overlay(opacity=1.0, people=True))
        assert tuple(drawn[30, 110]) == tuple(COLORS[2])


def test_detections_have_the_track():
    pytest.importorskip("supervision")
    _, second = followed([frame(10, 100), frame(100)])
    found = second.to_supervision(people=True)
    assert found.tracker_id.tolist() == [2]
    assert found["class_name"].tolist() == ["person"]
    assert found.xyxy.tolist() == [[100, 10, 120, 50]]
    photo = frame(10, 100).to_supervision(people=True)
    assert photo.tracker_id is None
    assert len(photo) == 2
    assert len(frame().to_supervision(people=True)) == 0
