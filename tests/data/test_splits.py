import numpy as np
import pytest
from fer_forms import Samples

from fer_lightning.data.duplicates import blank
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.rows import image_numbers
from fer_lightning.data.splits import deal, make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """A store of the sample rows; not to be written to."""
    root = tmp_path_factory.mktemp("store")
    ingest(str(Samples().csv(root / "fer2013.csv")), str(root / "fer2013"))
    return str(root / "fer2013")


def table(labels: np.ndarray, usage: np.ndarray, pixels: np.ndarray | None = None) -> FaceTable:
    count = len(labels)
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 48, 48), np.uint8)
    names = tuple("abc")
    return FaceTable("test", pixels, labels, usage.astype(np.uint8), np.arange(count).astype(str), names, "sum")


def test_official_is_usage(store):
    faces = load(store)
    split = make_split(faces, "official", seed=3)
    for code, rows in enumerate((split.train, split.val, split.test)):
        assert np.array_equal(rows, np.flatnonzero(faces.usage == code))
        assert rows.dtype == np.int64
    assert split.checksum == make_split(faces, "official", seed=4).checksum
    assert split.notes == []


@pytest.mark.parametrize(("usage", "missing"), [([0, 0, 2], "no PublicTest"), ([0, 0, 0], "no PublicTest and no")])
def test_official_is_refused_where_a_part_is_missing(usage, missing):
    faces = table(np.zeros(3, np.int64), np.array(usage))
    faces.notes.append("its test merges PublicTest and PrivateTest, so split=official is refused")
    with pytest.raises(UserError, match=rf"data.split=official: the data has {missing}.*stratified(.|\n)*merges"):
        make_split(faces, "official")


def test_stratified_deals_each_class_70_15_15():
    labels = np.repeat([0, 1, 2], [1000, 200, 20])
    split = make_split(table(labels, np.zeros(1220)), "stratified", seed=1)
    assert sorted(np.concatenate([split.train, split.val, split.test])) == list(range(1220))
    for rows, counts in (
        (split.train, [700, 140, 14]),
        (split.val, [150, 30, 3]),
        (split.test, [150, 30, 3]),
    ):
        assert np.bincount(labels[rows]).tolist() == counts
        assert (np.diff(rows) > 0).all()


def test_stratified_depends_on_seed_alone():
    faces = table(np.repeat([0, 1, 2], 50), np.zeros(150))
    first, again, other = (make_split(faces, "stratified", seed) for seed in (1, 1, 2))
    assert first.checksum == again.checksum
    assert np.array_equal(first.test, again.test)
    assert first.checksum != other.checksum


def test_checksum_covers_the_data():
    faces = table(np.repeat([0, 1, 2], 50), np.tile([0, 1, 2], 50))
    before = make_split(faces, "official").checksum
    faces.checksum = "another"
    assert make_split(faces, "official").checksum != before


def test_stratified_counts_the_duplicates_that_cross_it():
    pixels = np.zeros((100, 48, 48), np.uint8)
    pixels[:, 0, 0] = np.arange(100) // 2  # pairs of twins
    split = make_split(table(np.zeros(100, np.int64), np.zeros(100), pixels), "stratified", seed=0)
    crossing = [np.isin(rows // 2, split.train // 2).sum() for rows in (split.val, split.test)]
    assert min(crossing) > 0
    assert f"{crossing[0]} of 15 validation and {crossing[1]} of 15 test" in split.notes[0]


def test_deal_keeps_copies_together():
    images = np.arange(300) // 3
    parts = deal(np.zeros(300, np.int64), images, seed=0)
    assert (parts.reshape(-1, 3) == parts[::3, None]).all()
    assert np.bincount(parts).tolist() == [210, 45, 45]


def test_unknown_split_lists_the_allowed():
    with pytest.raises(UserError, match=r"data.split=random: unknown; allowed: official, official_dedup"):
        make_split(table(np.zeros(3, np.int64), np.arange(3)), "random")


def test_a_part_without_rows_is_refused():
    """Each class has so few faces that all are dealt to training."""
    with pytest.raises(UserError, match=r"data\.split=stratified: has 9 training, 0 validation and 0 test rows"):
        make_split(table(np.arange(9) % 3, np.zeros(9, np.int64)), "stratified")


def copied(count: int = 600) -> FaceTable:
    """Rows of which each third repeats an image, every second of those with another label, some blank."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (count, 48, 48), np.uint8)
    labels = random.choice(3, count, p=[0.6, 0.3, 0.1])
    originals, repeats = np.arange(0, count // 3), np.arange(count // 3, 2 * count // 3)
    pixels[repeats] = pixels[originals]
    labels[repeats[::2]] = labels[originals[::2]]
    pixels[-5:] = 7
    return table(labels, random.integers(0, 3, count), pixels)


def test_clean_keeps_each_unambiguous_picture_once():
    faces = copied()
    split = make_split(faces, "clean", seed=2)
    rows = np.concatenate([split.train, split.val, split.test])
    images = image_numbers(faces.digests)
    assert len(set(images[rows].tolist())) == len(rows)
    assert not blank(faces.pixels, rows).any()
    by_image = {}
    for image, label in zip(images.tolist(), faces.labels.tolist(), strict=True):
        by_image.setdefault(image, set()).add(label)
    assert set(images[rows].tolist()) == {
        image for image, labels in by_image.items() if len(labels) == 1 and image != images[-1]
    }
    assert "do not compare" in split.notes[0]
    for part, share in ((split.train, 0.7), (split.val, 0.15), (split.test, 0.15)):
        assert np.bincount(faces.labels[part]) == pytest.approx(share * np.bincount(faces.labels[rows]), abs=2)


@pytest.mark.slow
def test_folds_partition_all_rows_and_no_copy_crosses_them():
    faces = copied()
    tested = []
    for fold in range(4):
        split = make_split(faces, "fold", seed=2, fold=fold, folds=4)
        everything = np.concatenate([split.train, split.val, split.test])
        assert sorted(everything) == list(range(len(faces)))
        assert not judge_test_rows(faces, split).clean[blank(faces.pixels, split.test)].any()
        assert judge_test_rows(faces, split).clean[~blank(faces.pixels, split.test)].all()
        assert np.bincount(faces.labels[split.test]) == pytest.approx(np.bincount(faces.labels) / 4, abs=12)
        assert np.array_equal(split.val, make_split(faces, "fold", seed=2, fold=(fold + 1) % 4, folds=4).test)
        tested.extend(split.test)
    assert sorted(tested) == list(range(len(faces)))


def test_training_folds_partition_training_and_no_copy_crosses_them():
    faces = copied()
    training, val = (np.flatnonzero(faces.usage == code) for code in range(2))
    images, tested = image_numbers(faces.digests), []
    for fold in range(4):
        split = make_split(faces, "training_fold", seed=2, fold=fold, folds=4)
        assert split.name == f"training_fold {fold} of 4"
        assert sorted([*split.train, *split.test]) == training.tolist()
        assert np.array_equal(split.val, val)
        assert not np.isin(images[split.test], images[split.train]).any()
        assert np.bincount(faces.labels[split.test]) == pytest.approx(np.bincount(faces.labels[training]) / 4, abs=8)
        assert "does not use PrivateTest" in split.notes[0]
        tested.extend(split.test)
    assert sorted(tested) == training.tolist()


def test_training_folds_need_the_official_split():
    with pytest.raises(UserError, match=r"data.split=training_fold: the data has no PublicTest"):
        make_split(table(np.zeros(4, np.int64), np.array([0, 0, 0, 2])), "training_fold", fold=0)


@pytest.mark.parametrize("name", ["clean", "fold", "training_fold"])
def test_rows_of_one_source_stay_together(name):
    random = np.random.default_rng(0)
    sources = random.integers(0, 60, 300)
    usage = np.repeat([0, 1, 2], [56, 2, 2])[sources] if name == "training_fold" else np.zeros(300)
    faces = table(random.integers(0, 3, 300), usage)
    faces.source = sources.astype(str)
    split = make_split(faces, name, fold=1)
    sources = [set(faces.source[part]) for part in (split.train, split.val, split.test)]
    assert sum(map(len, sources)) == len(set.union(*sources)) == (58 if name == "training_fold" else 60)
    told = f"the {len(split.test)} evaluated rows have {len(sources[2])} sources (persons or images)"
    assert split.notes[-1].startswith(told)


@pytest.mark.parametrize("name", ["clean", "fold", "training_fold", "official_dedup"])
def test_a_split_depends_on_data_and_seed_alone(name):
    first, again = (make_split(copied(), name, seed=5, fold=0) for _ in range(2))
    assert first.checksum == again.checksum
    assert (make_split(copied(), name, seed=6, fold=0).checksum == first.checksum) == (name == "official_dedup")


@pytest.mark.parametrize("name", ["fold", "training_fold"])
@pytest.mark.parametrize(
    ("fold", "folds", "key"), [(None, 5, "data.fold"), (5, 5, "data.fold"), (0, 2, "data.folds=2")]
)
def test_a_fold_that_is_not_there_is_refused(name, fold, folds, key):
    with pytest.raises(UserError, match=key):
        make_split(copied(60), name, fold=fold, folds=folds)
