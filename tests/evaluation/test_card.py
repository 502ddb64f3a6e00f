from dataclasses import replace

import pytest
from face_models import drawn_metadata

from fer_lightning.evaluation.card import card
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.metadata import crop_rule
from fer_lightning.labels import TAXONOMIES

UNTESTED = {"metrics": {"val": {"acc": 0.5}}, "confusion": None, "recall": dict.fromkeys(drawn_metadata().classes)}


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_every_class_has_its_recall(taxonomy):
    text = card(drawn_metadata(taxonomy), "face.onnx")
    for name, taken_for in zip(
        TAXONOMIES[taxonomy].classes, (*TAXONOMIES[taxonomy].classes[1:], TAXONOMIES[taxonomy].classes[0]), strict=True
    ):
        assert f"| {name} | 100 | 70.0 % [60.4 %, 78.1 %] | {taken_for}, 20.0 % |" in text


def test_where_users_decide_it_says_what_they_must_know():
    text = " ".join(card(drawn_metadata(), "face.onnx").split())
    for needed in (
        "Article 5(1)(f)",
        "62.3 %",
        "never asked",
        "children",
        "not use it at work, at school",
        "not an emotion",
    ):
        assert needed in text
    assert "None" not in text


def test_a_run_without_test_figures_is_called_unmeasured():
    text = card(replace(drawn_metadata(), **UNTESTED), "face.onnx")
    assert "**Nobody has measured it on test rows" in text
    assert "| validation rows, which chose the checkpoint | 50.0 % | unknown | unknown |" in text
    assert "None" not in text


def test_a_class_without_test_rows_has_no_recall():
    metadata = drawn_metadata()
    confusion = ((0,) * 7, *metadata.confusion[1:])
    text = card(replace(metadata, confusion=confusion, recall=metadata.recall | {"angry": None}), "face.onnx")
    assert "| angry | 0 | unknown |  |" in text


@pytest.mark.parametrize(
    ("taxonomy", "data", "said", "unsaid"),
    [
        ("fer2013", "fer2013", "web searches for 184 emotion", "are not in FER2013"),
        ("fer2013", "synthetic", "Drawn by a program", "web searches"),
        ("fer2013", "own", "does not know whose faces", "FER2013"),
        ("learning_game", "learning_game", "Faces of frustration, boredom are not in FER2013", "Drawn by"),
    ],
)
def test_provenance_is_that_of_the_data(taxonomy, data, said, unsaid):
    metadata = drawn_metadata(taxonomy)
    text = " ".join(card(replace(metadata, data=metadata.data | {"name": data}), "face.onnx").split())
    assert said in text
    assert unsaid not in text


def test_added_faces_are_named():
    metadata = drawn_metadata()
    text = card(replace(metadata, data=metadata.data | {"name": "fer2013", "extra": True}), "face.onnx")
    assert "Some faces are not from FER2013." in text


def test_the_form_of_the_faces_is_stated():
    rgb = replace(drawn_metadata(), crop=crop_rule(ImageForm(112, color=True)))
    text = " ".join(card(rgb, "face.onnx").split())
    for words in ("an RGB face of 112 x 112 pixels", "receives 112 x 112 RGB pixels: no small details"):
        assert words in text
    assert "grey" not in text.partition("## How to use")[0].partition("## Where")[0]
    assert "converts to grey" not in text


def test_the_way_to_use_the_file_works(tmp_path, monkeypatch):
    from face_models import drawn_model

    drawn_model(tmp_path / "face.onnx")
    monkeypatch.chdir(tmp_path)
    program = card(drawn_metadata(), "face.onnx").partition("```python\n")[2].partition("```")[0]
    names: dict = {}
    exec(program, names)
    assert names["probabilities"].shape == (1, 7)
