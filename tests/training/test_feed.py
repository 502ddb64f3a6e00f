"""Loaders and the data module: which rows reach a step, in which order, and how they are drawn."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fer_lightning.augment.geometric import Flip, Rotate
from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.synthetic import load
from fer_lightning.errors import UserError
from fer_lightning.samplers.shuffle import Shuffle
from fer_lightning.training.datamodule import FERDataModule
from fer_lightning.training.loader import EvalLoader, FaceDataset, TrainLoader

CPU = SimpleNamespace(root_device=torch.device("cpu"))


@pytest.fixture(scope="module")
def table():
    return load(rows=400, seed=0)


def dataset(n: int) -> FaceDataset:
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None].expand(n, 48, 48)
    return FaceDataset(pixels, torch.arange(n) % 7, torch.arange(n))


def rows_of(loader) -> list[int]:
    return [row for batch in loader for row in batch["row"].tolist()]


@pytest.mark.parametrize(("n", "world", "size"), [(100, 1, 32), (101, 2, 16), (97, 3, 16), (33, 2, 16)])
def test_evaluation_visits_each_row_once_on_any_number_of_ranks(n, world, size):
    loaders = [EvalLoader(dataset(n), size, rank, world) for rank in range(world)]
    assert sorted(row for loader in loaders for row in rows_of(loader)) == list(range(n))
    assert len({len(loader) for loader in loaders}) == 1
    assert all(len(list(loader)) == len(loader) for loader in loaders)


def test_training_drops_the_incomplete_last_batch():
    loader = TrainLoader(dataset(100), Shuffle(np.zeros(100, np.int64), seed=0), 32)
    assert [len(batch["row"]) for batch in loader] == [32, 32, 32]


def test_a_loader_goes_on_behind_the_batches_it_handed_out():
    first = TrainLoader(dataset(100), Shuffle(np.zeros(100, np.int64), seed=0), 16)
    first.sampler.set_epoch(3)
    whole = [batch["row"].tolist() for batch in first]
    first.sampler.set_epoch(3)
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    second = TrainLoader(dataset(100), Shuffle(np.zeros(100, np.int64), seed=0), 16)
    second.load_state_dict(first.state_dict())
    second.sampler.set_epoch(3)
    rest = list(second)
    assert [batch["row"].tolist() for batch in rest] == whole[2:]
    assert [batch["key"] for batch in rest] == [(3, step) for step in range(2, 6)]
    assert len(list(second)) == len(whole)


def module(table, **options) -> FERDataModule:
    augmentation = Augmentation(order=["flip", "rotate"], flip=Flip(p=0.5), rotate=Rotate(degrees=20.0))
    transform = BatchTransform(augmentation, 48, 0.5, 0.25, 7)
    data = FERDataModule(table, transform, Shuffle, batch_size=32, train_eval_rows=40, **options)
    data.trainer = SimpleNamespace(
        global_rank=0, world_size=1, limit_train_batches=1.0, training=True, max_epochs=1, strategy=CPU
    )
    return data


@pytest.mark.parametrize(
    ("batch_size", "limit", "words"),
    [
        (1000, 1.0, r"data\.batch_size=1000: exceeds the \d+ training rows"),
        (32, 0.0001, r"trainer\.limit_train_batches=0\.0001: less than one of the \d+ batches"),
    ],
)
def test_an_epoch_without_a_batch_is_rejected(table, batch_size, limit, words):
    data = module(table)
    data.batch_size = batch_size
    with pytest.raises(UserError, match=words):
        data.refuse_empty_epochs(world_size=1, limit=limit)
    data.batch_size = 32
    data.refuse_empty_epochs(world_size=1, limit=1)


@pytest.mark.parametrize(
    ("start", "sizes"),
    [(32, [32, 32, 32, 40, 40, 40, 48, 48, 48, 48]), (40, [40] * 6 + [48] * 4), (None, [48] * 10)],
)
def test_training_images_grow_to_the_input_size(table, start, sizes):
    data = module(table, start_size=start)
    assert [data.training_size(epoch / 10) for epoch in range(10)] == sizes


def test_only_training_images_are_small(table):
    data = module(table, start_size=32)
    data.trainer.max_epochs = 10
    images = {"image": data.pixels[:4], "target": data.labels[:4], "key": (0, 0)}
    assert data.on_after_batch_transfer(images, 0)["image"].shape == (4, 1, 32, 32)
    data.trainer.training = False
    assert data.on_after_batch_transfer(images, 0)["image"].shape == (4, 1, 48, 48)


def test_no_training_row_is_validated_or_tested(table):
    data = module(table)
    train, val, test = (set(rows.tolist()) for rows in (data.split.train, data.split.val, data.split.test))
    assert not train & val
    assert not train & test
    assert not val & test
    assert set(rows_of(data.train_dataloader())) <= train
    assert set(rows_of(data.val_dataloader()[0])) == val
    assert set(rows_of(data.val_dataloader()[1])) <= train
    assert set(rows_of(data.test_dataloader())) == test


def test_augmentation_depends_on_seed_epoch_and_step_alone(table):
    def first_batch(seed, epoch):
        data = module(table, seed=seed)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        batch = {**next(iter(loader)), "image": data.pixels[:32]}
        return data.on_after_batch_transfer(batch, 0)["image"]

    assert torch.equal(first_batch(0, 1), first_batch(0, 1))
    assert not torch.equal(first_batch(0, 1), first_batch(0, 2))
    assert not torch.equal(first_batch(0, 1), first_batch(1, 1))


def test_evaluation_sees_no_random_transform(table):
    data = module(table)
    data.trainer.training = False
    batch = next(iter(data.test_dataloader()))
    image = data.on_after_batch_transfer(batch, 0)["image"]
    expected = (torch.from_numpy(table.pixels[batch["row"].numpy()]).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(image[:, 0], expected, atol=1e-5, rtol=0)


def test_a_subset_is_the_same_for_every_seed_of_the_run(table):
    subsets = [module(table, seed=seed, train_rows=100).train_rows for seed in (0, 1)]
    assert np.array_equal(*subsets)
    assert len(subsets[0]) == 100
    assert sum(module(table, train_rows=100).class_counts) == 100


def test_impossible_sizes_are_refused_by_name(table):
    with pytest.raises(UserError, match=r"data\.train_rows=9999"):
        module(table, train_rows=9999)
    with pytest.raises(UserError, match=r"data\.batch_size=32"):
        module(table, train_rows=20).setup("fit")


def test_unseen_test_rows_have_no_copy_and_are_not_blank(table):
    data = module(table)
    test, train = data.split.test, data.split.train
    pixels = table.pixels.copy()
    pixels[test[0]], pixels[test[1]] = pixels[train[0]], 7
    data.table = dataclasses.replace(table, pixels=pixels, digests=None)
    judged = data.test_rows()
    unseen = set(judged.rows[judged.unseen].tolist())
    assert not unseen & {test[0], test[1]}
    assert unseen < set(test.tolist())
    for row in unseen:
        assert not (pixels[train] == pixels[row]).all(axis=(1, 2)).any()


def test_soft_labels_are_trained_on_and_hard_ones_measured(table):
    votes = np.zeros((len(table), 10), np.uint8)
    votes[:, COLUMNS.index("fear")], votes[:, COLUMNS.index("contempt")] = 3, 7
    votes[:200, COLUMNS.index("happiness")] = 9
    data = module(dataclasses.replace(table, votes=votes), labels="ferplus_soft")
    batch = next(iter(data.train_dataloader()))
    expected = [0, 0, 0.25, 0.75, 0, 0, 0]
    for row, target in zip(batch["row"].tolist(), batch["target"].tolist(), strict=True):
        assert target == (expected if row < 200 else [0, 0, 1, 0, 0, 0, 0])
    evaluated = next(iter(data.val_dataloader()[0]))
    assert torch.equal(evaluated["target"], torch.from_numpy(table.labels)[evaluated["row"]])
    assert evaluated["plurality"].tolist() == [3 if row < 200 else -1 for row in evaluated["row"].tolist()]


def test_soft_labels_without_votes_say_how_to_get_them(table):
    with pytest.raises(UserError, match=r"data.labels=ferplus_soft(.|\n)*FERPLUS="):
        module(table, labels="ferplus_soft")


def test_a_run_does_not_go_on_with_other_votes(table):
    votes = np.ones((len(table), 10), np.uint8)
    before = module(dataclasses.replace(table, votes=votes), labels="ferplus_soft").state_dict()
    votes = votes.copy()
    votes[7, 0] = 2
    with pytest.raises(UserError, match="began on votes"):
        module(dataclasses.replace(table, votes=votes), labels="ferplus_soft").load_state_dict(before)
