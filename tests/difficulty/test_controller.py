"""The limits hold for any policy: bounds, one step at a time, cooldown, the player's own choice, the switch."""

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.difficulty.controller import Controller
from fer_lightning.difficulty.policy import Proposal, TaskResult
from fer_lightning.player.state import PlayerState

STATE = PlayerState("unknown", 0.0, (1 / 3, 1 / 3, 1 / 3), {"face": 0.0, "text": 0.0}, ())


class Moody:
    """Policy with random proposals, including proposals that the contract forbids."""

    def __init__(self, seed: int, least: int = -1, most: int = 1) -> None:
        self.random, self.least, self.most, self.asked = random.Random(seed), least, most, 0

    def propose(self, now, state, outcomes):
        self.asked += 1
        return Proposal(self.random.randint(self.least, self.most), "because")


class Always:
    def __init__(self, change: int) -> None:
        self.change = change

    def propose(self, now, state, outcomes):
        return Proposal(self.change, "because")


def played(controller: Controller, seconds: int, task: int = 5, first: int = 0):
    """Yield (second, decision) of a game in which a task ends every `task` seconds."""
    for now in range(first, first + seconds):
        if now % task == 0:
            controller.outcome(TaskResult(now, True, task, controller.level))
        decision = controller.update(now, STATE)
        if decision:
            yield now, decision


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**16),
    levels=st.integers(1, 12),
    start=st.integers(-3, 20),
    cooldown=st.floats(0, 60),
    tasks=st.integers(0, 6),
    stand=st.floats(0, 3),
    most=st.integers(1, 40),
)
def test_whatever_a_policy_proposes_the_level_is_bounded_and_waits(seed, levels, start, cooldown, tasks, stand, most):
    controller = Controller(
        Moody(seed, -most, most),
        levels=levels,
        start=start,
        cooldown_seconds=cooldown,
        min_tasks=tasks,
        stand_seconds=stand,
    )
    assert 1 <= controller.level <= levels
    before, decisions = controller.level, list(played(controller, 400))
    for _, decision in decisions:
        assert 1 <= decision.level <= levels
        assert decision.level == before + decision.change
        assert abs(decision.change) == 1
        assert (decision.by, decision.reason) == ("policy", "because")
        before = decision.level
    assert controller.level == before
    for (first, one), (second, other) in pairwise(decisions):
        factor = 2 if one.change == -other.change else 1
        assert second - first >= max(factor * cooldown, factor * 5 * (tasks - 1))


@settings(deadline=None)
@given(st.sampled_from([-1, 0, 1]), st.integers(1, 10))
def test_a_constant_proposal_never_turns_round(change, start):
    controller = Controller(Always(change), start=start)
    changes = [decision.change for _, decision in played(controller, 2000)]
    assert set(changes) <= {change}
    assert controller.level == {-1: 1, 0: start, 1: 10}[change]


def test_a_proposal_must_stand():
    class Flickers:
        def propose(self, now, state, outcomes):
            return Proposal(int(now) % 2, "because")

    assert list(played(Controller(Flickers(), stand_seconds=2), 500)) == []
    assert list(played(Controller(Flickers(), stand_seconds=0), 500))


def test_tasks_of_another_level_do_not_count():
    controller = Controller(Always(1), cooldown_seconds=0, stand_seconds=0)
    for now in range(10):
        controller.outcome(TaskResult(now, True, 1.0, 7))
        assert controller.update(now, STATE) is None
    assert list(controller.outcomes) == []


@settings(deadline=None)
@given(st.integers(0, 2**16))
def test_off_means_off(seed):
    policy = Moody(seed)
    controller = Controller(policy, adapt=False)
    assert list(played(controller, 300)) == []
    assert policy.asked == 0
    controller.adapt = True
    assert controller.adapt
    assert all(second >= 320 for second, _ in played(controller, 300, first=300))


@settings(deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([-1, 0, 1]))
def test_the_players_word_counts_at_once_and_holds(seed, change):
    controller = Controller(Moody(seed), start=5)
    list(played(controller, 100))
    before = controller.level
    decision = controller.override(change)
    assert (decision.by, decision.change, decision.level) == ("player", controller.level - before, controller.level)
    assert controller.level == min(max(before + change, 1), 10)
    assert controller.held
    assert list(played(controller, 300, first=100)) == []
    controller.override(None)
    assert not controller.held
    assert all(second >= 420 for second, _ in played(controller, 100, first=400))


def test_the_players_word_works_with_adaptation_off_and_ends_at_the_ends():
    controller = Controller(Always(1), levels=3, start=2, adapt=False)
    assert controller.override(1).level == 3
    last = controller.override(1)
    assert (last.level, last.change, last.reason) == (3, 0, "This is already the hardest level.")
    assert [controller.override(-1).level for _ in range(3)] == [2, 1, 1]


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_number_decides_nothing(now):
    controller = Controller(Always(1), cooldown_seconds=0, min_tasks=0, stand_seconds=0)
    assert controller.update(now, STATE) is None


def test_a_clock_that_goes_back_waits_anew_and_goes_on():
    controller = Controller(Always(1))
    assert list(played(controller, 100, first=10_000))
    seconds = [second for second, _ in played(controller, 100)]
    assert seconds
    assert seconds[0] >= 20


def test_the_policy_is_shown_what_a_level_feels_like_and_each_level_anew():
    class Shown:
        def __init__(self):
            self.states = []

        def propose(self, now, state, outcomes):
            self.states.append(state.probabilities)
            return Proposal(0, "because")

    policy = Shown()
    controller = Controller(policy, state_seconds=10)
    bored = replace(STATE, probabilities=(0.0, 1.0, 0.0))
    for second in range(61):
        controller.update(second, bored)
    assert policy.states[0] == pytest.approx(STATE.probabilities)
    assert policy.states[10][1] == pytest.approx(1 - math.exp(-1) * 2 / 3)
    assert policy.states[-1] == pytest.approx(bored.probabilities, abs=0.01)
    controller.override(1)
    controller.override(None)
    controller.update(61, bored)
    assert policy.states[-1] == pytest.approx(STATE.probabilities)


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"reversal": 0.5}, {"cooldown_seconds": -1}, {"min_tasks": -1}])
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Controller(Always(0), **wrong)


def test_what_was_felt_is_forgotten_when_asked_and_a_proposal_must_stand_anew():
    felt = []

    class Listens(Always):
        def propose(self, now, state, outcomes):
            felt.append(state.probabilities)
            return super().propose(now, state, outcomes)

    controller = Controller(Listens(-1), cooldown_seconds=0, min_tasks=0, stand_seconds=5)
    sad = replace(STATE, name="frustrated", probabilities=(0.9, 0.05, 0.05))
    decisions = [controller.update(now, sad) for now in range(5)]
    assert felt[-1][0] > 0.4
    controller.forget_state()
    decisions += [controller.update(now, STATE) for now in range(5, 10)]
    assert felt[5] == pytest.approx(STATE.probabilities)
    assert decisions == [None] * 10
    assert controller.update(10, STATE)
