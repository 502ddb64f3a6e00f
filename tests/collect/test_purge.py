import hashlib
from unicodedata import normalize

import pytest
from collect_rows import add_candidate, add_face, add_fetch, add_page, decide, drawn

from fer_lightning.collect.__main__ import main
from fer_lightning.collect.images.hashes import as_hash
from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.export import export
from fer_lightning.collect.steps.merge import images_of_minors, merge
from fer_lightning.collect.steps.purge import purge, require_finished
from fer_lightning.collect.steps.verify import verify
from fer_lightning.collect.store.collection import FILE, Collection
from fer_lightning.collect.store.denied import Denied
from fer_lightning.collect.store.funnel import funnels, total
from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError

STORES = {"out": "0123456789ab", "other": "ba9876543210"}  # names of stores of extra rows


@pytest.fixture
def collection(tmp_path):
    """Six faces: 1 and 2 by Ann, 3 by Bob, 4 a mirrored copy of 3 by Eve, 5 and 6 by others; all decided about."""
    with Collection(tmp_path) as opened:
        page = add_page(opened)
        ann = {"creator": "Ann Smith", "creator_url": "https://people.example/ann"}
        faces = [
            add_face(opened, page, drawn(1), **ann, title="A very private title"),
            add_face(opened, page, drawn(2), **ann),
            add_face(opened, page, drawn(3), creator="Bob", image_url="https://a.example/bob.jpg"),
            add_face(opened, page, drawn(3)[:, ::-1].copy(), creator="Eve"),
            add_face(opened, page, drawn(5)),
            add_face(opened, page, drawn(6)),
        ]
        dedupe(opened, fer2013=None)
        for face in faces:
            decide(opened, face)
        merge(opened)
        yield opened


def images(collection: Collection) -> list[str]:
    return [row["image"] for row in collection.rows("SELECT image FROM face ORDER BY id")]


def files(collection: Collection) -> set[str]:
    return {path.name for path in (collection.root / "files").glob("*/*")}


def test_a_picture_goes_with_every_copy_of_it(collection):
    before, third = files(collection), images(collection)[2]
    result = purge(collection, image=third[:10])
    assert (result.images, result.candidates, result.accepted) == (2, 2, 1)
    assert total(funnels(collection)).reached["found"] == 4
    assert files(collection) < before
    assert len(files(collection)) == 4
    assert verify(collection).faults == []


def test_what_was_purged_is_known_when_it_comes_back(collection):
    row = collection.rows("SELECT * FROM picture WHERE image = ?", images(collection)[2])[0]
    purge(collection, url="http://www.a.example/bob.jpg#top")
    denied = Denied.of(collection)
    assert denied.url("https://a.example/bob.jpg")
    assert denied.image(row["image"])
    plain, mirrored = as_hash(row["phash"]), as_hash(row["phash_mirrored"])
    assert denied.picture(plain ^ 0b1011, mirrored)
    assert denied.picture(mirrored, plain)
    assert not denied.creator("Bob")
    assert not denied.picture(plain ^ 0xFFFFFF, mirrored ^ 0xFFFFFF)


@pytest.mark.parametrize("creator", ["ann  SMITH", "https://people.example/ann"])
def test_a_creator_goes_with_all_pictures(collection, creator):
    assert purge(collection, creator=creator).images == 2
    assert Denied.of(collection).creator(creator)
    assert total(funnels(collection)).reached["found"] == 4


def test_a_creator_is_found_in_each_unicode_form(collection):
    page = collection.value("SELECT page.id FROM page ORDER BY id LIMIT 1")
    add_face(collection, page, drawn(7), creator=normalize("NFD", "José Núñez"))
    assert purge(collection, creator=normalize("NFC", "JOSÉ  Núñez")).images == 1
    denied = Denied.of(collection)
    assert denied.creator(normalize("NFC", "José Núñez"))
    assert denied.creator(normalize("NFD", "José Núñez"))


def test_a_creator_that_an_earlier_version_blocked_stays_blocked(collection):
    former = hashlib.sha256(normalize("NFD", "josé").encode()).hexdigest()
    with collection.writing():
        collection.add("denied", {"kind": "creator", "value": former, "reason": "asked"})
    assert Denied.of(collection).creator(normalize("NFC", "José"))


def test_images_of_apparent_minors_are_removed_together(collection):
    assert purge(collection, minors=True).images == 0
    second = images(collection)[1]
    decide(collection, 2, "minor")
    assert images_of_minors(collection) == {second}
    assert purge(collection, minors=True).images == 1
    assert second not in images(collection)
    assert Denied.of(collection).image(second)


def test_nothing_of_it_is_left_on_the_disk(collection):
    purge(collection, creator="Ann Smith")
    collection.close()
    content = b"".join(path.read_bytes() for path in collection.root.glob(f"{FILE}*"))
    assert b"Ann Smith" not in content
    assert b"very private" not in content
    assert b"Creator" in content


def test_who_is_not_here_yet_never_will_be(collection):
    result = purge(collection, creator="Zoe")
    assert (result.images, result.candidates) == (0, 0)
    assert Denied.of(collection).creator("zoe")


def test_addresses_are_one_however_they_are_typed(collection):
    purge(collection, url="HTTP://www.Example.org/a/b/#top")
    denied = Denied.of(collection)
    assert all(map(denied.url, ("https://example.org/a/b", "example.org/a/b#end", "http://EXAMPLE.org/a/b/")))
    assert not denied.url("https://example.org/A/b")


def test_other_pictures_of_the_same_page_may_still_come(collection):
    page = collection.value("SELECT landing_url FROM candidate ORDER BY id LIMIT 1")
    purge(collection, image=images(collection)[0])
    assert not Denied.of(collection).url(page)
    purge(collection, url=page)
    assert Denied.of(collection).url(page)


def test_copies_of_copies_go_too(tmp_path):
    with Collection(tmp_path / "chain") as chain:
        page = add_page(chain)
        kept = add_face(chain, page, drawn(1))
        copies = [add_face(chain, page, drawn(1)), add_face(chain, page, drawn(2))]
        dedupe(chain, fer2013=None)
        with chain.writing():
            chain.add("deduped", {"face": copies[1], "status": "copy", "reason": "same image", "kept_face": kept})
        assert purge(chain, image=images(chain)[1]).images == 3
        assert chain.value("SELECT count(*) FROM picture") == 0


def test_a_picture_that_was_purged_before_is_no_mistake(collection):
    third = images(collection)[2]
    purge(collection, image=third)
    assert purge(collection, image=third[:12]).candidates == 0


def test_pictures_that_are_alike_in_steps_go_together(tmp_path):
    """Faces before the search for copies: each is a copy of the next one only."""
    with Collection(tmp_path / "steps") as steps:
        page = add_page(steps)
        base = as_hash(0x0F0F_0F0F_0F0F_0F0F)
        hashes = [base, base ^ 0xFF, base ^ 0xFFFF]
        for value in hashes:
            add_face(steps, page, drawn(1))
            image = images(steps)[-1]
            row = dict(steps.rows("SELECT * FROM picture WHERE image = ?", image)[0])
            steps.database.execute("INSERT INTO purging VALUES (1)")
            steps.database.execute("PRAGMA foreign_keys = OFF")
            steps.database.execute("DELETE FROM picture WHERE image = ?", (image,))
            steps.database.execute("DELETE FROM purging")
            steps.add("picture", row | {"phash": value, "phash_mirrored": ~value & 0x7FFF_FFFF_FFFF_FFFF})
            steps.database.execute("PRAGMA foreign_keys = ON")
        assert purge(steps, image=images(steps)[0]).images == 3


def test_exports_and_stores_that_have_some_of_it_go(collection, tmp_path):
    export(collection, folder=tmp_path / "out", licensed_providers=("local",))
    export(collection, folder=tmp_path / "other", licensed_providers=("local",))
    (tmp_path / "other" / "provenance.csv").write_text("image_id\nnone of them\n")
    (tmp_path / "other" / "ATTRIBUTION.md").write_text("none of them\n")
    pixels = " ".join(map(str, drawn(99).ravel()))
    (tmp_path / "other" / "custom.csv").write_text(f"emotion,pixels\nfrustration,{pixels}\n")
    for folder in ("out", "other"):
        store = tmp_path / "fer2013" / f"extra-{STORES[folder]}"
        ingest(str(tmp_path / folder / "custom.csv"), str(store), "learning_game", deal_usage=True)
    (tmp_path / "fer2013" / "extra-images").mkdir()  # a folder of the user
    result = purge(collection, creator="Ann Smith", fer2013=tmp_path / "fer2013")
    assert result.exports == [tmp_path / "out"]
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "other" / "custom.csv").exists()
    assert result.stores == [tmp_path / "fer2013" / f"extra-{STORES['out']}"]
    left = {path.name for path in (tmp_path / "fer2013").iterdir()}
    assert left == {f"extra-{STORES['other']}", "extra-images"}


def test_the_same_purge_again_is_harmless(collection):
    purge(collection, creator="Ann Smith")
    rows = collection.value("SELECT count(*) FROM denied")
    purge(collection, creator="Ann Smith")
    assert collection.value("SELECT count(*) FROM denied") == rows


def test_a_purge_that_was_stopped_behind_the_files_is_finished_by_the_same_command(collection, monkeypatch, capsys):
    third = images(collection)[2]
    monkeypatch.setattr(
        "fer_lightning.collect.steps.purge._remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        purge(collection, image=third)
    monkeypatch.undo()
    assert Denied.of(collection).image(third)
    with pytest.raises(SystemExit):
        main(["export", f"root={collection.root}", "emotion=boredom"])
    assert "an earlier purge was stopped before its end" in capsys.readouterr().err
    assert purge(collection, image=third).images == 2
    require_finished(collection)
    assert verify(collection).faults == []


def test_other_pictures_and_decisions_stay(collection):
    purge(collection, creator="Ann Smith")
    assert merge(collection).accepted == 3
    assert collection.value("SELECT count(*) FROM decision") == 4


def test_ids_that_name_none_or_several_are_refused(collection):
    page = add_page(collection)
    for digits in ("ab" * 31 + "01", "ab" * 31 + "02"):
        image = add_candidate(collection, page)
        add_fetch(collection, image, digits)
        with collection.writing():
            columns = {"format": "JPEG", "width": 1, "height": 1, "stored_width": 1, "stored_height": 1}
            collection.add("picture", {"image": digits, "file": f"{digits}.jpg", **columns, "phash": 1 << 40,
                                       "phash_mirrored": 5})  # fmt: skip
    with pytest.raises(UserError, match="2 images"):
        purge(collection, image="abababab")
    with pytest.raises(UserError, match="no images"):
        purge(collection, image="00000000")
    with pytest.raises(UserError, match="8 to 64 hexadecimal digits"):
        purge(collection, image="*")
    assert collection.value("SELECT count(*) FROM denied") == 0


def test_only_purge_may_take_rows_away(collection):
    purge(collection, creator="Ann Smith")
    with pytest.raises(Exception, match="only purge deletes rows"):
        collection.database.execute("DELETE FROM face")
