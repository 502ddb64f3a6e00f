"""The network that is installed with the package: small, unchanged, with an honest card."""

import hashlib
import re
from pathlib import Path

import pytest
from face_models import drawn_model

from fer_lightning.config.command import settings
from fer_lightning.errors import UserError
from fer_lightning.faces import shipped
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.live import __main__ as live
from fer_lightning.paths import WEIGHTS
from fer_lightning.predict.__main__ import COMMAND

LARGEST = 2_500_000  # bytes
needs_network = pytest.mark.skipif(not shipped.MODEL.is_file(), reason=f"{shipped.MODEL.name} is not in this version")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A drawn model in the place of the shipped one."""
    path = drawn_model(tmp_path / "face.onnx")
    monkeypatch.setattr(shipped, "MODEL", path)
    return path


@needs_network
def test_it_is_small_and_has_the_noted_digest():
    content = shipped.MODEL.read_bytes()
    assert len(content) <= LARGEST
    assert hashlib.sha256(content).hexdigest() in (WEIGHTS / "README.md").read_text()
    FaceModel(shipped.MODEL, threads=1)


@needs_network
@pytest.mark.parametrize("words", ["FER2013", "## Limits", "[Ll]icence", "checksum", "accuracy", "threshold"])
def test_its_card_names_data_limits_and_licences(words):
    assert re.search(words, shipped.CARD.read_text())


def served(monkeypatch, *words: str) -> str | None:
    """The model that `live` would serve with these words."""
    given = []
    monkeypatch.setattr("fer_lightning.live.server.serve", lambda settings, *_: given.append(settings.model))
    live.run(list(words))
    return given[0]


def predicts_with(*words: str) -> Path:
    return shipped.model_path(settings(COMMAND, ["input=x", *words]).model)


def test_predict_and_live_use_it_if_no_model_is_named(stand_in, monkeypatch):
    assert predicts_with() == stand_in
    assert predicts_with("model=other.onnx") == Path("other.onnx")
    assert served(monkeypatch) == str(stand_in)
    assert served(monkeypatch, "model=null") is None


def test_without_it_predict_asks_for_a_model_and_live_uses_no_camera(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "MODEL", tmp_path / "face.onnx")
    with pytest.raises(UserError, match=r"no network of its own. Give an exported file"):
        predicts_with()
    assert served(monkeypatch) is None
