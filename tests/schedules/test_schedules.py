import itertools

import pytest
import torch
from torch.optim import lr_scheduler

from fer_lightning.errors import UserError
from fer_lightning.schedules.constant import Constant
from fer_lightning.schedules.cosine import Cosine
from fer_lightning.schedules.one_cycle import OneCycle
from fer_lightning.schedules.plateau import Plateau
from fer_lightning.schedules.warm_restarts import WarmRestarts

EVERY = [Constant, Cosine, WarmRestarts, OneCycle, Plateau]


def factors(schedule, total_steps, steps_per_epoch=10):
    schedule.bind(total_steps, steps_per_epoch)
    return [schedule.factor(step) for step in range(total_steps)]


def torch_factors(build, total_steps):
    """Learning rates of one of torch's schedulers on an optimiser whose base rate is 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = build(optimizer)
    rates = []
    for _ in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs(final):
    expected = torch_factors(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=200, eta_min=final), 200)
    assert factors(Cosine(warmup=0.0, final=final), 200) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("total_steps", [100, 333])
def test_one_cycle_is_torchs(total_steps):
    expected = torch_factors(
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=1.0, total_steps=total_steps + 1, pct_start=0.3, div_factor=25, final_div_factor=100
        ),
        total_steps,
    )
    schedule = OneCycle(warmup=0.3, start=1 / 25, final=1 / 2500)
    assert factors(schedule, total_steps + 1)[:total_steps] == pytest.approx(expected, abs=1e-9)


def test_warm_restarts_are_torchs():
    expected = torch_factors(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=20, T_mult=2, eta_min=0.05), 140)
    schedule = WarmRestarts(cycles=3, growth=2.0, final=0.05)
    assert factors(schedule, 140, steps_per_epoch=10) == pytest.approx(expected, abs=1e-9)


def test_plateau_is_torchs():
    values = [
        0.30,
        0.31,
        0.305,
        0.312,
        0.29,
        0.28,
        float("nan"),
        0.40,
        0.40,
        0.40,
        0.1,
        0.1,
        0.1,
        0.1,
        0.1,
        0.5,
    ]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=2, threshold=0.01, threshold_mode="abs", min_lr=0.2
    )
    schedule = Plateau(drop=0.5, patience=2, threshold=0.01, final=0.2)
    schedule.bind(100, 10)
    for value in values:
        schedule.observe(value)
        reference.step(value)
        assert schedule.factor(50) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert schedule.factor(50) == 0.2


def test_plateau_resumes_where_it_was():
    values = [0.5, 0.4, 0.4, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5]
    whole, first, second = (Plateau(patience=1) for _ in range(3))
    for schedule in (whole, first, second):
        schedule.bind(100, 10)
    for value in values:
        whole.observe(value)
    for value in values[:3]:
        first.observe(value)
    second.load_state_dict(first.state_dict())
    for value in values[3:]:
        second.observe(value)
    assert second.state_dict() == whole.state_dict()
    assert second.factor(90) == whole.factor(90) < 1


@pytest.mark.parametrize("build", [Constant, Cosine, WarmRestarts, Plateau])
def test_warmup_is_linear_and_then_the_whole_rate_is_reached(build):
    rates = factors(build(warmup=0.1), 200)
    assert rates[:21] == pytest.approx([(step + 1) / 21 for step in range(21)])


@pytest.mark.parametrize("build", [Cosine, WarmRestarts, OneCycle])
def test_the_run_ends_at_the_final_rate(build):
    for total_steps in (1, 2, 7, 100):
        schedule = build(final=0.02)
        schedule.bind(total_steps, 10)
        assert schedule.factor(total_steps) == pytest.approx(0.02)
        assert schedule.factor(total_steps + 5) == pytest.approx(0.02)


@pytest.mark.parametrize("build", EVERY)
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("total_steps", [1, 3, 50])
def test_factors_lie_between_0_and_1_in_runs_of_any_length(build, warmup, total_steps):
    schedule = build(warmup=warmup)
    rates = factors(schedule, total_steps, steps_per_epoch=7)
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates == [schedule.factor(step) for step in reversed(range(total_steps))][::-1]


@pytest.mark.parametrize(("total_epochs", "cycles"), [(1, 1), (2, 2), (4, 3), (30, 3)])
def test_restarts_end_with_whole_epochs(total_epochs, cycles):
    rates = factors(WarmRestarts(cycles=3, growth=2.0), 10 * total_epochs, steps_per_epoch=10)
    rises = [step for step, (a, b) in enumerate(itertools.pairwise(rates), start=1) if b > a]
    assert len(rises) == cycles - 1
    assert all(step % 10 == 0 for step in rises)
    assert all(rates[step] == 1 for step in rises)


@pytest.mark.parametrize("build", EVERY)
def test_state_is_plain_python(build):
    schedule = build()
    schedule.bind(10, 5)
    schedule.observe(0.5)
    state = schedule.state_dict()
    schedule.load_state_dict(state)
    assert all(type(value) in (int, float) for value in state.values())


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Constant(warmup=5), "schedule.warmup=5"),
        (lambda: Cosine(final=-0.1), "schedule.final=-0.1"),
        (lambda: OneCycle(start=25.0), "schedule.start=25.0"),
        (lambda: WarmRestarts(cycles=0), "schedule.cycles=0"),
        (lambda: WarmRestarts(cycles=101), "schedule.cycles=101"),
        (lambda: WarmRestarts(growth=0.0), "schedule.growth=0.0"),
        (lambda: WarmRestarts(growth=1e200), "schedule.growth=1e\\+200"),
        (lambda: Plateau(drop=1.5), "schedule.drop=1.5"),
        (lambda: Plateau(patience=-1), "schedule.patience=-1"),
    ],
)
def test_settings_out_of_range_are_refused(build, key):
    with pytest.raises(UserError, match=key):
        build()
