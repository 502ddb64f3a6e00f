import numpy as np
import pytest
import torch

from fer_lightning.errors import UserError
from fer_lightning.samplers.base import GlobalSampler
from fer_lightning.samplers.shuffle import Shuffle
from fer_lightning.samplers.weighted import Weighted

COUNTS = [3995, 436, 4097, 7215, 4830, 3171, 4965]  # FER2013's Training rows
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))

both = pytest.mark.parametrize("sampler", [Shuffle, Weighted])


def order(sampler, epoch=0, **kwargs):
    instance = sampler(**{"labels": LABELS, "seed": 0, **kwargs})
    instance.set_epoch(epoch)
    return list(instance)


@both
def test_seed_and_epoch_decide_the_order(sampler):
    assert order(sampler, epoch=3) == order(sampler, epoch=3)
    assert order(sampler, epoch=3) != order(sampler, epoch=4)
    assert order(sampler, epoch=3) != order(sampler, epoch=3, seed=1)
    assert order(sampler, seed=1, epoch=0) != order(sampler, seed=0, epoch=1)


@both
def test_order_is_independent_of_torchs_global_generator_and_leaves_it_alone(sampler):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = order(sampler)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert order(sampler) == first


@both
@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_take_turns_in_one_global_draw(sampler, world_size):
    alone = order(sampler, epoch=5)
    ranks = [order(sampler, epoch=5, rank=rank, world_size=world_size) for rank in range(world_size)]
    length = len(LABELS) // world_size
    assert [len(rank) for rank in ranks] == [length] * world_size
    assert [row for turn in zip(*ranks, strict=True) for row in turn] == alone[: length * world_size]


@both
def test_length_is_what_is_yielded(sampler):
    for world_size in (1, 2):
        instance = sampler(LABELS[:101], seed=0, rank=world_size - 1, world_size=world_size)
        assert len(instance) == len(list(instance)) == 101 // world_size


@both
def test_labels_may_be_a_tensor(sampler):
    assert order(sampler, labels=torch.from_numpy(LABELS)) == order(sampler)


def test_shuffle_visits_each_row_once():
    assert sorted(order(Shuffle)) == list(range(len(LABELS)))


def test_shuffled_ranks_share_no_row():
    assert not set(order(Shuffle, rank=0, world_size=2)) & set(order(Shuffle, rank=1, world_size=2))


@pytest.mark.parametrize("world_size", [1, 2])
def test_weighted_classes_are_equally_frequent(world_size):
    for rank in range(world_size):
        rows = order(Weighted, rank=rank, world_size=world_size)
        shares = np.bincount(LABELS[rows], minlength=7) / len(rows)
        # Standard deviation of a share: sqrt(1/7 * 6/7 / N), at most 0.003 here.
        np.testing.assert_allclose(shares, 1 / 7, atol=0.015)


def test_weighted_rows_of_a_class_are_equally_frequent():
    labels = np.array([0] * 10 + [1] * 990)
    rows = np.concatenate([order(Weighted, epoch, labels=labels) for epoch in range(20)])
    times = np.bincount(rows, minlength=1000)
    np.testing.assert_allclose(times[:10], 1000, rtol=0.2)
    assert 9 < times[10:].mean() < 11.2


def test_weighted_never_draws_a_class_without_rows():
    labels = np.array([0, 0, 0, 5, 5, 2])
    assert set(labels[order(Weighted, labels=labels)]) <= {0, 2, 5}


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (torch.arange(100), r"drew a Tensor of type torch\.int64 and shape \(100,\)"),
        (torch.arange(1000), r"drew .* shape \(1000,\)"),
        (torch.arange(480.0), r"drew .* type torch\.float32"),
        (torch.ones(480, dtype=torch.bool), r"drew .* type torch\.bool"),
        (torch.arange(480)[:, None], r"drew .* shape \(480, 1\)"),
        (list(range(480)), "drew a list"),
        (torch.arange(480) - 1, "drew the position -1"),
        (torch.arange(480) + 1, "drew the position 480"),
    ],
)
def test_a_draw_has_a_position_in_the_labels_for_each_row(drawn, words):
    class Draw(GlobalSampler):
        def draw(self, generator):
            return drawn

    sampler = Draw(LABELS[:480], seed=0)
    with pytest.raises(UserError, match=rf"sampler: \S+Draw {words}.* it must draw .* \(480,\).* 0 to 479"):
        sampler.positions()
