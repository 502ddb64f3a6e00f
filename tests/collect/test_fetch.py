import errno
import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from collect_server import (
    ATTACKS,
    BAD_PICTURES,
    GOOD,
    ImageHost,
    drawn,
    encoded,
    gzip_bomb,
    picture,
    send,
    status,
    with_place,
)
from disks import small_disk
from PIL import Image, JpegImagePlugin

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.images.hashes import as_hash, both_hashes
from fer_lightning.collect.steps import fetch as fetch_module
from fer_lightning.collect.steps.fetch import OFFLINE_AFTER, FetchResult, fetch
from fer_lightning.collect.steps.verify import verify
from fer_lightning.collect.store.attempts import ATTEMPTS
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.denied import creator_value, url_value
from fer_lightning.errors import UserError

TESTS = Path(__file__).resolve().parent.parent
SOON = 15.0
MIB = 1 << 20

STORED = ("stored", "decode", None)
# What becomes of everything that the server can do to its visitors.
EXPECTED = dict.fromkeys(GOOD, STORED) | {
    "/html.jpg": ("refused", "decode", "not an image"),
    "/svg.jpg": ("refused", "decode", "not an image"),
    "/eps.jpg": ("refused", "decode", "not an image"),
    "/bmp.jpg": ("refused", "decode", "not an image"),
    "/tiff.jpg": ("refused", "decode", "not an image"),
    "/moving.gif": ("refused", "decode", "not an image"),
    "/moving.png": ("refused", "decode", "animated"),
    "/moving.webp": ("refused", "decode", "animated"),
    "/cut.jpg": ("refused", "decode", "truncated"),
    "/cut.png": ("refused", "decode", "truncated"),
    "/cut.webp": ("refused", "decode", "truncated"),
    "/noise.jpg": ("refused", "decode", "unreadable"),
    "/pixel-bomb.png": ("refused", "decode", "too many pixels"),
    "/pixel-claim.png": ("refused", "decode", "too many pixels"),
    "/wide.png": ("refused", "decode", "too many pixels"),
    "/icon.png": ("refused", "decode", "too small"),
    "/to-private.jpg": ("refused", "fetch", "private address"),
    "/to-metadata.jpg": ("refused", "fetch", "private address"),
    "/to-file.jpg": ("refused", "fetch", "bad address"),
    "/to-port.jpg": ("refused", "fetch", "bad address"),
    "/to-elsewhere.jpg": ("failed", "fetch", "robots.txt unknown"),
    "/in-a-circle.jpg": ("refused", "fetch", "too many redirects"),
    "/once-more.jpg": STORED,
    "/endless-redirect.jpg": STORED,
    "/drips-its-body.jpg": ("failed", "fetch", "too slow"),
    "/drips-its-head.jpg": ("failed", "fetch", "too slow"),
    "/never-answers.jpg": ("failed", "fetch", "too slow"),
    "/endless.jpg": ("refused", "fetch", "too large"),
    "/endless-in-chunks.jpg": ("refused", "fetch", "too large"),
    "/gzip-bomb.jpg": ("refused", "fetch", "too large"),
    "/gzip-in-gzip.jpg": ("refused", "fetch", "too large"),
    "/claims-much.jpg": ("refused", "fetch", "too large"),
    "/sends-too-little.jpg": ("failed", "fetch", "truncated"),
    "/sends-too-much.jpg": ("refused", "decode", "truncated"),
    "/sends-nothing.jpg": ("failed", "fetch", "truncated"),
    "/breaks-off.jpg": ("failed", "fetch", "truncated"),
    "/speaks-no-http.jpg": ("failed", "fetch", "connection failed"),
    "/opted-out.jpg": ("refused", "fetch", "opted out"),
    "/forbidden.jpg": ("refused", "fetch", "forbidden"),
    "/broken.jpg": ("failed", "fetch", "server error"),
}


def client(**options) -> ImageClient:
    usual = {"user_agent": "fer_lightning/0.1 (someone@example.org)", "allow_loopback": True, "deadline": 20}
    return ImageClient(**usual | {"requests_per_second": 1e9, "sleep": lambda seconds: None} | options)


def run(collection, **options) -> FetchResult:
    usual = {"client": client(), "provider": "web", "hosts": None}
    return fetch(collection, **usual | options)


def offer(collection, *urls, **columns) -> None:
    with collection.writing():
        for url in urls:
            number = collection.value("SELECT count(*) FROM candidate")
            row = {"provider": "web", "provider_id": str(number), "image_url": url}
            collection.add("candidate", row | columns)


def latest(collection, url) -> sqlite3.Row:
    query = "SELECT fetch.* FROM fetch JOIN candidate ON candidate.id = candidate WHERE image_url = ? ORDER BY fetch.id"
    return collection.rows(query, url)[-1]


def outcome(collection, url) -> tuple:
    row = latest(collection, url)
    return row["status"], row["stage"], row["reason"]


def stored_file(collection, url) -> Path:
    return collection.file(
        collection.value("SELECT file FROM picture WHERE image = ?", latest(collection, url)["image"])
    )


def assert_whole(collection) -> None:
    """Each image has its file, each stored row its image, each candidate at most one stored row."""
    for row in collection.rows("SELECT * FROM picture"):
        assert hashlib.sha256(collection.file(row["file"]).read_bytes()).hexdigest() + ".jpg" == row["file"]
    rows = collection.rows("SELECT * FROM fetch WHERE status = 'stored'")
    assert {row["image"] for row in rows} == {row["image"] for row in collection.rows("SELECT image FROM picture")}
    assert len({row["candidate"] for row in rows}) == len(rows)


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path / "collection") as collection:
        yield collection


# -- every attack, with a good image between each two


def test_every_attack_of_the_server_is_expected():
    assert set(EXPECTED) == {*GOOD, *BAD_PICTURES, *ATTACKS}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """(host, collection, counts, seconds) after one call; the image beside the n-th attack is /good/n.jpg."""
    for path in (*GOOD, *BAD_PICTURES):
        picture(path)  # some take a while to make
    gzip_bomb()
    with ImageHost() as host, Collection(tmp_path_factory.mktemp("attacked")) as collection:
        for number, path in enumerate(EXPECTED):
            offer(collection, host.url(path), host.url(f"/good/{number}.jpg"))
        began = time.monotonic()
        result = run(collection, client=client(deadline=4, connections_per_host=4))
        yield host, collection, result, time.monotonic() - began


@pytest.mark.parametrize("path", EXPECTED)
def test_each_attack_ends_as_it_should_and_the_run_goes_on(path, attacked):
    host, collection, *_ = attacked
    assert outcome(collection, host.url(path)) == EXPECTED[path]
    neighbour = host.url(f"/good/{list(EXPECTED).index(path)}.jpg")
    assert outcome(collection, neighbour) == STORED


def test_all_of_them_are_counted_and_take_no_longer_than_their_deadlines(attacked):
    _, collection, result, seconds = attacked
    counts = Counter(status for status, *_ in EXPECTED.values())
    assert result == FetchResult(counts["stored"] + len(EXPECTED), counts["refused"], counts["failed"])
    assert seconds < 60
    assert_whole(collection)
    assert not list(collection.root.rglob("*.tmp"))


def test_the_attacks_are_tried_again_only_where_it_may_help(attacked):
    host, collection, *_ = attacked
    before = len(host.requests)
    run(collection, client=client(deadline=0.5, attempts=1))
    tried = {path for path in host.paths()[before:] if path != "/robots.txt"}
    failed = {path for path, (status, *_) in EXPECTED.items() if status == "failed"}
    assert tried == failed


@pytest.mark.slow
def test_memory_stays_small_whatever_comes(tmp_path):
    bombs = ["/gzip-bomb.jpg", "/gzip-in-gzip.jpg", "/pixel-bomb.png", "/pixel-claim.png", "/endless.jpg"]
    bombs += ["/endless-in-chunks.jpg", "/claims-much.jpg", "/endless-redirect.jpg", "/large.jpg"]
    sixteen = io.BytesIO()
    Image.fromarray(np.zeros((5000, 8000), np.uint16)).save(sixteen, "PNG", compress_level=1)
    gzip_bomb()
    with ImageHost() as host, Collection(tmp_path) as collection:
        host.add("/forty-million.png", sixteen.getvalue())
        offer(collection, *(host.url(path) for path in [*bombs, "/forty-million.png"] * 2))
        used = in_a_process(tmp_path, deadline=10)
    assert used["own"] < 300 * MIB
    assert used["decoder"] < 400 * MIB
    assert used["stored"] == 6


def in_a_process(root: Path, deadline: float) -> dict:
    command = [sys.executable, str(TESTS / "helpers" / "collect_fetch_process.py"), str(root), str(deadline)]
    ended = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=200, env=environment())
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}


# -- what is kept


def test_a_row_says_what_came(collection, image_host):
    body = encoded(drawn(1))
    image_host.add(
        "/a.jpg", body, ETag='"1"', Last_Modified="yesterday", X_Robots_Tag="nofollow", Content_Type="text/html"
    )
    offer(collection, image_host.url("/b.jpg"))
    image_host.add("/b.jpg", lambda handler: send(handler, b"", status=302, Location="/a.jpg"))
    run(collection)
    row = latest(collection, image_host.url("/b.jpg"))
    assert row["image"] == hashlib.sha256(body).hexdigest()
    assert (row["bytes"], row["http_status"], row["content_type"]) == (len(body), 200, "text/html")
    assert (row["etag"], row["last_modified"], row["x_robots_tag"]) == ('"1"', "yesterday", "nofollow")
    assert row["final_url"] == image_host.url("/a.jpg")


def test_a_picture_is_described_as_it_came_and_as_it_is_stored(collection, image_host):
    image_host.add("/a.png", encoded(drawn(2, 2000, 1000), "PNG"))
    offer(collection, image_host.url("/a.png"))
    run(collection)
    (row,) = collection.rows("SELECT * FROM picture")
    assert (row["format"], row["width"], row["height"]) == ("PNG", 2000, 1000)
    assert (row["stored_width"], row["stored_height"]) == (1280, 640)
    with Image.open(collection.file(row["file"])) as stored:
        assert stored.size == (1280, 640)
        assert JpegImagePlugin.get_sampling(stored) == 0  # 4:4:4
        grey = np.asarray(stored.convert("L"))
    assert (as_hash(row["phash"]), as_hash(row["phash_mirrored"])) == both_hashes(grey)


def segments(jpeg: bytes) -> set[int]:
    """The second bytes of the markers before the pixels."""
    found, place = set(), 2
    while jpeg[place + 1] != 0xDA:
        assert jpeg[place] == 0xFF
        found.add(jpeg[place + 1])
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return found


@pytest.mark.parametrize("path", ["/place.jpg", "/turned.jpg", "/two-in-one.jpg", "/grey.jpg", "/cmyk.jpg"])
def test_what_is_stored_holds_pixels_alone(path, attacked):
    host, collection, *_ = attacked
    data = stored_file(collection, host.url(path)).read_bytes()
    quantisation_frame_and_tables = {0xDB, 0xC0, 0xC4}
    assert segments(data) == {0xE0} | quantisation_frame_and_tables  # and JFIF's own head: no EXIF, profile, comment
    assert all(secret not in data for secret in (b"Exif", b"Secret", b"ICC", b"script", b"Adobe", b"PK\x03\x04"))
    with Image.open(io.BytesIO(data)) as stored:
        assert set(stored.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_picture_is_stored_as_it_is_to_be_looked_at(attacked):
    host, collection, *_ = attacked
    upright = np.asarray(drawn(19).transpose(Image.Transpose.ROTATE_270)).astype(int)
    with Image.open(stored_file(collection, host.url("/turned.jpg"))) as stored:
        assert np.abs(np.asarray(stored).astype(int) - upright).mean() < 4
    with Image.open(stored_file(collection, host.url("/grey.jpg"))) as stored:
        assert stored.mode == "L"


def test_no_path_is_made_of_what_came(collection, image_host):
    path = "/..%2F..%2Fevil.jpg"
    image_host.add(path, encoded(drawn(3)), Content_Disposition='attachment; filename="../../evil.jpg"')
    offer(collection, image_host.url(path), title="../../evil", provider_id="../../evil")
    run(collection)
    files = [path for path in (collection.root / "files").rglob("*") if path.is_file()]
    assert len(files) == 1
    assert not list(collection.root.parent.rglob("*evil*"))


def test_the_same_bytes_are_one_picture(collection, image_host):
    for path in ("/a.jpg", "/b.jpg", "/c.jpg"):
        image_host.add(path, encoded(drawn(4)))
    offer(collection, image_host.url("/a.jpg"), image_host.url("/b.jpg"))
    assert run(collection) == FetchResult(2, 0, 0)
    offer(collection, image_host.url("/c.jpg"))
    assert run(collection) == FetchResult(1, 0, 0)
    assert collection.value("SELECT count(*) FROM picture") == 1
    assert_whole(collection)


def test_only_what_the_provider_offered(collection, image_host):
    offer(collection, image_host.url("/good/1.jpg"))
    offer(collection, image_host.url("/good/2.jpg"), provider="other")
    assert run(collection, provider="other") == FetchResult(1, 0, 0)
    assert "/good/1.jpg" not in image_host.paths()


def test_pictures_come_from_the_providers_hosts_alone(collection, image_host):
    offer(collection, image_host.url("/good/1.jpg"), "http://pictures.example/1.jpg")
    run(collection, hosts=("127.0.0.1",))
    assert outcome(collection, image_host.url("/good/1.jpg")) == STORED
    assert outcome(collection, "http://pictures.example/1.jpg") == ("refused", "fetch", "host not allowed")
    assert image_host.paths() == ["/good/1.jpg"]


# -- again


def test_what_is_done_is_not_done_again(collection, image_host):
    offer(collection, image_host.url("/good/1.jpg"), image_host.url("/cut.jpg"), image_host.url("/forbidden.jpg"))
    run(collection)
    before = len(image_host.requests), collection.value("SELECT count(*) FROM fetch")
    assert run(collection) == FetchResult(0, 0, 0)
    assert (len(image_host.requests), collection.value("SELECT count(*) FROM fetch")) == before


def test_what_failed_is_tried_by_four_calls(collection, image_host):
    offer(collection, image_host.url("/broken.jpg"))
    for _ in range(4):
        assert run(collection, client=client(attempts=1)) == FetchResult(0, 0, 1)
    assert run(collection) == FetchResult(0, 0, 0)
    assert collection.value("SELECT count(*) FROM fetch") == 4


def test_what_failed_may_be_had_later(collection, image_host):
    image_host.add("/a.jpg", status(500))
    offer(collection, image_host.url("/a.jpg"))
    run(collection)
    image_host.add("/a.jpg", encoded(drawn(5)))
    assert run(collection) == FetchResult(1, 0, 0)
    assert outcome(collection, image_host.url("/a.jpg")) == STORED


# -- files that were lost


def lose(collection, url) -> Path:
    path = stored_file(collection, url)
    path.unlink()
    assert len(verify(collection).faults) == 1
    return path


def test_a_lost_file_comes_back_with_the_same_bytes_and_counts_no_attempt(collection, image_host):
    url = image_host.url("/good/1.jpg")
    offer(collection, url, image_host.url("/good/2.jpg"))
    for _ in range(ATTEMPTS + 1):
        run(collection)
        lose(collection, url)
    assert run(collection) == FetchResult(1, 0, 0)
    assert collection.value("SELECT count(*) FROM picture") == 2
    assert verify(collection).faults == []


def test_a_lost_file_that_another_candidate_brings_is_written_once(collection, image_host):
    for path in ("/a.jpg", "/b.jpg"):
        image_host.add(path, encoded(drawn(4)))
    offer(collection, image_host.url("/a.jpg"), image_host.url("/b.jpg"))
    run(collection)
    path = lose(collection, image_host.url("/a.jpg"))
    assert run(collection) == FetchResult(2, 0, 0)
    assert path.is_file()
    assert collection.value("SELECT count(*) FROM picture") == 1


def test_a_lost_file_is_never_replaced_by_another(collection, image_host, monkeypatch):
    url = image_host.url("/good/1.jpg")
    offer(collection, url)
    run(collection)
    path = lose(collection, url)
    monkeypatch.setattr(fetch_module, "JPEG_QUALITY", 90)
    assert run(collection) == FetchResult(0, 0, 1)
    assert outcome(collection, url) == ("failed", "decode", "other bytes")
    assert path.name in latest(collection, url)["detail"]
    assert not [path for path in (collection.root / "files").rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert run(collection) == FetchResult(1, 0, 0)
    assert verify(collection).faults == []


# -- what must not be collected


@pytest.mark.parametrize(
    ("columns", "kind", "value"),
    [
        ({}, "url", "{url}"),
        ({"landing_url": "https://pictures.example/7"}, "url", "pictures.example/7/"),
        ({"creator": "Some One"}, "creator", "some  one"),
        ({"creator_url": "https://people.example/1"}, "creator", "https://people.example/1"),
    ],
)
def test_what_is_denied_is_not_even_asked_for(columns, kind, value, collection, image_host):
    url = image_host.url("/good/1.jpg")
    offer(collection, url, **columns)
    hashed = {"url": url_value, "creator": creator_value}[kind](value.format(url=url))
    with collection.writing():
        collection.add("denied", {"kind": kind, "value": hashed})
    assert run(collection) == FetchResult(0, 1, 0)
    assert outcome(collection, url) == ("refused", "fetch", "denied")
    assert image_host.requests == []


@pytest.mark.parametrize("form", ["bytes", "smaller", "mirrored"])
def test_a_denied_picture_is_not_kept_in_any_form(form, collection, image_host):
    known = drawn(6)
    came = {"smaller": known.resize((320, 240)), "mirrored": known.transpose(Image.Transpose.FLIP_LEFT_RIGHT)}
    body = encoded(came.get(form, known))
    image_host.add("/a.jpg", body)
    offer(collection, image_host.url("/a.jpg"), image_host.url("/good/1.jpg"))
    with collection.writing():
        if form == "bytes":
            collection.add("denied", {"kind": "image", "value": hashlib.sha256(body).hexdigest()})
        else:
            value = both_hashes(np.asarray(known.convert("L")))[0]
            collection.add("denied", {"kind": "picture", "value": str(value)})
    assert run(collection) == FetchResult(1, 1, 0)
    assert outcome(collection, image_host.url("/a.jpg")) == ("refused", "decode", "denied")
    assert len([path for path in (collection.root / "files").rglob("*") if path.is_file()]) == 1


# -- files of this machine


def test_local_files_take_the_same_way(collection, tmp_path):
    folder = tmp_path / "pictures #1?"
    folder.mkdir()
    (folder / "gön 100%.jpg").write_bytes(with_place(drawn(7), orientation=6))
    (folder / "page.jpg").write_bytes(b"<html>")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    with open(folder / "large.jpg", "wb") as file:
        file.truncate(16_000_000)
    (folder / "link.jpg").symlink_to(folder / "gön 100%.jpg")
    names = ["gön 100%.jpg", "link.jpg", "page.jpg", "folder.jpg", "pipe.jpg", "large.jpg", "missing.jpg"]
    urls = [(folder / name).as_uri() for name in names]
    offer(collection, *urls, "file:///dev/zero", provider="local")
    run(collection, provider="local")
    assert [outcome(collection, url) for url in [*urls, "file:///dev/zero"]] == [
        STORED,
        STORED,
        ("refused", "decode", "not an image"),
        ("refused", "fetch", "not a file"),
        ("refused", "fetch", "not a file"),
        ("refused", "fetch", "too large"),
        ("failed", "fetch", "unreadable file"),
        ("refused", "fetch", "not a file"),
    ]
    assert_whole(collection)
    (row,) = collection.rows("SELECT * FROM picture")
    assert (row["stored_width"], row["stored_height"]) == (480, 640)


def test_a_manifest_may_name_addresses_too(collection, image_host):
    offer(collection, image_host.url("/good/1.jpg"), provider="local")
    assert run(collection, provider="local") == FetchResult(1, 0, 0)


def test_no_other_provider_can_have_a_file_of_this_machine_read(collection, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(8)))
    url = (tmp_path / "a.jpg").as_uri()
    offer(collection, url)
    run(collection)
    assert outcome(collection, url) == ("refused", "fetch", "bad address")


# -- stopping


def test_a_full_disk_ends_the_step_in_words_and_loses_nothing(tmp_path, image_host):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    with small_disk(tmp_path / "disk", "8m") as disk, Collection(disk / "collection") as collection:
        for number in range(12):
            image_host.add(f"/{number}.jpg", encoded(Image.fromarray(np.roll(noise, 50 * number))))
            offer(collection, image_host.url(f"/{number}.jpg"))
        with pytest.raises(UserError, match=r"No space left on device|disk is full"):
            run(collection)
        kept = collection.value("SELECT count(*) FROM picture")
        assert 0 < kept < 12
        assert collection.value("SELECT count(*) FROM fetch WHERE status <> 'stored'") == 0
        assert_whole(collection)


def test_a_file_that_cannot_be_written_is_no_fault_of_the_picture(collection, image_host, monkeypatch):
    offer(collection, image_host.url("/good/1.jpg"))

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("fer_lightning.collect.steps.fetch.write_atomically", full)
        with pytest.raises(UserError, match=r"No space left on device.*same command again"):
            run(collection)
    assert collection.value("SELECT count(*) FROM fetch") == 0
    assert run(collection) == FetchResult(1, 0, 0)


NOBODY = "http://127.0.0.1:1/{}.jpg"


@pytest.mark.parametrize("pictures", [OFFLINE_AFTER - 1, OFFLINE_AFTER + 30])
def test_a_machine_without_a_network_uses_no_attempt_up(pictures, collection, tmp_path):
    """Neither does it where files of this machine are found in between."""
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(9)))
    urls = [NOBODY.format(number) for number in range(pictures)]
    offer(collection, *urls[:5], (tmp_path / "a.jpg").as_uri(), *urls[5:], provider="local")
    here = {"provider": "local", "hosts": ("127.0.0.1",)}
    if pictures < OFFLINE_AFTER:
        assert run(collection, **here) == FetchResult(1, 0, pictures)
    else:
        with pytest.raises(UserError, match=r"Check the network connection.* detect dedupe review"):
            run(collection, **here)
    assert collection.value("SELECT count(*) FROM fetch WHERE status <> 'stored'") == 0


def test_a_host_that_is_gone_uses_attempts_up_while_others_answer(collection, image_host):
    gone = [NOBODY.format(number) for number in range(7)]
    offer(collection, *gone[:4], image_host.url("/good/1.jpg"), *gone[4:])
    assert run(collection, at_once=1, hosts=("127.0.0.1",)) == FetchResult(1, 0, 7)
    assert collection.value("SELECT count(*) FROM fetch WHERE status = 'failed'") == 7


def test_many_files_of_a_host_that_is_gone_do_not_stop_the_others(collection, image_host):
    gone = [NOBODY.format(number) for number in range(2 * OFFLINE_AFTER + 5)]
    offer(collection, *gone, *(image_host.url(f"/good/{number}.jpg") for number in range(3)))
    assert run(collection, at_once=1, hosts=("127.0.0.1",)) == FetchResult(3, 0, len(gone))
    assert collection.value("SELECT count(*) FROM fetch WHERE status = 'failed'") == len(gone)


def test_a_network_that_is_lost_under_way_uses_no_attempt_up(collection):
    def lose(done, total):
        if done == 3:
            network.close()

    with ExitStack() as network:
        image_host = network.enter_context(ImageHost())
        late = [NOBODY.format(number) for number in range(OFFLINE_AFTER + 20)]
        offer(collection, NOBODY.format("early"), image_host.url("/good/1.jpg"), *late)
        with pytest.raises(UserError, match="no host answered the last"):
            run(collection, at_once=1, hosts=("127.0.0.1",), progress=lose)
    assert outcome(collection, image_host.url("/good/1.jpg")) == STORED
    assert collection.value("SELECT count(*) FROM fetch WHERE status = 'failed'") in (1, 2)  # two are under way


@pytest.mark.slow
def test_ctrl_c_stops_at_once_and_the_next_call_goes_on(collection, image_host):
    offer(collection, image_host.url("/never-answers.jpg"))
    offer(collection, *(image_host.url(f"/good/{number}.jpg") for number in range(20)))

    def interrupt(done, total):
        assert total == 21
        if done == 3:
            assert "/never-answers.jpg" in image_host.paths()  # and is still waited for
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(collection, client=client(deadline=60, timeout=60), progress=interrupt)
    assert time.monotonic() - began < SOON
    assert collection.value("SELECT count(*) FROM fetch") == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]
    assert run(collection, client=client(deadline=1)) == FetchResult(17, 0, 1)
    assert_whole(collection)


def kill_and_go_on(root: Path, kills: int, pictures: int, seed: int) -> None:
    """kill -9 at random moments of the step, then let it finish. The host gives 80 images a second at most."""
    moments = random.Random(seed)

    def slowly(body):
        return lambda handler: (time.sleep(0.05), send(handler, body))

    with ImageHost() as host, Collection(root) as collection:
        for number in range(pictures):
            host.add(f"/{number}.jpg", slowly(encoded(drawn(number, 160, 120))))
            offer(collection, host.url(f"/{number}.jpg"))
        command = [sys.executable, str(TESTS / "helpers" / "collect_fetch_process.py"), str(root), "20"]
        done = 0
        for _ in range(kills):
            with subprocess.Popen(command, cwd=TESTS.parent, stdout=subprocess.PIPE, env=environment()) as process:
                assert process.stdout.readline() == b"begun\n"
                while process.poll() is None and collection.value("SELECT count(*) FROM fetch") == done:
                    time.sleep(0.01)
                time.sleep(moments.uniform(0, 0.3))
                os.kill(process.pid, signal.SIGKILL)
            assert_whole(collection)
            before, done = done, collection.value("SELECT count(*) FROM fetch")
            assert before < done < pictures
        in_a_process(root, deadline=20)
        assert_whole(collection)
        assert collection.value("SELECT count(*) FROM fetch WHERE status = 'stored'") == pictures
        assert collection.value("SELECT count(*) FROM picture") == pictures


@pytest.mark.slow
def test_kill_9_loses_nothing_and_doubles_nothing(tmp_path):
    kill_and_go_on(tmp_path, kills=3, pictures=150, seed=1)


@pytest.mark.long
def test_kill_9_at_many_moments(tmp_path):
    kill_and_go_on(tmp_path, kills=20, pictures=850, seed=2)
