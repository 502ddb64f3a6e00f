"""The views of a followed face take turns in a page, and each counts once."""

import json

import pytest
from game_modules import needs_node, run

pytestmark = needs_node

HERE, THERE = [100, 100, 50, 50], [300, 100, 50, 50]
WORK = 40  # milliseconds per view

# What the network computes for each image [boxes, begin, milliseconds of work], and which earlier views count.
SCRIPT = """
import { Views } from "./views.js";
const { images, number } = INPUT;
const views = new Views();
export default images.map(([boxes, begun, work], image) => {
  const chosen = views.choose(boxes, begun);
  const [first, end] = chosen.views;
  const computed = Array.from({ length: Math.min(end, number) - first }, (_, view) => [`${image}.${first + view}`]);
  const seen = boxes.flatMap(() => computed);
  views.keep(chosen, boxes, seen, begun + work * seen.length);
  return [...seen.flat(), "after", ...chosen.earlier].join(" ");
});
"""


def looks(folder, images, number=2, work=WORK):
    given = {"images": [[boxes, begun, work] for boxes, begun in images], "number": number}
    return run(folder, SCRIPT.replace("INPUT", json.dumps(given)), room="faces")


def test_two_views_take_turns_unless_the_pause_is_long(tmp_path):
    assert looks(tmp_path, [([HERE], begun) for begun in (0, 100, 300, 500, 900, 1000)]) == [
        "0.0 0.1 after",
        "1.0 after 0.1",
        "2.1 after 1.0",
        "3.0 after 2.1",
        "4.0 4.1 after",
        "5.0 after 4.1",
    ]


def test_each_of_four_views_counts_once(tmp_path):
    assert looks(tmp_path, [([HERE], 200 * image) for image in range(6)], number=4) == [
        "0.0 0.1 0.2 0.3 after",
        "1.0 after 0.1 0.2 0.3",
        "2.1 after 1.0 0.2 0.3",
        "3.2 after 1.0 2.1 0.3",
        "4.3 after 1.0 2.1 3.2",
        "5.0 after 2.1 3.2 4.3",
    ]


@pytest.mark.parametrize("boxes", [[THERE], [HERE, THERE], []])
def test_another_face_or_a_second_one_is_seen_with_all_views(tmp_path, boxes):
    first, second, third = looks(tmp_path, [([HERE], 0), (boxes, 100), ([HERE], 200)])
    assert second == " ".join(["1.0 1.1"] * len(boxes) + ["after"]).replace("  ", " ")
    assert third == "2.0 2.1 after"
    assert first == "0.0 0.1 after"


def test_the_work_of_a_slow_device_is_not_a_pause(tmp_path):
    """Otherwise it would compute all views for ever, which takes longest."""
    images = [([HERE], begun) for begun in (0, 1700, 2200, 2700)]
    answers = looks(tmp_path, images, number=4, work=400)
    assert [answer.index("after") for answer in answers] == [16, 4, 4, 4]
