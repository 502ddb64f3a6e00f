import re
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
from fer_lightning.statistics.calibration import at_temperature, fit_temperature


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


SOFT = 16  # at which no probability of `drawn_model` is 0


class DrawnCheckpoint:
    """A checkpoint without training: probabilities of `drawn_model`, which `change` alters, and its graph."""

    def __init__(self, folder, change):
        self.path, self.change = folder / "drawn.onnx", change
        self.model = FaceModel(drawn_model(self.path, temperature=SOFT))

    def __call__(self, pixels):
        return self.change(self.model(pixels))

    def to_onnx(self, temperature, weights):
        return onnx.load(drawn_model(self.path, temperature=SOFT * temperature))


@pytest.fixture
def no_export(monkeypatch, tmp_path_factory):
    """Replace the slow part: the checkpoint answers as its graph does, changed by `change`."""

    def stand_in(change=lambda probabilities: probabilities) -> None:
        folder = tmp_path_factory.mktemp("drawn")
        monkeypatch.setattr(command, "load_checkpoint", lambda run, num_classes, views: DrawnCheckpoint(folder, change))

    return stand_in


def one_other_label_in(number: int):
    """Swap two probabilities of each row whose position, within a batch, is a multiple of `number`."""

    def change(probabilities: np.ndarray) -> np.ndarray:
        changed = probabilities.copy()
        changed[::number] = np.roll(changed[::number], 1, axis=1)
        return changed

    return change


def test_the_file_goes_into_the_runs_folder_and_the_same_command_replaces_it(run, no_export, capsys):
    no_export()
    (run / "face.onnx").write_bytes(b"of a former call")
    command.main([f"run={run}"])
    assert FaceModel(run / "face.onnx")(crop_of("sad")[None]).argmax() == 4
    assert (run / "face_card.md").is_file()
    shown = capsys.readouterr().out
    assert "weights=float32" in shown
    assert "equal labels on 100.00 % of 254 validation and training rows" in shown


def test_a_file_that_fails_the_comparison_is_not_kept(run, tmp_path, no_export, capsys):
    no_export(lambda probabilities: probabilities + np.float32(1e-3) * np.eye(7, dtype=np.float32)[0])
    old = drawn_model(tmp_path / "face.onnx", name="old")
    message = refusal(capsys, f"run={run}", f"out={old}")
    assert re.search(r"differ by up to [\d.]+ from the checkpoint's on 254 faces, but only 0.0001 is allowed", message)
    assert FaceModel(old).metadata.name == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["face.onnx"]


def test_what_is_not_a_number_fails_the_comparison(run, tmp_path, no_export, capsys):
    no_export(lambda probabilities: probabilities * np.float32("nan"))
    assert "The file was not kept" in refusal(capsys, f"run={run}", f"out={tmp_path / 'face.onnx'}")
    assert not list(tmp_path.iterdir())


def test_other_labels_fail_the_comparison_of_small_weights(run, tmp_path, no_export, capsys):
    no_export(one_other_label_in(50))
    out = tmp_path / "face.onnx"
    message = refusal(capsys, f"run={run}", f"out={out}", "weights=int8")
    assert re.search(
        r"weights=int8: the file's label differs .* on 2\.4 % of 254 faces, but only 1 % is allowed", message
    )
    assert "Use weights=float16" in message
    assert not list(tmp_path.iterdir())


def test_the_temperature_is_that_of_the_validation_rows(run, tmp_path, no_export):
    no_export()
    command.main([f"run={run}", f"out={tmp_path / 'face.onnx'}"])
    opened = open_run(run)
    table, split = opened.faces()
    pixels, labels = table.pixels[split.val], table.labels[split.val]
    before = FaceModel(drawn_model(tmp_path / "drawn.onnx", temperature=SOFT))(pixels)
    model = FaceModel(tmp_path / "face.onnx")
    temperature = fit_temperature(before, labels)
    assert model.metadata.temperature == pytest.approx(temperature)
    np.testing.assert_allclose(model(pixels), at_temperature(before, temperature), atol=1e-5)
    metrics = model.metadata.calibration
    assert metrics["rows"] == len(labels)
    assert metrics["before"]["acc"] == metrics["after"]["acc"] == (before.argmax(axis=1) == labels).mean()
    assert metrics["after"]["ce"] < metrics["before"]["ce"]
    assert f"{metrics['after']['ce']:.3f}" in (tmp_path / "face_card.md").read_text()
    assert not (run / "test_reads.csv").exists()


def test_without_validation_rows_the_temperature_is_one(run, tmp_path, no_export, monkeypatch, capsys):
    no_export()
    monkeypatch.setattr("fer_lightning.evaluation.trained_run.TrainedRun.faces", missing)
    command.main([f"run={run}", f"out={tmp_path / 'face.onnx'}"])
    metadata = FaceModel(tmp_path / "face.onnx").metadata
    assert metadata.temperature == 1
    assert metadata.calibration is None
    assert "not calibrated, temperature 1: validation rows are missing" in capsys.readouterr().out
    assert "the validation rows were missing" in (tmp_path / "face_card.md").read_text()


def missing(run):
    raise UserError("there is no store of faces")


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
    faces = comparison_faces(without_store, or_drawn=True)
    assert faces.pixels.shape == (1000, 48, 48)
    assert faces.words == "drawn faces"
    assert len(faces.labels) == 0


def test_validation_rows_come_first_and_no_test_row_is_read(run):
    opened = open_run(run)
    table, split = opened.faces()
    faces = comparison_faces(opened, or_drawn=False)
    np.testing.assert_array_equal(faces.labels, table.labels[split.val])
    np.testing.assert_array_equal(faces.pixels, table.pixels[np.concatenate([split.val, split.train])])


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
        (
            [],
            "export: run is not set. Set it to the folder of the run whose best.ckpt is exported, or of an ensemble. ",
        ),
        (["run=nowhere"], "run=nowhere: no such folder"),
        (["run=x", "out=face.pt"], "out=face.pt: must be a file that ends in .onnx. E.g. out=face.onnx"),
        (["run=x", "out=."], "out=.: is a folder; must be a file. E.g. out=face.onnx"),
        (["runn=x"], "runn: no such key. Did you mean run? Allowed: run, out, weights, tta, data_root."),
        (["run=x", "weights=int4"], "weights='int4': must be one of float32, float16, int8, codebook4"),
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
