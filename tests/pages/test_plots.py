import csv
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fer_lightning.pages import plots

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
NAN = float("nan")


def size(path):
    """Width and height from a PNG's header."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def history(epochs):
    return [
        {
            "epoch": epoch,
            "lr": 0.05 / (epoch + 1),
            "train/loss": 2 / (epoch + 1),
            "train/acc": 1 - 1 / (epoch + 2),
            "train_eval/ce": 1.8 / (epoch + 1),
            "train_eval/acc": 1 - 0.9 / (epoch + 2),
            "val/ce": 1.5,
            "val/acc": 0.6 - 0.01 * abs(epoch - 5),
        }
        for epoch in range(epochs)
    ]


def without(rows, *columns):
    return [{key: value for key, value in row.items() if key not in columns} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [
        history(12),
        history(1),
        [],
        [{"epoch": 0}],
        without(history(5), "epoch", "val/acc", "val/ce", "lr"),
        [{**row, "val/acc": NAN, "val/ce": float("inf"), "train/loss": None, "lr": ""} for row in history(3)],
        [{**row, "val/acc": NAN} if row["epoch"] % 2 else row for row in history(6)],
        [{**row, "val/acc": 0.25, "val/ce": 1.9} for row in history(4)],
    ],
    ids=[
        "run",
        "one epoch",
        "no epoch",
        "nothing measured",
        "no validation",
        "NaN",
        "gaps",
        "flat",
    ],
)
def test_curves(rows, tmp_path):
    width, height = size(plots.curves(rows, tmp_path / "plots" / "curves.png"))
    assert 1000 < width < 2500
    assert 500 < height < 1500


@pytest.mark.slow
def test_curves_from_csv_are_those_from_rows(tmp_path):
    rows = history(2)
    with open(tmp_path / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    from_rows = plots.curves(rows, tmp_path / "a.png").read_bytes()
    assert plots.curves(tmp_path / "metrics.csv", tmp_path / "b.png").read_bytes() == from_rows


def test_best_epoch_is_the_earliest_maximum():
    assert plots._best(np.array([0.1, NAN, 0.5, 0.4, 0.5])) == 2
    assert plots._best(np.array([NAN, NAN])) is None
    assert plots._best(np.array([])) is None


MATRICES = {
    "full": np.arange(49).reshape(7, 7),
    "empty": np.zeros((7, 7), int),
    "one class absent, one never predicted": np.outer(np.arange(7) != 1, np.arange(7) != 2).astype(int),
}


@pytest.mark.slow
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("draw", [plots.confusion, plots.per_class])
def test_pictures_of_a_confusion_matrix(draw, matrix, tmp_path):
    width, height = size(draw(matrix, CLASSES, tmp_path / "matrix.png", title="test"))
    assert 700 < width < 2500
    assert 500 < height < 2000


def test_classes_that_have_no_colour_of_their_own(tmp_path):
    for draw in (plots.confusion, plots.per_class):
        size(draw(np.eye(2, dtype=int), ["yes", "no"], tmp_path / "two.png"))


def test_face_grid_takes_images_of_any_kind_and_size(tmp_path):
    rng = np.random.default_rng(0)
    float_grey, colour = rng.random((48, 48)), rng.random((64, 64, 3))
    images = [
        [(255 * float_grey).astype(np.uint8), float_grey, float_grey[None], float_grey[..., None]],
        [colour, np.moveaxis(colour, -1, 0), np.full((1, 224, 224), NAN, np.float32), None],
        [10 * float_grey - 5],
    ]
    path = plots.face_grid(images, ["a", "b", "c"], ["1", "2", "3", "4"], tmp_path / "faces.png", title="faces")
    width, height = size(path)
    assert 500 < width < 1200
    assert 400 < height < 1000


def test_face_grid_without_labels_or_images(tmp_path):
    size(plots.face_grid([[np.zeros((48, 48))]], [], [], tmp_path / "one.png"))
    size(plots.face_grid([], [], [], tmp_path / "none.png"))


def test_a_failed_picture_leaves_the_old_one_and_no_litter(tmp_path, monkeypatch):
    path = plots.per_class(np.eye(7, dtype=int), CLASSES, tmp_path / "bars.png")
    before = path.read_bytes()

    def fail(self, file, **kwargs):
        file.write(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(plots.Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.per_class(np.eye(7, dtype=int), CLASSES, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bars.png"]


def test_pictures_drawn_in_threads_are_those_drawn_alone(tmp_path):
    def draw(name):
        return plots.face_grid([[np.eye(48)] * 2], ["row"], ["a", "b"], tmp_path / name, title="faces").read_bytes()

    alone = draw("alone.png")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(draw, [f"{i}.png" for i in range(8)])) == {alone}


@pytest.mark.slow
def test_plots_load_neither_torch_nor_pyplot():
    unwanted = "{'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    code = f"import sys, fer_lightning.pages.plots; sys.exit(bool({unwanted}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_intervals_of_classes_are_drawn(tmp_path):
    matrix = np.array([[8, 2, 0], [1, 5, 0], [0, 0, 0]])
    known = np.array([[0.5, 0.95], [0.6, 0.9], [np.nan, np.nan]])
    plain = draw_bars(matrix, tmp_path / "plain.png")
    whiskers = draw_bars(matrix, tmp_path / "whiskers.png", dict.fromkeys(("recall", "precision", "f1"), known))
    assert plain.read_bytes() != whiskers.read_bytes()


def draw_bars(matrix, path, intervals=None):
    return plots.per_class(matrix, ("a", "b", "c"), path, intervals=intervals)
