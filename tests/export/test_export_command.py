import shutil

import numpy as np
import onnx
import pytest
from export_runs import untrained_run
from face_models import crop_of, drawn_metadata, drawn_model

from fer_lightning.errors import UserError
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export import __main__ as command
from fer_lightning.export.described import comparison_faces, describe
from fer_lightning.faces.face_model import FaceModel


def refusal(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        command.main(list(words))
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    return shown


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "seed-0")


@pytest.fixture
def run(untrained, tmp_path_factory):
    """A copy, for a run is held until the process ends."""
    return shutil.copytree(untrained, tmp_path_factory.mktemp("copy") / "seed-0")


@pytest.fixture
def no_export(monkeypatch):
    """The slow part done by hand: a drawn graph, and a checkpoint that says the same but for `apart`."""

    def stand_in(apart: float) -> None:
        def graph_and_predictor(run, num_classes):
            path = drawn_model(run.path / "drawn.onnx")
            graph, model = onnx.load(path), FaceModel(path)
            path.unlink()
            return graph, lambda faces: torch_like(model(faces.numpy()) + np.float32(apart))

        monkeypatch.setattr(command, "graph_and_predictor", graph_and_predictor)

    return stand_in


def torch_like(values: np.ndarray):
    import torch

    return torch.from_numpy(values)


def test_the_file_goes_into_the_runs_folder_and_the_same_command_replaces_it(run, no_export, capsys):
    no_export(0.0)
    (run / "face.onnx").write_bytes(b"of a former call")
    command.main([f"run={run}"])
    assert FaceModel(run / "face.onnx")(crop_of("sad")[None]).argmax() == 4
    assert (run / "face_card.md").is_file()
    assert "equality" in capsys.readouterr().out


def test_a_file_that_fails_the_comparison_is_not_kept(run, tmp_path, no_export, capsys):
    no_export(2e-4)
    old = drawn_model(tmp_path / "face.onnx", name="old")
    message = refusal(capsys, f"run={run}", f"out={old}")
    assert "up to 0.0002 from the checkpoint's on 254 faces, and 0.0001 is allowed: it was not kept" in message
    assert FaceModel(old).metadata.name == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["face.onnx"]


def test_what_is_not_a_number_fails_the_comparison(run, tmp_path, no_export, capsys):
    no_export(float("nan"))
    assert "it was not kept" in refusal(capsys, f"run={run}", f"out={tmp_path / 'face.onnx'}")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_has_no_test_figures(tmp_path):
    run = open_run(untrained_run(tmp_path / "run", tested=False), with_faces=False)
    metadata = describe(run)
    assert metadata.confusion is None
    assert set(metadata.recall.values()) == {None}
    assert set(metadata.metrics) == {"val"}
    assert metadata.classes == drawn_metadata().classes


@pytest.fixture
def without_store(run, tmp_path):
    """A run whose faces lay in a store that is not here."""
    opened = open_run(run, with_faces=False)
    opened.config.data = {"_target_": "fer_lightning.data.fer2013.load", "root": str(tmp_path), "taxonomy": "fer2013"}
    return opened


def test_drawn_faces_stand_in_for_a_store_that_is_not_here(without_store):
    faces, whose = comparison_faces(without_store, or_drawn=True)
    assert faces.shape == (1000, 48, 48)
    assert "drawn faces, since the run's own are not here" in whose


def test_a_store_that_is_named_must_be_there(without_store, tmp_path):
    with pytest.raises(UserError, match=f"data.root={tmp_path}: this folder does not hold a store of faces"):
        comparison_faces(without_store, or_drawn=False)


def test_other_faces_than_the_runs_are_refused(run):
    opened = open_run(run, with_faces=False)
    opened.summary["split"]["checksum"] = "0" * 64
    with pytest.raises(UserError, match="other faces or other labels"):
        comparison_faces(opened, or_drawn=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "export: run is not set: the folder of a trained run. E.g. python -m fer_lightning.export run="),
        (["run=nowhere"], "run=nowhere: no such folder"),
        (["run=x", "out=face.pt"], "out=face.pt: expected a file that ends in .onnx. E.g. out=face.onnx"),
        (["run=x", "out=."], "out=.: a folder. Name the file: out=face.onnx"),
        (["runn=x"], "runn: no such key. Did you mean run? Allowed: run, out, data_root."),
        (["run"], "export: run is not set"),
    ],
)
def test_mistakes_are_told_in_words(capsys, words, message):
    assert message in refusal(capsys, *words)


def test_a_store_for_drawn_faces_is_refused(run, tmp_path, capsys):
    message = refusal(capsys, f"run={run}", f"data_root={tmp_path}")
    assert (
        f"data_root={tmp_path}: the faces of run={run} come from fer_lightning.data.synthetic.load. Drop it" in message
    )
