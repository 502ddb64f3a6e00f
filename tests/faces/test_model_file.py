"""YuNet's file: found, checked, copied and fetched, and each mistake told in words; mirrors are local servers."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from collect_portraits import MODEL, needs_model

from fer_lightning.errors import UserError
from fer_lightning.faces import model_file
from fer_lightning.faces.model_file import NAME, NoModel, copy_model, fetch_model, find_model, main, sha256

RIGHT = b"as if this were the network" * 100
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:8f23\nsize 232589\n"


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch):
    """RIGHT is the right file; nothing is where it is looked for."""
    monkeypatch.delenv(model_file.ENVIRONMENT, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(model_file, "SHA256", sha256(RIGHT))
    monkeypatch.setattr(model_file, "SIZE", len(RIGHT))
    monkeypatch.setattr(model_file, "FOLDER", tmp_path / "models")


@pytest.fixture
def mirror():
    """url(kind) of a local server that answers in that way; `asked` is what it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind = self.path[1:]
            server.asked.append(kind)
            if kind == "missing":
                self.send_error(404)
                return
            if kind == "silent":
                server.over.wait(20)
                return
            if kind == "dripping":
                with suppress(OSError):
                    self._drip(b"HTTP/1.0 200 OK\r\nX-Long: " + b"?" * 300)
                return
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self._body(kind)

        def _body(self, kind):
            if kind == "slow":
                self._drip(RIGHT)
                return
            while kind == "endless":
                self.wfile.write(RIGHT)
                server.sent += len(RIGHT)
            bodies = {"right": RIGHT, "pointer": POINTER, "changed": RIGHT[:-1] + b"?", "cut": RIGHT[:50]}
            self.wfile.write(bodies[kind])

        def _drip(self, content):
            for byte in content:
                self.wfile.write(bytes([byte]))
                if server.over.wait(0.05):
                    return

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.sent, server.over = [], 0, threading.Event()
    server.url = lambda kind: f"http://127.0.0.1:{server.server_port}/{kind}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def written(path, content=RIGHT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_named_file_goes_before_the_environment_and_that_before_the_folder(tmp_path, monkeypatch):
    places = [written(tmp_path / name / NAME) for name in ("models", "environment", "option")]
    assert find_model() == places[0]
    monkeypatch.setenv(model_file.ENVIRONMENT, str(places[1]))
    assert find_model() == places[1]
    assert find_model(str(places[2])) == places[2]


def test_where_there_is_none_both_ways_to_get_it_are_named(tmp_path, monkeypatch):
    with pytest.raises(NoModel, match=rf"{tmp_path}/models/{NAME}: .*make models downloads it, and make models FROM="):
        find_model()
    with pytest.raises(UserError, match=r"gone.onnx: no such file. Give the path of YuNet's file") as named:
        find_model("gone.onnx")
    monkeypatch.setenv(model_file.ENVIRONMENT, "elsewhere.onnx")
    with pytest.raises(UserError, match=r"elsewhere.onnx \(from FER_FACE_MODEL\): no such file") as by_environment:
        find_model()
    assert NoModel not in (named.type, by_environment.type)  # what somebody named is not replaced by Haar


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (RIGHT[:-1] + b"?", rf"SHA-256 is {sha256(RIGHT[:-1] + b'?')} .*it must be {sha256(RIGHT)}"),
        (RIGHT + b"?", "larger than the 2,700 bytes"),
        (POINTER, f"a Git-LFS pointer of {len(POINTER)} bytes"),
        (b"", "SHA-256"),
    ],
    ids=["changed", "longer", "pointer", "empty"],
)
def test_what_is_not_the_file_is_refused_wherever_it_comes_from(content, said, tmp_path):
    with pytest.raises(UserError, match=rf"wrong.onnx: .*{said}.*make models"):
        find_model(written(tmp_path / "wrong.onnx", content))
    written(tmp_path / "folder" / NAME, content)
    with pytest.raises(UserError, match=said):
        copy_model(tmp_path / "folder", tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("source", ["folder", f"folder/{NAME}", "folder/renamed.onnx"])
def test_make_models_copies_a_file_or_from_a_folder(source, tmp_path, capsys):
    written(tmp_path / "folder" / NAME)
    written(tmp_path / "folder" / "renamed.onnx")
    assert main([str(tmp_path / source)]) == 0
    assert find_model().read_bytes() == RIGHT
    said = capsys.readouterr().out
    assert f"{find_model()} (copied from {tmp_path / source})" in said
    assert "MIT, Copyright (c) 2020 Shiqi Yu" in said


def test_make_models_from_nowhere_says_what_to_give(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"FROM={tmp_path}: {tmp_path / NAME} does not exist. Give the path of {NAME}, or of its folder" in error


def test_it_is_fetched_once(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_file, "MIRRORS", (mirror.url("right"),))
    assert main([]) == 0
    assert find_model().read_bytes() == RIGHT
    assert "(downloaded)" in capsys.readouterr().out
    assert main([]) == 0
    assert "(already here)" in capsys.readouterr().out
    assert mirror.asked == ["right"]
    written(tmp_path / "models" / NAME, b"damaged since")
    assert main([]) == 0
    assert find_model().read_bytes() == RIGHT


def test_a_mirror_that_fails_is_named_and_the_next_one_asked(mirror, tmp_path, capsys):
    kinds = ["missing", "pointer", "changed", "cut", "endless", "right"]
    path = fetch_model(tmp_path / "models", [mirror.url(kind) for kind in kinds])
    assert path.read_bytes() == RIGHT
    assert mirror.asked == kinds
    out, err = capsys.readouterr()
    assert all(f"downloading {mirror.url(kind)}\n" in out for kind in kinds)
    for reason in ("404", "Git-LFS pointer", sha256(RIGHT), "larger than the"):
        assert reason in err
    assert mirror.sent < 100 << 20


@pytest.mark.parametrize("kind", ["slow", "silent", "dripping"])
def test_a_mirror_that_takes_its_time_is_left(kind, mirror, tmp_path, capsys):
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"failed from all 1 mirrors.*{mirror.url(kind)}.*make models FROM="):
        fetch_model(tmp_path / "models", [mirror.url(kind)], seconds=0.5)
    assert time.monotonic() - start < 10
    assert "the download did not finish within 0.5 s" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_no_mirror_is_reached(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_file, "MIRRORS", ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b"))
    assert main([]) == 2
    assert capsys.readouterr().err.count("refused") == 2


@needs_model
def test_the_real_file_is_the_pinned_one(monkeypatch):
    monkeypatch.undo()
    assert str(find_model(MODEL)) == MODEL
