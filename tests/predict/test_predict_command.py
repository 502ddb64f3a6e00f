"""`python -m fer_lightning.predict` as a user types it: what is said, where it fails, and that torch is not needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from collect_portraits import MODEL, encoded, portrait, two_faces
from conftest import ROOT
from face_models import drawn_metadata, drawn_model

from fer_lightning.config import command
from fer_lightning.errors import UserError
from fer_lightning.inputs import PARTLY
from fer_lightning.predict.__main__ import COMMAND, main

NO_TORCH = """
import builtins, runpy, sys
real = builtins.__import__
def refusing(name, *rest, **options):
    assert name.partition(".")[0] not in ("torch", "lightning", "torchvision"), name
    return real(name, *rest, **options)
builtins.__import__ = refusing
sys.argv = ["predict", *sys.argv[1:]]
runpy.run_module("fer_lightning.predict", run_name="__main__")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")


@pytest.fixture
def photos(tmp_path) -> Path:
    (tmp_path / "photos, mine").mkdir()
    (tmp_path / "photos, mine" / "portrait.jpg").write_bytes(encoded(portrait(), "JPEG"))
    return tmp_path / "photos, mine"


def refused(capsys, *words) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(map(str, words)))
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("predict: ")
    assert "Traceback" not in said
    return said


@pytest.mark.slow
def test_a_folder_without_torch_from_a_path_with_odd_letters(model, photos, tmp_path):
    (photos / "two.png").write_bytes(encoded(two_faces(0.5)))
    (photos / "broken.jpg").write_text("no picture")
    words = [f"model={model}", f"input={photos}", f"out={tmp_path / 'out'}", f"faces.model={MODEL}", "threads=1"]
    result = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == PARTLY, result.stderr
    assert result.stderr == ""
    assert "3 faces in 2 images, 0 without a face; doubtful: 1 too small" in result.stdout
    assert "the model labels 70.0 % of its test faces correctly" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 of 3 files could not be read")
    assert (tmp_path / "out" / "annotated" / "two.png").is_file()


def test_results_of_an_earlier_call_are_no_photographs(model, photos, tmp_path, capsys):
    words = [f"model={model}", f"input={photos}", "faces.kind=whole"]
    main([*words, f"out={photos / 'predictions'}"])
    assert list((photos / "predictions" / "annotated").iterdir())
    capsys.readouterr()
    main([*words, f"out={tmp_path / 'second'}"])
    assert "1 face in 1 image, 0 without a face" in capsys.readouterr().out


def test_the_detector_of_pictures_cut_out_already(model, photos, tmp_path, capsys):
    main([f"model={model}", f"input={photos}", f"out={tmp_path / 'out'}", "faces.kind=whole", "annotate=false"])
    said = capsys.readouterr().out
    assert "1 face in 1 image, 0 without a face" in said
    assert "annotated" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=face.onnx"], "input is not set. Set it to the photo, video, or folder"),
        (["modle=face.onnx"], "modle: no such key. Did you mean model?"),
        (["faces.min_scor=0.5"], "faces.min_scor: no such key. Did you mean faces.min_score?"),
        (["faces.kind=mtcnn"], "faces.kind='mtcnn': must be one of auto, yunet, haar, whole (face detector"),
        (["every=often"], "every='often': must be a whole number, 1 or more"),
        (["model=nowhere.onnx", "input=."], "model=nowhere.onnx: no such file. Make one"),
        (["face.onnx"], "'face.onnx': expected key=value, such as input=face.onnx"),
        (["model=m", "input=https://x.org/a.jpg"], "input=https://x.org/a.jpg: addresses are not fetched"),
        (["model=m", "input=0"], "input=0: no such file. For a camera: make live"),
    ],
)
def test_wrong_words_are_told(words, said, capsys):
    assert said in refused(capsys, *words)


@pytest.mark.slow
def test_wrong_values_are_told(model, photos, tmp_path, capsys):
    known = (f"model={model}", f"input={photos}", f"out={tmp_path / 'out'}", f"faces.model={MODEL or ''}")
    for word, said in (
        ("batch_size=0", "batch_size=0: must be 1 or more"),
        ("every=0", "every=0: must be 1 or more"),
        ("threads=0", "threads=0: must be 1 or more"),
        ("faces.min_score=80", "min_score=80.0: must be from 0 to 1"),
        ("faces.min_face_px=20", "min_face_px=20.0: must be from 48 to"),
        ("input=/nowhere", "input=/nowhere: no such file or folder"),
        (f"model={photos / 'portrait.jpg'}", "not an ONNX file, or a damaged one"),
        (f"out={photos}", "this folder holds files that are not results of this command"),
    ):
        assert said in refused(capsys, *known, "faces.kind=whole", word)
    assert not (tmp_path / "out").exists()


def test_defaults_are_the_collectors():
    """A face is cut, found and doubted alike wherever it comes from."""
    from fer_lightning.collect.__main__ import config as of_collector

    ours, theirs = command.settings(COMMAND, ["model=a", "input=b"]).faces, of_collector([]).faces
    assert vars(theirs) == vars(ours) | {"size": None, "color": None}  # the form of a collection's crops


def test_a_path_may_hold_any_letter():
    path = "it's, a=b {c} $d"
    assert command.settings(COMMAND, [f"model={path}", f"input={path}"]).input == path
    with pytest.raises(UserError):
        command.settings(COMMAND, [f"model={path}"])


def test_a_model_of_drawn_faces_is_not_for_real_ones(photos, tmp_path, capsys):
    learned = drawn_metadata().data | {"name": "synthetic"}
    model = drawn_model(tmp_path / "drawn.onnx", data=learned)
    main([f"model={model}", f"input={photos}", f"out={tmp_path / 'out'}", "faces.kind=whole", "annotate=false"])
    assert "warning: drawn/seed-0: It learned from faces drawn by a program" in capsys.readouterr().out
