"""One run, exported by the command and looked at in full: what is in the file, and that it says what the run says."""

import shutil

import cv2
import numpy as np
import onnx
import pytest
from export_runs import untrained_run
from onnxruntime.quantization import quantize_dynamic

import fer_lightning
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export import __main__ as command
from fer_lightning.export.comparison import LARGEST_DIFFERENCE
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.statistics.calibration import at_temperature

pytestmark = pytest.mark.slow

TOLERANCE = LARGEST_DIFFERENCE / 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "untrained" / "seed-0")


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """Return the paths of the file and its card."""
    out = tmp_path_factory.mktemp("out") / "new" / "mine.onnx"
    command.main([f"run={run}", f"out={out}"])
    return out.parent


@pytest.fixture(scope="module")
def model(folder):
    return FaceModel(folder / "mine.onnx")


@pytest.fixture(scope="module")
def opened(run, folder):
    return open_run(run)


@pytest.fixture(scope="module")
def checkpoint(opened, model):
    """The checkpoint's probabilities at the temperature of the file."""
    answers = command.load_checkpoint(opened, 7)
    return lambda pixels: at_temperature(answers(pixels), model.metadata.temperature)


@pytest.fixture(scope="module")
def faces(opened):
    return opened.faces()[0].pixels[:33]


def test_there_is_a_file_and_a_card(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["mine.onnx", "mine_card.md"]
    assert "# Model card: untrained/seed-0" in (folder / "mine_card.md").read_text()


def test_the_metadata_is_what_the_run_has_measured_and_no_new_look(run, model):
    predictions = read_predictions(run / "predictions.csv")
    assert model.metadata.name == "untrained/seed-0"
    np.testing.assert_array_equal(model.metadata.confusion, predictions.confusion())
    assert model.metadata.metrics["test"]["acc"] == pytest.approx((predictions.predicted == predictions.labels).mean())
    assert model.metadata.network["stn"] == "affine"
    assert not (run / "test_reads.csv").exists()


def test_probabilities_are_the_checkpoints(model, checkpoint, faces):
    assert checkpoint(faces).std(axis=0).mean() > 0.002  # the comparison could fail
    np.testing.assert_allclose(model(faces), checkpoint(faces), atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(model(faces[:1]), checkpoint(faces[:1]), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (64, 64), (200, 200), (31, 77)])
def test_crops_of_any_size_are_cut_down_as_opencv_does(model, checkpoint, faces, height, width):
    rgb = np.stack([cv2.applyColorMap(cv2.resize(face, (width, height)), cv2.COLORMAP_JET) for face in faces])
    grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in rgb])
    small = np.stack([cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA) for crop in grey])
    expected = checkpoint(small)
    tolerance = TOLERANCE if min(height, width) >= 48 else 0.05  # within one grey level where a side grows
    np.testing.assert_allclose(model(rgb), expected, atol=tolerance, rtol=0)
    np.testing.assert_allclose(model(grey), expected, atol=tolerance, rtol=0)


def test_the_graph_names_each_operator_set_once(model):
    """onnxruntime.quantization looks for exactly one."""
    assert [entry.domain for entry in onnx.load(model.path).opset_import] == [""]


def test_onnxruntime_quantizes_the_file(model, tmp_path):
    quantize_dynamic(model.path, tmp_path / "quantized.onnx", op_types_to_quantize=["Gemm"])
    assert (tmp_path / "quantized.onnx").is_file()


def test_small_weights_say_so(run, model, faces, tmp_path):
    command.main([f"run={shutil.copytree(run, tmp_path / 'run')}", f"out={tmp_path / 'small.onnx'}", "weights=float16"])
    small = FaceModel(tmp_path / "small.onnx")
    assert small.metadata.weights["form"] == "float16"
    assert small.metadata.weights["bytes"] < 0.6 * model.metadata.weights["bytes"]
    assert small.metadata.checked["equal_labels"] > 0.99
    assert "Weights as float16" in (tmp_path / "small_card.md").read_text()
    np.testing.assert_allclose(small(faces), model(faces), atol=1e-2)


def test_the_file_holds_no_trace_of_the_machine(model):
    content = model.path.read_bytes()
    assert str(fer_lightning.__path__[0]).encode() not in content
    assert b"site-packages" not in content
