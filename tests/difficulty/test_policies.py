"""The proposals of each policy: none of them switches back and forth, and all of them give a reason as a sentence."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.config.option_settings import read_options
from fer_lightning.config.settings import build
from fer_lightning.difficulty.affect import Affect
from fer_lightning.difficulty.controller import Controller
from fer_lightning.difficulty.performance import Performance
from fer_lightning.difficulty.policy import Policy, TaskResult
from fer_lightning.errors import UserError
from fer_lightning.player.state import STATES, PlayerState

POLICIES = read_options(Policy, "live/policy")
UNKNOWN = (1 / 3, 1 / 3, 1 / 3)

rates = st.floats(0, 1)
probabilities = st.tuples(*[st.floats(0.001, 1)] * 3).map(lambda values: tuple(v / sum(values) for v in values))


def player(probabilities: tuple[float, float, float]) -> PlayerState:
    most = max(probabilities)
    name = STATES[probabilities.index(most)] if most > 0.5 else "unknown"
    return PlayerState(name, (3 * most - 1) / 2, probabilities, {"face": 1.0, "text": 0.0}, ())


def tasks(results: str, level: int = 3) -> list[TaskResult]:
    """Return tasks from a string of + (solved) and - (not solved)."""
    return [TaskResult(10.0 * place, letter == "+", 10.0, level) for place, letter in enumerate(results)]


@pytest.mark.parametrize("name", POLICIES)
@settings(deadline=None)
@given(st.text("+-", max_size=20), probabilities)
def test_every_policy_proposes_one_step_and_a_sentence(name, results, state):
    proposal = POLICIES[name].propose(100.0, player(state), tasks(results))
    assert proposal.change in (-1, 0, 1)
    assert proposal.reason[0].isupper()
    assert proposal.reason.endswith(".")
    assert not {"angry", "sad", "frustrated", "bored"} & set(proposal.reason.lower().split())


@pytest.mark.parametrize("name", POLICIES)
@settings(deadline=None, max_examples=40)
@given(results=st.sampled_from(["+", "-", "+++-", "+-", "+--"]), state=probabilities)
def test_under_constant_input_no_policy_swings(name, results, state):
    """The level changes in only one direction or not at all if the state and the tasks solved are constant."""
    controller = Controller(POLICIES[name], start=5)
    changes = []
    for second in range(600):
        task, between = divmod(second, 8)
        if not between:
            controller.outcome(TaskResult(second, results[task % len(results)] == "+", 8.0, controller.level))
        decision = controller.update(second, player(state))
        changes += [decision.change] if decision else []
    assert all(one == other for one, other in pairwise(changes))


@pytest.mark.parametrize(
    ("results", "change"),
    [("", 0), ("+", 0), ("-", -1), ("++++++++", 1), ("---", -1), ("+++-", 0), ("+--+-", -1), ("---++++++++++", 1)],
)
def test_performance_follows_success(results, change):
    assert Performance().propose(0, player(UNKNOWN), tasks(results)).change == change


@settings(deadline=None)
@given(st.text("+-", max_size=12), probabilities)
def test_an_unknown_state_leaves_performance(results, state):
    """Also, `performance` does not use the state at all."""
    alone = Performance().propose(0, player(state), tasks(results))
    assert Affect().propose(0, player(UNKNOWN), tasks(results)) == alone


@pytest.mark.parametrize(
    ("state", "results", "change"),
    [
        ((0.9, 0.05, 0.05), "+++-", -1),  # frustrated at a fitting rate: easier
        ((0.05, 0.9, 0.05), "+++-", 1),  # bored at a fitting rate: harder
        ((0.05, 0.9, 0.05), "+--+-", 0),  # bored and failing: success and state cancel
        ((0.9, 0.05, 0.05), "++++++++", 0),  # frustrated and solving
        ((0.02, 0.02, 0.96), "++++++++", 0),  # engaged and solving: the level stays
        ((0.02, 0.02, 0.96), "------", -1),  # engaged, but nothing is solved
    ],
)
def test_affect_weighs_state_and_success(state, results, change):
    assert Affect().propose(0, player(state), tasks(results)).change == change


@settings(deadline=None)
@given(st.text("+-", max_size=12), probabilities, st.floats(0, 0.5))
def test_affect_is_monotone_in_the_state(results, state, moved):
    """Moving probability from frustrated to bored never makes the proposed level easier."""
    frustrated, bored, engaged = state
    moved = min(moved, frustrated)
    other = (frustrated - moved, bored + moved, engaged)
    before = Affect().propose(0, player(state), tasks(results)).change
    assert Affect().propose(0, player(other), tasks(results)).change >= before


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(0, 11))
def test_performance_is_monotone_in_success(results, place):
    better = [solved or position == place for position, solved in enumerate(results)]
    both = [[TaskResult(0, solved, 5, 3) for solved in each] for each in (results, better)]
    before, after = (Performance().drive(outcomes) for outcomes in both)
    assert after >= before


def test_reasons_say_what_counted():
    assert (
        Performance().propose(0, player(UNKNOWN), tasks("++++++++")).reason
        == "You solved all of the last 8 tasks, so I made it a little harder."
    )
    by_state = Affect().propose(0, player((0.9, 0.05, 0.05)), tasks("+++-")).reason
    assert by_state == "I think this was difficult, so I made it a little easier. Please tell me if I am wrong."
    one = Performance().propose(0, player(UNKNOWN), tasks("-")).reason
    assert one == "You did not solve the last task, so I made it a little easier."


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"_target_": "os.system", "command": "true"}, "not allowed here"),
        ({"_target_": "fer_lightning.difficulty.affect.Affect", "taks": 3}, "Did you mean policy.tasks"),
        (
            {"_target_": "fer_lightning.difficulty.performance.Performance", "target": 1.5},
            r"policy\.target=1\.5: must be greater",
        ),
        ({"_target_": "fer_lightning.difficulty.affect.Affect", "hold": -1.0}, "must be 0 or more"),
        ({"_target_": "fer_lightning.difficulty.affect.Affect", "tasks": "six"}, "policy.tasks='six'"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_in_words(node, words):
    with pytest.raises(UserError, match=words):
        build(Policy, node, "policy.")


@pytest.mark.parametrize("target", [0.1, 0.5, 0.75, 0.85, 0.99])
@pytest.mark.parametrize("count", [1, 3, 10, 50])
def test_all_tasks_solved_mean_harder_and_none_easier_for_each_target(target, count):
    policy = Performance(target=target, tasks=count)
    assert policy.propose(0, player(UNKNOWN), tasks("+" * count)).change == 1
    assert policy.propose(0, player(UNKNOWN), tasks("-" * count)).change == -1
