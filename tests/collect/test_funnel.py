import csv

import pytest
from collect_rows import add_candidate, add_detected, add_face, add_fetch, add_page, add_picture, decide, drawn
from conftest import shown

from fer_lightning.collect.steps import tally
from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.merge import merge
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.funnel import STAGES, funnels, lost, total


@pytest.fixture
def collection(tmp_path):
    """An image for every end that one can come to."""
    with Collection(tmp_path) as opened:
        page, other = add_page(opened), add_page(opened, query="wütend", language="de")
        add_candidate(opened, page)
        add_fetch(opened, add_candidate(opened, page), None, "failed", reason="timed out")
        add_fetch(opened, add_candidate(opened, page), None, "refused", reason="opted out")
        add_fetch(opened, add_candidate(opened, page), "aa", "refused", stage="decode", reason="truncated")
        image = add_picture(opened, drawn(50))
        add_fetch(opened, add_candidate(opened, page), image)
        add_fetch(opened, add_candidate(opened, other), image)
        no_face = add_picture(opened, drawn(51))
        add_fetch(opened, add_candidate(opened, other), no_face)
        add_detected(opened, no_face, None, reason="no face")
        kept = [add_face(opened, page, drawn(seed)) for seed in (1, 1, 2, 3, 4)]
        dedupe(opened, fer2013=None)
        decide(opened, kept[0])
        decide(opened, kept[2], "minor")
        decide(opened, kept[3], "unsure")
        merge(opened)
        with opened.writing():
            first = opened.value("SELECT min(candidate) FROM fetch WHERE status = 'stored'")
            opened.add("finding", {"page": other, "candidate": first, "rank": 1})
        yield opened


def test_every_candidate_has_one_end_under_the_query_that_found_it_first(collection):
    whole = total(funnels(collection))
    assert whole.reached["found"] == collection.value("SELECT count(*) FROM candidate") == 12
    assert whole.losses.total() + whole.reached["accepted"] == whole.reached["found"]
    english, german = funnels(collection)
    assert (english.query, english.language) == ("frustrated person", "en")
    assert dict(english.losses) == {
        ("fetched", "waiting for fetch"): 1,
        ("fetched", "timed out"): 1,
        ("fetched", "opted out"): 1,
        ("decoded", "truncated"): 1,
        ("face", "waiting for detect"): 1,
        ("unique", "same image"): 1,
        ("accepted", "apparent minor"): 1,
        ("accepted", "unsure"): 1,
        ("accepted", "waiting for review"): 1,
    }
    assert dict(german.losses) == {("face", "same file as another"): 1, ("face", "no face"): 1}
    assert [english.reached[stage] for stage in STAGES] == [10, 7, 6, 5, 4, 1]


def test_of_one_emotion_alone(collection):
    assert funnels(collection, emotion="boredom") == []
    assert len(funnels(collection, emotion="frustration")) == 2


def test_a_later_attempt_replaces_an_earlier_one(collection):
    failed = collection.value("SELECT candidate FROM fetch WHERE reason = 'timed out'")
    add_fetch(collection, failed, "bb", "refused", stage="decode", reason="animated")
    losses = total(funnels(collection)).losses
    assert losses["decoded", "animated"] == 1
    assert ("fetched", "timed out") not in losses


def test_tables_say_it(collection):
    parts = funnels(collection)
    table = shown(tally.funnel_table(parts))
    assert "wütend (de)" in table
    assert "12" in next(line for line in table.splitlines() if "all" in line)
    losses = shown(tally.loss_table(total(parts)))
    assert "apparent minor" in losses
    classes = shown(tally.class_table(tally.classes(collection)))
    assert "frustration" in classes


def test_a_file_has_each_querys_losses(collection, tmp_path):
    tally.write_funnel(tmp_path / "funnel.csv", funnels(collection))
    rows = list(csv.DictReader((tmp_path / "funnel.csv").open()))
    german = {(row["stage"], row["because"]): row["pictures"] for row in rows if row["language"] == "de"}
    assert german["found", ""] == "2"
    assert german["lost before face", "no face"] == "1"


def test_a_file_names_each_lost_picture(collection, tmp_path):
    pictures = lost(collection)
    assert len(pictures) == 11
    tally.write_lost(tmp_path / "lost.csv", pictures)
    rows = list(csv.DictReader((tmp_path / "lost.csv").open()))
    (truncated,) = (row for row in rows if row["because"] == "truncated")
    assert truncated["picture"].startswith("https://pictures.example/")
    assert truncated["lost before"] == "decoded"


def test_names_of_folders_are_no_markup(collection):
    add_candidate(collection, add_page(collection, query="p [old]"))
    assert "p [old]" in shown(tally.funnel_table(funnels(collection)))
