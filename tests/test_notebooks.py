"""The notebooks of docs/notebooks run from top to bottom: their cells share one namespace, as in a kernel."""

import json

import matplotlib
import pytest
from conftest import ROOT
from export_runs import untrained_run

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with what the notebooks read by relative paths: the images of the docs, and the quickstart's run."""
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    (tmp_path / "docs" / "pictures").symlink_to(ROOT / "docs" / "pictures")
    untrained_run(tmp_path / "outputs" / "quickstart" / "seed-0")
    monkeypatch.chdir(tmp_path / "docs" / "notebooks")
    matplotlib.use("Agg")


def run(path) -> dict:
    namespace: dict = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(path), start=1):
        exec(compile("".join(cell["source"]), f"{path.name}, code cell {number}", "exec"), namespace)
    return namespace


def test_notebooks_are_found():
    assert {path.stem for path in NOTEBOOKS} == {"read_faces", "look_at_mistakes"}


@each_notebook
def test_a_notebook_in_git_has_no_output(path):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(path))


def test_read_faces_finds_the_face_and_draws_it(checkout):
    found = run(ROOT / "docs" / "notebooks" / "read_faces.ipynb")
    assert [face.label for face in found["faces"]] == ["happy"]
    assert len(found["table"]) == 2


@pytest.mark.slow
def test_look_at_mistakes_shows_the_validation_faces_that_are_wrong(checkout):
    found = run(ROOT / "docs" / "notebooks" / "look_at_mistakes.ipynb")
    assert found["confusion"].sum() == len(found["labels"]) > 0
    assert (found["guesses"][found["worst"]] != found["labels"][found["worst"]]).all()
    assert sum(bool(axis.images) for axis in found["axes"].flat) == len(found["worst"])
