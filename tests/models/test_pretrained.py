"""Pretrained weights are read, downloaded, or requested by a message, without waiting."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm

from fer_lightning.errors import UserError
from fer_lightning.models.imagenet_weights import TAGS, locate, timm_name


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    """An empty cache and a hub that refuses connections, whatever this machine has."""
    for name in ("FER_PRETRAINED", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hub(monkeypatch):
    """A local stand-in for the hub: `hub.body` is every file; `hub.length` what it claims to send."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            found = "/resolve/main/model.safetensors" in self.path
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(server.length))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(server.body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.length = b"weights", 7
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_the_folder_comes_first_then_the_hubs_cache(tmp_path, monkeypatch):
    cached = touch(tmp_path / "hf/hub/models--timm--convnext_tiny.fb_in22k/snapshots/abc/model.safetensors")
    assert locate("tiny", "in22k") == cached
    file = touch(tmp_path / "data/pretrained/convnext_tiny.fb_in22k.safetensors")
    assert locate("tiny", "in22k").absolute() == file
    other = touch(tmp_path / "elsewhere/convnext_tiny.fb_in22k.safetensors")
    monkeypatch.setenv("FER_PRETRAINED", str(other.parent))
    assert locate("tiny", "in22k") == other


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_a_network_it_says_what_to_put_where(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    with pytest.raises(UserError) as error:
        locate("tiny", "in1k")
    message = str(error.value)
    assert "/timm/convnext_tiny.fb_in1k/resolve/main/model.safetensors" in message
    assert str(tmp_path / "data/pretrained/convnext_tiny.fb_in1k.safetensors") in message
    assert "FER_PRETRAINED" in message
    assert not (tmp_path / "data").exists()


def test_with_a_network_it_fetches_once(tmp_path, hub, capsys):
    file = locate("base", "in22k", tmp_path / "weights")
    assert file.read_bytes() == b"weights"
    assert list(file.parent.iterdir()) == [file]
    assert "downloading" in capsys.readouterr().err
    hub.body = b"changed"
    assert locate("base", "in22k", tmp_path / "weights").read_bytes() == b"weights"


def test_a_broken_download_leaves_nothing(tmp_path, hub):
    hub.length = 70
    with pytest.raises(UserError, match=r"model\.safetensors: the download failed"):
        locate("base", "in22k", tmp_path / "weights")
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize(
    ("size", "pretrained", "allowed"),
    [("xlarge", "in1k", "in22k"), ("atto", "in22k", "in1k"), ("nano", "in22k", "in1k")],
)
def test_weights_that_were_not_published_are_rejected(size, pretrained, allowed):
    with pytest.raises(
        UserError, match=rf"model.size={size} was not published .*Set model.pretrained={allowed}, or another model.size"
    ):
        locate(size, pretrained)


@pytest.mark.parametrize("size", TAGS)
def test_timm_has_the_weights_of_each_size(size):
    for pretrained in TAGS[size]:
        name = timm_name(size, pretrained)
        assert timm.get_pretrained_cfg(name).hf_hub_id == f"timm/{name}"


def test_it_imports_no_torch():
    code = "import sys, fer_lightning.models.imagenet_weights; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
