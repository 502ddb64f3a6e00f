"""Marks are within the image and visible on any background. They cover a face only if the image ends beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.labels import COLORS
from fer_lightning.predict.annotate import LEAST_SIDE, Mark, annotated

places = st.floats(-300, 900)
sides = st.floats(0, 900)
marks = st.builds(
    Mark,
    st.tuples(places, places, sides, sides),
    st.text(st.characters(exclude_categories=("C", "Z")), max_size=60),
    st.sampled_from(sorted(COLORS.values())),
    st.booleans(),
)


@given(st.integers(1, 700), st.integers(1, 700), st.lists(marks, max_size=6))
@settings(deadline=None, max_examples=40)
def test_any_box_on_any_picture_can_be_drawn(width, height, drawn):
    """Boxes that reach outside too, of which the seed project's demo made crashes."""
    picture = np.zeros((height, width, 3), np.uint8)
    copy = annotated(picture, drawn)
    assert copy.dtype == np.uint8
    assert max(copy.shape[:2]) == max(LEAST_SIDE, width, height)
    assert not picture.any()


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("color", sorted(set(COLORS.values())))
@pytest.mark.parametrize("sure", [True, False])
def test_a_box_stands_out_on_any_ground(ground, color, sure):
    picture = np.full((480, 640, 3), ground, np.uint8)
    copy = annotated(picture, [Mark((200, 200, 100, 120), "happy 84 %", color, sure)])
    beside = np.abs(copy[250, 190:205].astype(int) - ground).max()
    assert beside >= 100


@pytest.mark.parametrize("place", [(10, 0), (500, 0), (10, 350), (500, 350), (300, 200)])
def test_words_hide_no_face_where_there_is_room(place):
    """Only the line of the box differs within it, also at the edges."""
    picture = np.full((480, 640, 3), 90, np.uint8)
    copy = annotated(picture, [Mark((*place, 100, 125), "frustration 84 %  (too small)", "#882255")])
    x, y = place
    assert (copy[y + 10 : y + 115, x + 10 : x + 90] == 90).all()


def test_words_of_neighbours_do_not_lie_on_each_other():
    boxes = [(100 + 90 * number, 200, 60, 75) for number in range(4)]
    picture = np.full((480, 640, 3), 90, np.uint8)
    alone = [(annotated(picture, [Mark(box, "surprise 84 %", "#56B4E9")]) != 90).any(axis=2).sum() for box in boxes]
    together = (annotated(picture, [Mark(box, "surprise 84 %", "#56B4E9") for box in boxes]) != 90).any(axis=2).sum()
    assert together >= 0.97 * sum(alone)


def test_a_picture_without_faces_is_as_it_was():
    picture = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)
    assert np.array_equal(annotated(picture, []), picture)
