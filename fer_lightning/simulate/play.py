"""Simulate one player under one policy, second by second, with the real estimator, policies and controller."""

from collections.abc import Callable
from dataclasses import dataclass

from fer_lightning.difficulty.controller import Controller
from fer_lightning.difficulty.policy import Policy, TaskResult
from fer_lightning.player.evidence import STATES
from fer_lightning.player.state import PlayerState, StateEstimator
from fer_lightning.simulate.people import Person, state_shares, success
from fer_lightning.simulate.sensors import Camera, Recognition, written
from fer_lightning.simulate.settings import People

ENGAGED = STATES.index("engaged")
UNASKED = PlayerState("unknown", 0.0, (1 / 3, 1 / 3, 1 / 3), {"face": 0.0, "text": 0.0}, ())
TRUE_STATES = tuple(
    PlayerState(name, 1.0, tuple(float(other == name) for other in STATES), {"face": 1.0, "text": 1.0}, ())
    for name in STATES
)


@dataclass(frozen=True)
class PolicyArm:
    """One kind of adaptation.

    policy  difficulty policy
    faces   True: the policy uses the camera
    texts   True: the policy uses typed texts
    oracle  True: the policy receives the true state
    """

    name: str
    policy: Policy
    faces: bool = False
    texts: bool = False
    oracle: bool = False


@dataclass
class PlayedGame:
    """Result of one game; times are in seconds.

    flow       time in flow
    played     time until the end of the game or until the player left
    left       True if the player left before the end
    changes    number of changes of level
    reversals  number of changes against the direction of the change before
    named      time with a named state
    right      time with the right state
    by_minute  time in flow in each minute
    """

    flow: int = 0
    played: int = 0
    left: bool = False
    changes: int = 0
    reversals: int = 0
    named: int = 0
    right: int = 0
    by_minute: tuple[int, ...] = ()


def play(people: People, person: Person, arm: PolicyArm, model: Recognition | None, minutes: int) -> PlayedGame:
    """Play `minutes` of a game, or fewer if the player leaves. The first state is drawn at the first level."""
    controller = Controller(arm.policy)
    sensed = _sensing(people, person, arm, model)
    skill, hazard, now_state, task = person.skill, 0.0, None, 0
    ends = _duration(people, person, 0)
    leaving = (people.leave_frustrated / 60, people.leave_bored / 60, people.leave_engaged / 60)
    session, by_minute, direction = PlayedGame(), [0] * minutes, 0
    for second in range(60 * minutes):
        if now_state is None or person.draws["turn"][second] < 1 / people.state_seconds:
            now_state = _turned(people, skill - controller.level - person.surplus, person.draws["state"][second])
        skill += person.learning / 60 * (1.0 if now_state == ENGAGED else people.learning_outside)
        hazard += leaving[now_state]
        session.played += 1
        if hazard > person.patience:
            session.left = True
            break
        if now_state == ENGAGED:
            session.flow += 1
            by_minute[second // 60] += 1
        state = sensed(second, now_state)
        session.named += state.name != "unknown"
        session.right += state.name == STATES[now_state]
        if second >= ends:
            solved = person.tasks[task][0] < success(people, skill, controller.level)
            controller.outcome(TaskResult(second, solved, people.task_seconds, controller.level))
            task += 1
            ends = second + _duration(people, person, task)
        decision = controller.update(second, state)
        if decision:
            session.changes += 1
            session.reversals += decision.change == -direction
            direction = decision.change
    session.by_minute = tuple(by_minute)
    return session


def _sensing(
    people: People, person: Person, arm: PolicyArm, model: Recognition | None
) -> Callable[[int, int], PlayerState]:
    """Return a function from (second, true state) to the state that the policy receives."""
    if arm.oracle:
        return lambda second, state: TRUE_STATES[state]
    if not (arm.faces or arm.texts):
        return lambda second, state: UNASKED
    seen = model if arm.faces else None
    estimator = StateEstimator(seen.classes if seen else None, class_shares=seen.shares if seen else None)
    camera = Camera(people, person, seen) if seen else None

    def sense(second: int, state: int) -> PlayerState:
        if camera:
            probabilities, quality = camera.look(second, state)
            estimator.see(second, probabilities, quality=quality)
        text = written(people, person, second, state) if arm.texts else None
        if text:
            estimator.read(second, text)
        return estimator.estimate(second)

    return sense


def _turned(people: People, balance: float, uniform: float) -> int:
    frustrated, bored, _ = state_shares(people, balance)
    return 0 if uniform < frustrated else 1 if uniform < frustrated + bored else ENGAGED


def _duration(people: People, person: Person, task: int) -> float:
    return max(people.task_seconds * person.tasks[min(task, len(person.tasks) - 1)][1], 2.0)
