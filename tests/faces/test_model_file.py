"""YuNet's file: search, check, and a message for each fault."""

import pytest

from fer_lightning.errors import UserError
from fer_lightning.faces import model_file
from fer_lightning.faces.model_file import NAME, NoModel, find_model, main, sha256
from fer_lightning.paths import WEIGHTS

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


def test_a_missing_file_is_refused_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(NoModel, match=rf"{tmp_path}/models/{NAME}: .* is missing. Install the package again"):
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
    with pytest.raises(UserError, match=rf"wrong.onnx: .*{said}.*install it again"):
        find_model(written(tmp_path / "wrong.onnx", content))


def test_make_models_checks_the_file_of_the_package(tmp_path, capsys):
    assert main([]) == 2
    assert "is missing" in capsys.readouterr().err
    path = written(tmp_path / "models" / NAME)
    assert main([]) == 0
    said = capsys.readouterr().out
    assert str(path) in said
    assert "MIT, Copyright (c) 2020 Shiqi Yu" in said


def test_make_models_from_a_copy_names_the_settings_that_use_it(capsys):
    for word in ("copy.onnx", "source=copy.onnx"):
        assert main([word]) == 2
        assert "set FER_FACE_MODEL=copy.onnx or faces.model=copy.onnx" in capsys.readouterr().err


def test_the_package_has_the_pinned_file_its_licence_and_its_origin(monkeypatch):
    monkeypatch.undo()
    path = find_model()
    assert path.parent == WEIGHTS
    assert "Copyright (c) 2020 Shiqi Yu" in (WEIGHTS / "LICENSE-yunet.txt").read_text()
    origin = (WEIGHTS / "README.md").read_text()
    assert model_file.NAME in origin
    assert model_file.SHA256 in origin
