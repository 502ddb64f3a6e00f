"""Faces keep their identity only by position; smoothed probabilities stay probabilities."""

import math

import numpy as np
import pytest
from collect_portraits import MODEL
from face_video import face_box, frame, phase
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.find import find_faces
from fer_lightning.faces.settings import FaceRules
from fer_lightning.faces.tracks import Tracks, overlap

sides = st.floats(20, 300)
places = st.floats(-100, 2000)
boxes = st.tuples(places, places, sides, sides)
steps = st.floats(0, 3)


def drawn(data, count, classes=7):
    """(count, classes) probabilities."""
    row = st.lists(st.floats(1e-3, 1), min_size=classes, max_size=classes)
    rows = np.array([data.draw(row) for _ in range(count)]).reshape(count, classes)
    return rows / rows.sum(axis=1, keepdims=True)


@given(st.data(), st.lists(st.tuples(steps, st.lists(boxes, max_size=5)), max_size=12))
@settings(deadline=None, max_examples=50)
def test_ids_are_unique_in_a_frame_and_the_average_is_a_distribution(data, looks):
    tracks, now, highest = Tracks(), 0.0, 0
    for step, found in looks:
        now += step
        seen = tracks.update(now, found, drawn(data, len(found)))
        assert [track.box for track in seen] == found
        ids = [track.id for track in seen]
        assert len(set(ids)) == len(ids)
        assert sorted(id for id in ids if id > highest) == list(range(highest + 1, max([highest, *ids]) + 1))
        highest = max([highest, *ids])
        for track in seen:
            assert track.smoothed.min() >= 0
            assert track.smoothed.sum() == pytest.approx(1)


@pytest.mark.slow
@given(
    st.data(),
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0.01, 0.9), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.8, 1.25))),
)
@settings(deadline=None, max_examples=50)
def test_faces_that_stay_keep_their_ids_in_whatever_order_they_are_found(data, count, moves):
    """They move by up to 0.4 of their side a look, each in a street of its own."""
    tracks, now = Tracks(), 0.0
    found = [(0.0, 1000.0 * number, 100.0, 120.0) for number in range(count)]
    known = [track.id for track in tracks.update(now, found, drawn(data, count))]
    for step, across, down, growth in moves:
        now += step
        found = [
            (x + across * 100, 1000.0 * number + down * 120, 100 * growth, 120 * growth)
            for number, (x, *_) in enumerate(found)
        ]
        order = data.draw(st.permutations(range(count)))
        seen = tracks.update(now, [found[number] for number in order], drawn(data, count))
        assert [track.id for track in seen] == [known[number] for number in order]


def sure_of(number, classes=3):
    return np.eye(classes)[[number]]


HERE = (100.0, 100.0, 80.0, 100.0)


def test_who_was_away_too_long_or_is_elsewhere_or_of_another_size_is_somebody_new():
    tracks = Tracks(keep_seconds=1.0)
    looks = [
        (0.0, HERE, 1),
        (1.0, HERE, 1),  # away for as long as is allowed
        (2.1, HERE, 2),  # longer
        (2.2, (400.0, 100.0, 80.0, 100.0), 3),  # elsewhere
        (2.3, (20.0, 0.0, 240.0, 300.0), 4),  # three times as large, around the same centre
        (2.4, HERE, 2),  # where the second was a moment ago
        (0.5, HERE, 5),  # a clock that was set back
    ]
    for now, box, expected in looks:
        (track,) = tracks.update(now, [box], sure_of(0))
        assert track.id == expected
        assert tracks.update(now, [], np.empty((0, 3))) == []


def test_of_two_faces_that_come_near_the_closer_one_continues():
    tracks = Tracks()
    left, right = (100.0, 100.0, 80.0, 100.0), (160.0, 100.0, 80.0, 100.0)
    before = tracks.update(0.0, [left, right], np.repeat(sure_of(0), 2, axis=0))
    after = tracks.update(0.2, [(150.0, 100.0, 80.0, 100.0), (115.0, 100.0, 80.0, 100.0)], np.repeat(sure_of(0), 2, 0))
    assert [track.id for track in after] == [before[1].id, before[0].id]


@pytest.mark.parametrize("moments", [[2.0], [0.5, 1.0, 1.5, 2.0], [0.1, 0.7, 2.0]])
def test_the_average_forgets_by_time_and_not_by_frames(moments):
    tracks = Tracks(keep_seconds=5.0, smooth_seconds=1.5)
    tracks.update(0.0, [HERE], sure_of(0))
    for now in moments:
        (track,) = tracks.update(now, [HERE], sure_of(1))
    old = math.exp(-2.0 / 1.5)
    assert track.smoothed == pytest.approx([old, 1 - old, 0])


def test_without_smoothing_the_last_look_stands():
    tracks = Tracks(smooth_seconds=0)
    for number in (0, 1, 2):
        (track,) = tracks.update(0.0, [HERE], sure_of(number))
        assert track.smoothed.tolist() == sure_of(number)[0].tolist()


def test_what_a_caller_does_to_his_probabilities_changes_nothing():
    tracks, fresh = Tracks(), sure_of(0)
    (track,) = tracks.update(0.0, [HERE], fresh)
    fresh[:] = 0
    assert track.smoothed.tolist() == [1, 0, 0]


def test_each_box_needs_its_probabilities():
    with pytest.raises(ValueError, match="zip"):
        Tracks().update(0.0, [HERE, HERE], sure_of(0))


@pytest.mark.slow
def test_in_a_video_the_moving_and_covered_face_is_one_and_who_comes_back_is_another():
    detector, tracks, seen = open_detector(MODEL), Tracks(), {}
    for number in range(30):
        share = number / 30
        picture = frame(share)
        found = find_faces(picture, detector, FaceRules(), roll=False)
        now_seen = tracks.update(share * 10, [face.face.box for face in found], np.full((len(found), 7), 1 / 7))
        seen.setdefault(phase(share), set()).update(track.id for track in now_seen)
        if now_seen:
            assert overlap(now_seen[0].box, face_box(share)) > 0.6
    assert seen == {"moving": {1}, "covered": {1}, "absent": set(), "back": {2}}
