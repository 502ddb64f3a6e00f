import json

import onnx
import pytest
from face_models import drawn_metadata, drawn_model

from fer_lightning.faces.metadata import KEY, Metadata, embed
from fer_lightning.labels import TAXONOMIES


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_what_is_written_is_read(taxonomy):
    metadata = drawn_metadata(taxonomy)
    assert Metadata.from_json(metadata.to_json()) == metadata


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("{}", "has format None, and this version reads format 2"),
    ],
)
def test_what_is_none_of_ours_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Metadata.from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "has format 1, and this version reads format 2"),
        ({"temperature": 0}, "has an odd value at 'temperature'"),
        ({"weights": None}, "has an odd value at 'weights'"),
        ({"checked": {"faces": 3}}, "has an odd value at 'checked'"),
        ({"calibration": {"rows": 3, "before": {}, "after": {}, "by_confidence": []}}, "an odd value at 'calibration'"),
        ({"classes": ["sad", "angry"]}, "has the classes of fer2013 in another order, or others"),
        ({"classes": "angry"}, "has an odd value at 'classes'"),
        ({"taxonomy": "moods", "classes": ["sad"] * 7}, "has the classes of moods in another order, or others"),
        ({"recall": {"angry": 0.5}}, "'recall': expected one share for each class"),
        ({"recall": {"angry": 1.5}}, "has an odd value at 'recall'"),
        ({"confusion": [[1, 2], [3, 4]]}, "'confusion': expected a row and a column for each class"),
        ({"confusion": [[0.5]]}, "has an odd value at 'confusion'"),
        ({"metrics": {"test": {"acc": "high"}}}, "has an odd value at 'metrics'"),
        ({"metrics": {"test": {"acc": 10**400}}}, "has an odd value at 'metrics'"),
        ({"confusion": [[10**400]]}, "has an odd value at 'confusion'"),
        ({"name": "\x1b[2J"}, "has an odd value at 'name'"),
        ({"surplus": 1}, "lacks or adds keys: surplus"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Metadata.from_json(json.dumps(json.loads(drawn_metadata().to_json()) | change))


def test_a_file_has_one_metadata(tmp_path):
    model = onnx.load(drawn_model(tmp_path / "face.onnx"))
    embed(model, drawn_metadata("learning_game"))
    (text,) = [prop.value for prop in model.metadata_props if prop.key == KEY]
    assert Metadata.from_json(text).taxonomy == "learning_game"
