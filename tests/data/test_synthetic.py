import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from fer_lightning.data import synthetic
from fer_lightning.errors import UserError
from fer_lightning.labels import USAGES


@pytest.fixture(scope="module")
def table():
    return synthetic.load(rows=2500, seed=3, label_noise=0.1, duplicates=0.15)


@pytest.fixture(scope="module")
def right():
    return synthetic.load(rows=2500, seed=3, label_noise=0, duplicates=0.15)


def originals(table):
    return np.array([" copy of " not in source for source in table.source])


def test_a_seed_draws_the_same_table_twice_and_another_seed_another():
    first, again, other = (synthetic.load(rows=150, seed=seed) for seed in (1, 1, 2))
    assert first.checksum == again.checksum != other.checksum
    assert np.array_equal(first.pixels, again.pixels)
    assert first.pixels.dtype == np.uint8
    assert first.pixels.shape == (150, 48, 48)
    assert first.notes == [synthetic.NOTE]


@pytest.mark.parametrize("rows", [101, 1024, 1100])
def test_the_first_rows_do_not_depend_on_their_number(table, rows):
    short = synthetic.load(rows=rows, seed=3, label_noise=0.1, duplicates=0.15)
    for field in ("pixels", "labels", "usage", "source"):
        assert np.array_equal(getattr(short, field), getattr(table, field)[:rows]), field


@pytest.mark.slow
def test_classes_are_as_unbalanced_as_fer2013(table, right):
    counts = np.array([synthetic.COUNTS[name] for name in table.classes])
    expected = counts / counts.sum()
    assert np.bincount(right.labels) / len(right) == pytest.approx(expected, abs=0.03)
    assert np.bincount(table.labels).argmin() == table.classes.index("disgust")


def test_a_class_keeps_its_frequency_beside_other_classes():
    labels = synthetic.load(rows=3000, label_noise=0, classes=["happy", "sad"]).labels
    assert labels.mean() == pytest.approx(4830 / (4830 + 7215), abs=0.03)


@pytest.mark.parametrize("taxonomy", ["fer2013", "learning_game", "learning_game_distracted"])
def test_every_class_is_in_every_usage_even_of_a_small_set(taxonomy):
    table = synthetic.load(rows=100, taxonomy=taxonomy)
    counts = np.zeros((len(table.classes), len(USAGES)), int)
    np.add.at(counts, (table.labels, table.usage), 1)
    assert counts.min() >= 3


def test_usages_are_80_10_10(table):
    assert np.bincount(table.usage) / len(table) == pytest.approx([0.8, 0.1, 0.1], abs=0.015)


def test_the_share_of_wrong_labels_is_as_set_in_every_usage(table, right):
    assert np.array_equal(right.pixels, table.pixels)
    wrong = right.labels != table.labels
    for usage in range(3):
        assert wrong[table.usage == usage].mean() == pytest.approx(0.1, abs=0.06)


def test_copies_are_exact_name_their_original_and_cross_the_usages(table):
    copies = np.flatnonzero(~originals(table))
    assert len(copies) / len(table) == pytest.approx(0.15, abs=0.02)
    originals_of = np.array([int(table.source[row].rsplit("-", 1)[1]) for row in copies])
    assert originals(table)[originals_of].all()
    assert np.array_equal(table.pixels[copies], table.pixels[originals_of])
    assert (table.usage[copies] != table.usage[originals_of]).any()
    assert (table.labels[copies] != table.labels[originals_of]).any()
    assert len(np.unique(table.pixels.reshape(len(table), -1), axis=0)) == originals(table).sum()


def test_no_face_is_blank(table):
    assert table.pixels.std(axis=(1, 2)).min() > 5


@pytest.mark.parametrize(
    "bad", [{"rows": 99}, {"seed": -1}, {"label_noise": 0.6}, {"duplicates": -0.1}, {"taxonomy": "fer2014"}]
)
def test_values_out_of_range_are_refused_by_key(bad):
    (key, value) = next(iter(bad.items()))
    with pytest.raises(UserError, match=rf"data\.{key}={value}"):
        synthetic.load(**bad)


@pytest.mark.slow
def test_a_linear_model_learns_something_and_stays_under_60_percent():
    table = synthetic.load(rows=3500)
    faces = table.pixels.reshape(len(table), -1).astype(np.float32)
    faces = (faces - faces.mean(1, keepdims=True)) / faces.std(1, keepdims=True)
    train = table.usage == 0
    model = RidgeClassifier(alpha=3000).fit(faces[train], table.labels[train])
    majority = np.bincount(table.labels[~train]).max() / (~train).sum()
    assert majority + 0.08 < model.score(faces[~train], table.labels[~train]) < 0.6
