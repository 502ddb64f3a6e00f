import pytest
from collect_rows import add_candidate, add_face, add_page, decide, drawn
from collect_runs import draw_pictures

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.providers.local import Local
from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.detect import detect
from fer_lightning.collect.steps.fetch import fetch
from fer_lightning.collect.steps.merge import merge
from fer_lightning.collect.steps.search import search
from fer_lightning.collect.steps.verify import pages_that_are_gone, verify
from fer_lightning.collect.store.collection import Collection
from fer_lightning.errors import UserError
from fer_lightning.faces.detector import WholePicture
from fer_lightning.faces.settings import FaceRules


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path) as opened:
        page = add_page(opened)
        for seed in (1, 2, 3):
            add_face(opened, page, drawn(seed))
        yield opened


def paths(collection: Collection):
    return [collection.file(row["file"]) for row in collection.rows("SELECT file FROM picture ORDER BY image")]


def test_a_whole_collection_has_no_fault(collection):
    seen = []
    result = verify(collection, progress=lambda done, total: seen.append((done, total)))
    assert (result.images, result.faults, result.strays) == (3, [], 0)
    assert seen[-1] == (3, 3)


def test_lost_and_changed_files_are_named_and_fetched_again(collection):
    lost, changed, _ = paths(collection)
    lost.unlink()
    changed.write_bytes(changed.read_bytes()[:-1])
    faults = verify(collection).faults
    assert len(faults) == 2
    assert any(str(lost) in fault and "missing" in fault for fault in faults)
    assert any(str(changed) in fault and "changed" in fault for fault in faults)
    assert not changed.exists()
    again = collection.rows("SELECT * FROM current_fetch WHERE status = 'failed'")
    assert len(again) == 2


def offered_by_a_host(collection, image_host, _):
    page = add_page(collection, provider="web")
    for number in range(4):
        url = image_host.url(f"/good/{number}.jpg")
        add_candidate(collection, page, provider="web", image_url=url)
    return {"provider": "web", "hosts": ("127.0.0.1",)}


def offered_by_a_folder(collection, _, folder):
    provider = Local(path=str(draw_pictures(folder, range(4))))
    search(collection, provider, [], target=1, emotion="boredom", config_hash="", version="")
    return {"provider": provider.name, "hosts": provider.hosts}


@pytest.mark.parametrize("offered", [offered_by_a_host, offered_by_a_folder])
def test_what_was_lost_is_whole_again_after_the_next_fetch(offered, tmp_path, image_host):
    with Collection(tmp_path / "collection") as collection:
        source = offered(collection, image_host, tmp_path / "folder")

        def get():
            client = ImageClient(user_agent="fer_lightning/test", allow_loopback=True, requests_per_second=1000)
            return fetch(collection, client=client, **source)

        def look():
            return detect(collection, detector=WholePicture(), rules=FaceRules(min_face_px=48))

        get()
        lost, changed, *_ = paths(collection)
        lost.unlink()
        changed.write_bytes(b"?")
        with pytest.raises(UserError, match=r"2 of 4 images .*The faces of the others are kept.*verify.*`fetch`"):
            look()
        assert len(verify(collection).faults) == 2
        assert look().faces == 0  # what is known to be lost is waited for
        assert get().stored == 2
        assert look().faces == 2
        assert verify(collection).faults == []
        assert collection.value("SELECT count(*) FROM picture") == 4
        assert collection.value("SELECT count(*) FROM current_face") == 4


def test_pages_that_are_gone_are_named(collection, image_host):
    page = add_page(collection)
    here = add_face(collection, page, drawn(11), landing_url=image_host.url("/good/1.jpg"))
    gone = add_face(collection, page, drawn(12), landing_url=image_host.url("/nowhere"))
    undecided = add_face(collection, page, drawn(13), landing_url=image_host.url("/nowhere-either"))
    dedupe(collection, fer2013=None)
    for face in (here, gone):
        decide(collection, face)
    merge(collection)
    client = ImageClient(user_agent="fer_lightning/test", allow_loopback=True, requests_per_second=1000)
    assert undecided
    ((image, address),) = pages_that_are_gone(collection, client=client)
    assert address == image_host.url("/nowhere")
    assert image == collection.value("SELECT image FROM face WHERE id = ?", gone)


def test_files_without_a_row_are_removed(collection):
    first = paths(collection)[0]
    (first.parent / f"{'0123' * 16}.jpg").write_bytes(b"left by a killed step")
    (first.parent / "mine.jpg").write_bytes(b"a file of the user, in a folder that had files/ before")
    (first.parent / f".{first.name}.12.tmp").write_bytes(b"half")
    assert verify(collection).strays == 2
    assert (first.parent / "mine.jpg").exists()
    assert all(path.exists() for path in paths(collection))
    assert verify(collection).strays == 0
