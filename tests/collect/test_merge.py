from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from collect_rows import add_detected, add_face, add_page, decide, drawn
from hypothesis import given
from hypothesis import strategies as st

from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.merge import MergeVerdict, merge, most_wanted, settle
from fer_lightning.collect.store.collection import Collection
from fer_lightning.labels import USAGES


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path) as opened:
        yield opened


def faces(collection: Collection, count: int, first: int = 0) -> list[int]:
    page = add_page(collection)
    made = [add_face(collection, page, drawn(first + number)) for number in range(count)]
    dedupe(collection, fer2013=None)
    return made


def settled(collection: Collection) -> dict[int, tuple]:
    rows = collection.rows("SELECT face, outcome, label, reason FROM current_settled")
    return {row["face"]: tuple(row)[1:] for row in rows}


def usages(collection: Collection) -> dict[int, str]:
    return dict(collection.rows("SELECT face, usage FROM current_settled WHERE usage IS NOT NULL"))


ACCEPT, OTHER = ("accept", "frustration"), ("accept", "boredom")


@pytest.mark.parametrize(
    ("opinions", "outcome"),
    [
        ([ACCEPT], MergeVerdict("accepted", "frustration")),
        ([ACCEPT, ACCEPT], MergeVerdict("accepted", "frustration")),
        ([ACCEPT, OTHER], MergeVerdict("open", reason="disputed")),
        ([ACCEPT, ("unsure", None)], MergeVerdict("open", reason="unsure")),
        ([ACCEPT, ("reject", None)], MergeVerdict("rejected", reason="rejected")),
        ([("unsure", None), ("minor", None), ACCEPT], MergeVerdict("rejected", reason="apparent minor")),
        ([("duplicate", None)], MergeVerdict("rejected", reason="duplicate")),
    ],
)
def test_caution_wins(opinions, outcome):
    assert settle(opinions) == outcome
    assert settle(opinions[::-1]) == outcome


_ACTIONS = st.sampled_from([ACCEPT, OTHER, *((a, None) for a in ("reject", "unsure", "duplicate", "minor"))])


@given(st.lists(_ACTIONS, min_size=1, max_size=5), _ACTIONS)
def test_another_opinion_never_makes_an_outcome_bolder(opinions, another):
    order = ("accepted", "open", "rejected")
    assert order.index(settle([*opinions, another]).outcome) >= order.index(settle(opinions).outcome)


def test_the_latest_standing_decision_counts(collection):
    one, two, three, undecided = faces(collection, 4)
    decide(collection, one, "reject")
    decide(collection, one)
    decide(collection, two)
    decide(collection, two, "undo", undoes=decide(collection, two, "minor"))
    decide(collection, three, "undo", undoes=decide(collection, three))
    merge(collection)
    assert settled(collection) == {
        one: ("accepted", "frustration", None),
        two: ("accepted", "frustration", None),
    }
    assert undecided not in settled(collection)


def test_what_was_undone_after_it_was_merged_is_open_again(collection):
    (face,) = faces(collection, 1)
    event = decide(collection, face)
    assert merge(collection).accepted == 1
    decide(collection, face, "undo", undoes=event)
    assert merge(collection).accepted == 0
    assert settled(collection)[face] == ("open", None, "undone")


def test_a_face_that_is_found_to_be_a_copy_is_rejected(collection):
    (face,) = faces(collection, 1)
    decide(collection, face)
    merge(collection)
    with collection.writing():
        collection.add("deduped", {"face": face, "status": "copy", "reason": "in FER2013"})
    assert merge(collection).accepted == 0
    assert settled(collection)[face] == ("rejected", None, "found to be a copy")


def test_the_reviewers_clock_orders_what_comes_late(collection):
    (face,) = faces(collection, 1)
    decide(collection, face, "minor", time="2026-01-01T11:00:00.000Z")
    decide(collection, face, time="2026-01-01T10:00:00.000Z")
    merge(collection)
    assert settled(collection)[face] == ("rejected", None, "apparent minor")


def test_a_face_that_was_cut_out_anew_counts_once(collection):
    (face,) = faces(collection, 1)
    decide(collection, face)
    merge(collection)
    image, crop = collection.rows("SELECT image, crop FROM face")[0]
    add_detected(collection, image, np.frombuffer(crop, np.uint8).reshape(48, 48))
    dedupe(collection, fer2013=None)
    assert merge(collection).accepted == 0
    assert collection.value("SELECT count(*) FROM accepted_face") == 0


def test_a_second_annotator_and_pass_count_too(collection):
    same, other = faces(collection, 2)
    for face in (same, other):
        decide(collection, face)
    decide(collection, same, annotator="second", **{"pass": 2})
    decide(collection, other, label="boredom", annotator="second", **{"pass": 2})
    merge(collection)
    assert settled(collection)[same][0] == "accepted"
    assert settled(collection)[other] == ("open", None, "disputed")


def test_merging_again_changes_nothing(collection):
    for face in faces(collection, 20):
        decide(collection, face)
    assert merge(collection).changed == 20
    assert merge(collection).changed == 0
    assert collection.value("SELECT count(*) FROM settled") == 20


def test_each_class_is_dealt_in_its_shares(collection):
    for number, face in enumerate(faces(collection, 60)):
        decide(collection, face, label=("frustration", "boredom")[number % 3 == 0])
    merge(collection)
    counts = Counter(tuple(row) for row in collection.rows("SELECT label, usage FROM current_settled"))
    assert [counts["frustration", usage] for usage in USAGES] == [28, 6, 6]
    assert [counts["boredom", usage] for usage in USAGES] == [14, 3, 3]


def test_a_face_stays_in_its_split_when_more_are_collected(collection):
    for face in faces(collection, 20):
        decide(collection, face)
    merge(collection)
    before = usages(collection)
    for face in faces(collection, 30, first=100):
        decide(collection, face)
    merge(collection, seed=5)
    after = usages(collection)
    assert len(after) == 50
    assert {face: after[face] for face in before} == before


def alike(collection: Collection, face: int, other: int | None = None, usage: str | None = None) -> None:
    columns = {"other_face": other, "fer2013_digest": None if usage is None else "aa", "fer2013_usage": usage}
    with collection.writing():
        collection.add("likeness", {"face": face, **columns, "kind": "crop", "distance": 4, "mirrored": 0})


def test_alike_faces_share_a_split(collection):
    made = faces(collection, 30)
    for face in made:
        decide(collection, face)
    for face, other in pairwise(made[:13]):
        alike(collection, face, other)
    merge(collection)
    assert len({usages(collection)[face] for face in made[:13]}) == 1
    clusters = dict(collection.rows("SELECT face, cluster FROM current_settled"))
    assert {clusters[face] for face in made[:13]} == {made[0]}
    assert len(set(clusters.values())) == 18


def test_faces_that_are_found_alike_later_come_together(collection):
    made = faces(collection, 20)
    for face in made:
        decide(collection, face)
    merge(collection)
    before = usages(collection)
    training = next(face for face in made if before[face] == "Training")
    test = next(face for face in made if before[face] == "PrivateTest")
    alike(collection, training, test)
    assert merge(collection).changed >= 1
    assert usages(collection)[training] == usages(collection)[test] == "PrivateTest"


@pytest.mark.parametrize("usage", USAGES)
def test_a_face_like_a_row_of_fer2013_takes_its_split(collection, usage):
    made = faces(collection, 5)
    for face in made:
        decide(collection, face)
        alike(collection, face, usage=usage)
    merge(collection)
    assert set(usages(collection).values()) == {usage}


def test_shares_are_made_up_from_any_start():
    counts = Counter({"Training": 10})
    for _ in range(90):
        counts[most_wanted(counts)] += 1
    assert [counts[usage] for usage in USAGES] == [70, 15, 15]
