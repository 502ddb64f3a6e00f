import csv
import json
import re

import numpy as np
import pytest
from collect_rows import add_candidate, add_face, add_fetch, add_page, decide, drawn

from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.export import PROVENANCE_COLUMNS, NothingToExport, export
from fer_lightning.collect.steps.merge import merge
from fer_lightning.collect.steps.purge import purge
from fer_lightning.collect.steps.verify import verify
from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES, USAGES
from fer_lightning.wording import markdown

KNOWN = ("openverse", "local")


def filled(root, faces: dict[str, dict], label: str = "frustration") -> Collection:
    """A collection with an accepted face for each name, whose candidate has these columns."""
    collection = Collection(root)
    page = add_page(collection)
    for seed, (name, columns) in enumerate(faces.items()):
        face = add_face(collection, page, drawn(seed), **{"title": name, **columns})
        dedupe(collection, fer2013=None)
        decide(collection, face, label=label)
    merge(collection)
    return collection


def rows_of(path) -> list[dict]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_csv_has_the_crops_as_they_were_cut(tmp_path):
    with filled(tmp_path / "c", {str(number): {} for number in range(12)}) as collection:
        result = export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    rows = rows_of(tmp_path / "out" / "custom.csv")
    assert result.rows == len(rows) == 12
    assert list(rows[0]) == ["emotion", "pixels", "Usage", "source"]
    found = {np.array(row["pixels"].split(), np.uint8).tobytes() for row in rows}
    assert found == {drawn(number).tobytes() for number in range(12)}
    assert {row["Usage"] for row in rows} == set(USAGES)
    assert {row["emotion"] for row in rows} == {"frustration"}


@pytest.mark.parametrize("faces", [{"a": {}}, {}], ids=["faces", "nothing"])
def test_files_of_a_user_are_neither_replaced_nor_removed(faces, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "custom.csv").write_text("mine")
    with (
        filled(tmp_path / "c", faces) as collection,
        pytest.raises(UserError, match="which is not of an export"),
    ):
        export(collection, folder=tmp_path / "mine", licensed_providers=KNOWN)
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]


def test_export_is_read_as_extra_faces_and_keeps_its_splits(tmp_path):
    game = TAXONOMIES["learning_game"].classes
    lines = ["emotion,pixels,Usage"]
    for number in range(63):
        lines.append(f"{number % 7},{' '.join(map(str, drawn(500 + number).ravel()))},{USAGES[number // 7 % 3]}")
    (tmp_path / "fer2013.csv").write_text("\n".join(lines))
    ingest(str(tmp_path / "fer2013.csv"), str(tmp_path / "store"))
    with filled(tmp_path / "c", {str(number): {} for number in range(10)}) as collection:
        page = add_page(collection, query="bored person", emotion="boredom")
        for seed in range(100, 110):
            face = add_face(collection, page, drawn(seed))
            dedupe(collection, fer2013=None)
            decide(collection, face, label="boredom")
        merge(collection)
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        wanted = collection.rows("SELECT label, usage, count(*) AS n FROM current_settled GROUP BY 1, 2")
    table = load(str(tmp_path / "store"), "learning_game", str(tmp_path / "out" / "custom.csv"))
    for row in wanted:
        chosen = (table.labels == game.index(row["label"])) & (table.usage == USAGES.index(row["usage"]))
        assert chosen.sum() == row["n"]


GATE = {
    "free": ({"licence": "cc0"}, None),
    "credited": ({"licence": "by-sa"}, None),
    "nobody to credit": (
        {"licence": "by", "creator": None},
        "the licence requires a credit, but the creator is unknown",
    ),
    "non-commercial": ({"licence": "by-nc"}, "licence by-nc"),
    "no derivatives": ({"licence": "by-nd"}, "licence by-nd"),
    "unknown": ({"licence": "unknown"}, "licence unknown"),
    "none": ({"licence": None}, "licence unknown"),
    "restricted": ({"licence": "cc0", "restrictions": "personality"}, "restricted: personality"),
    "open web": ({"provider": "google", "licence": "cc0"}, "google does not state the licence"),
}


def test_the_gate_says_of_each_face_whether_it_may_be_published(tmp_path):
    with filled(tmp_path / "c", {name: columns for name, (columns, _) in GATE.items()}) as collection:
        result = export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        told = {row["title"]: row for row in rows_of(tmp_path / "out" / "provenance.csv")}
        assert result.rows == len(GATE)
        assert result.releasable == 2
        for name, (_, because) in GATE.items():
            assert told[name]["not_released_because"] == (because or "")
            assert told[name]["released"] == ("no" if because else "yes")
        released = export(collection, folder=tmp_path / "release", licensed_providers=KNOWN, release=True)
        assert {row["title"] for row in rows_of(tmp_path / "release" / "provenance.csv")} == {"free", "credited"}
        assert (released.rows, released.releasable) == (2, 2)
        assert sum(released.left_out.values()) == len(GATE) - 2
        private = export(
            collection, folder=tmp_path / "nc", licensed_providers=KNOWN, release=True, non_commercial=True
        )
        assert private.rows == 3


def sourced(root, **second) -> Collection:
    """A face whose image two candidates offer: freely, and as `second` says."""
    collection = filled(root, {"x": {"licence": "by"}})
    offered = add_candidate(collection, 1, **second)
    add_fetch(collection, offered, collection.value("SELECT image FROM picture"))
    return collection


@pytest.mark.parametrize(
    ("second", "releasable"),
    [
        ({"licence": "cc0"}, 1),
        ({"licence": "unknown"}, 1),
        ({"licence": "by-nc"}, 0),
        ({"licence": "cc0", "restrictions": "personality"}, 0),
        ({"provider": "google", "licence": "unknown", "restrictions": "personality"}, 0),
    ],
)
def test_what_one_source_forbids_is_forbidden(tmp_path, second, releasable):
    with sourced(tmp_path / "c", **second) as collection:
        result = export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    assert (result.rows, result.releasable) == (1, releasable)


@pytest.mark.parametrize(
    ("forbidden", "releasable"),
    [
        ({"licence": "cc0"}, 1),
        ({"licence": "unknown"}, 1),
        ({"licence": "by-nc"}, 0),
        ({"licence": "by-nd"}, 0),
        ({"licence": "cc0", "restrictions": "personality"}, 0),
    ],
)
def test_what_a_copy_forbids_is_forbidden(tmp_path, forbidden, releasable):
    """Providers offer the same work as other files. The last of three copies is set aside for the second."""
    with filled(tmp_path / "c", {"x": {"licence": "by"}}) as collection:
        first = collection.value("SELECT id FROM face")
        second = add_face(collection, 1, drawn(0), provider="openverse", licence="by")
        third = add_face(collection, 1, drawn(0), **forbidden)
        with collection.writing():
            for copy, kept in ((second, first), (third, second)):
                collection.add("deduped", {"face": copy, "status": "copy", "reason": "same image", "kept_face": kept})
        result = export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    assert (result.rows, result.releasable) == (1, releasable)


def test_a_corrected_licence_counts(tmp_path):
    with filled(tmp_path / "c", {"x": {"licence": "own"}}) as collection:
        assert export(collection, folder=tmp_path / "out", licensed_providers=KNOWN).releasable == 1
        with collection.writing():
            collection.add("licence", {"candidate": 1, "licence": "unknown"})
        assert export(collection, folder=tmp_path / "out", licensed_providers=KNOWN).releasable == 0


def test_a_face_whose_file_is_lost_is_still_exported(tmp_path):
    with filled(tmp_path / "c", {"x": {}}) as collection:
        collection.file(collection.value("SELECT file FROM picture")).unlink()
        verify(collection)
        assert export(collection, folder=tmp_path / "out", licensed_providers=KNOWN).rows == 1


def test_what_is_left_of_nothing_is_removed(tmp_path):
    with filled(tmp_path / "c", {"x": {"creator": "Bob"}}) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        with pytest.raises(NothingToExport, match=r"export\.release=false"):
            export(collection, folder=tmp_path / "out", release=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_provenance_names_all_that_a_row_came_from(tmp_path):
    with filled(tmp_path / "c", {"one": {}}) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        (row,) = rows_of(tmp_path / "out" / "provenance.csv")
        assert list(row) == [name for group in PROVENANCE_COLUMNS.values() for name in group]
        face = collection.rows("SELECT * FROM face")[0]
        assert (row["image_id"], row["crop_id"]) == (face["image"], face["crop_id"])
        assert (row["query"], row["weak_label"], row["label"]) == ("frustrated person", "frustration", "frustration")
        (decision,) = json.loads(row["decisions"])
        assert (decision["pass"], decision["annotator"], decision["action"]) == (1, "first", "accept")


def test_texts_of_strangers_do_no_harm(tmp_path):
    title, creator = '=HYPERLINK("http://x")', "[me](javascript:alert(1))<script>\n# big"
    columns = {
        "title": title,
        "creator": creator,
        "landing_url": "javascript:alert(1)",
        "creator_url": "https://a.b/(c)",
    }
    with filled(tmp_path / "c", {"x": columns}) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    (row,) = rows_of(tmp_path / "out" / "provenance.csv")
    assert row["title"].startswith("'=")
    credit = (tmp_path / "out" / "ATTRIBUTION.md").read_text()
    assert not re.search(r"(?<!\\)\]\(javascript", credit)
    assert "<script" not in credit
    assert "\n# big" not in credit
    assert "(https://a.b/%28c%29)" in credit
    assert "<script" not in (tmp_path / "out" / "DATASET_CARD.md").read_text()


def test_paths_of_this_machine_are_not_exported(tmp_path):
    with filled(
        tmp_path / "c", {"x": {"image_url": "file:///home/me/secret/1.jpg", "landing_url": None}}
    ) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    for path in (tmp_path / "out").iterdir():
        assert "secret" not in path.read_text()


def test_licences_are_credited_as_one_writes_them(tmp_path):
    with filled(
        tmp_path / "c", {"x": {"licence": "by-sa", "licence_version": "4.0"}, "y": {"licence": "cc0"}}
    ) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    credit = (tmp_path / "out" / "ATTRIBUTION.md").read_text()
    assert "[CC BY-SA 4.0](https://creativecommons.org/licenses/by/4.0/)" in credit
    assert "CC0" in credit


def test_markdown_of_strangers_is_plain_text():
    assert markdown("a*b_[c]\n|d|") == r"a\*b\_\[c\] \|d\|"


def test_card_says_what_it_is_and_what_is_not_known(tmp_path):
    with filled(tmp_path / "c", {str(number): {} for number in range(8)}) as collection:
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        card = (tmp_path / "out" / "DATASET_CARD.md").read_text()
        assert "Do not publish it" in card
        assert "the reliability of the labels is unknown" in card
        assert "| frustration |" in card
        assert "5(1)(f)" in card
        for face in collection.rows("SELECT face FROM current_settled"):
            decide(collection, face["face"], annotator="second", **{"pass": 2})
        merge(collection)
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN, release=True)
    card = (tmp_path / "out" / "DATASET_CARD.md").read_text()
    assert "decided twice" in card
    assert "release gate" in card
    assert "Do not publish it" not in card


def test_text_of_strangers_is_plain_in_the_card(tmp_path):
    with filled(tmp_path / "c", {"one": {}}) as collection:
        page = add_page(collection, query="[a](https://evil.example)|*b* <i>", emotion="boredom")
        face = add_face(collection, page, drawn(77))
        dedupe(collection, fer2013=None)
        decide(collection, face, label="boredom", annotator="a_b")
        merge(collection)
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    card = (tmp_path / "out" / "DATASET_CARD.md").read_text()
    assert r"| boredom | \[a\](https://evil.example)\|\*b\* &lt;i&gt; | en | 1 |" in card
    assert r"| pass 1 | a\_b | 1 |" in card


def test_only_the_classes_of_the_taxonomy_are_exported(tmp_path):
    with filled(tmp_path / "c", {"one": {}}) as collection:
        page = add_page(collection, query="distracted person", emotion="distracted")
        face = add_face(collection, page, drawn(77))
        dedupe(collection, fer2013=None)
        decide(collection, face, label="distracted")
        merge(collection)
        result = export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
        assert result.left_out == {"distracted is not a class of learning_game": 1}
        wider = export(
            collection, folder=tmp_path / "out", taxonomy="learning_game_distracted", licensed_providers=KNOWN
        )
        assert wider.rows == 2


def test_nothing_accepted_is_said_with_the_way_on(tmp_path):
    with (
        Collection(tmp_path / "c") as collection,
        pytest.raises(UserError, match=r"no face is accepted yet.*review"),
    ):
        export(collection, folder=tmp_path / "out")
    with (
        filled(tmp_path / "d", {"x": {"licence": "by-nd"}}) as collection,
        pytest.raises(UserError, match="licence by-nd"),
    ):
        export(collection, folder=tmp_path / "out", release=True, licensed_providers=KNOWN)


def test_what_was_purged_is_in_no_later_export(tmp_path):
    with filled(tmp_path / "c", {"keep": {"creator": "Ann"}, "go": {"creator": "Bob"}}) as collection:
        purge(collection, creator="Bob")
        export(collection, folder=tmp_path / "out", licensed_providers=KNOWN)
    for path in (tmp_path / "out").iterdir():
        assert "Bob" not in path.read_text()


def test_the_same_collection_gives_the_same_bytes(tmp_path):
    with filled(tmp_path / "c", {str(number): {} for number in range(12)}) as collection:
        first = export(collection, folder=tmp_path / "a", licensed_providers=KNOWN).sha256
        assert export(collection, folder=tmp_path / "b", licensed_providers=KNOWN).sha256 == first
        assert collection.value("SELECT count(*) FROM export WHERE sha256 = ?", first) == 2
