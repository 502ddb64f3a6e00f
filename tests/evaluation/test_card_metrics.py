import numpy as np
import pytest
from face_models import drawn_model

from fer_lightning.errors import UserError
from fer_lightning.evaluation.card_metrics import card_metrics, write_test_metrics
from fer_lightning.faces.face_model import FaceModel

CLASSES = ("angry", "happy", "sad")


def test_missing_metrics_are_absent_and_a_class_without_rows_has_no_recall():
    metrics = {"all": {"acc": {"value": 0.5}, "recall_mean": None}, "clean": {"acc": {"value": None}}}
    results = card_metrics(metrics, np.array([[1, 1, 0], [0, 0, 0], [0, 0, 4]]), CLASSES)
    assert results["metrics"] == {"test": {"acc": 0.5}}
    assert results["recall"] == {"angry": 0.5, "happy": None, "sad": 1.0}
    assert results["confusion"] == ((1, 1, 0), (0, 0, 0), (0, 0, 4))


def test_without_a_test_there_are_no_metrics():
    assert card_metrics({}, None, CLASSES) == {"metrics": {}, "recall": dict.fromkeys(CLASSES), "confusion": None}


def test_a_file_that_was_replaced_during_its_evaluation_stays_as_it_is(tmp_path):
    evaluated = FaceModel(drawn_model(tmp_path / "face.onnx"))
    content = drawn_model(tmp_path / "face.onnx", temperature=2.0).read_bytes()
    with pytest.raises(UserError, match="was replaced during its evaluation"):
        write_test_metrics(evaluated, predictions=None, metrics={})
    assert (tmp_path / "face.onnx").read_bytes() == content
    assert not (tmp_path / "face_card.md").exists()
