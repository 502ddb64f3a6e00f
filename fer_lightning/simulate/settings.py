"""Settings of `python -m fer_lightning.simulate`, among them all assumptions about the players.

None of the assumptions was measured. Levels are 1 to 10, and the game begins at level 3.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from fer_lightning.config.settings import Settings, nested, setting

MOST = 1_000_000  # maximum of a number without a natural limit, far below overflow
number = partial(setting, minimum=-MOST, maximum=MOST)
amount = partial(setting, minimum=0, maximum=MOST)
positive = partial(setting, above=0, maximum=MOST)
share = partial(setting, minimum=0, maximum=1)


@dataclass(frozen=True, kw_only=True)
class Behaviour(Settings):
    """Assumptions about skill, state and leaving."""

    skill: float = number(4.0, "mean skill of the players at the beginning, in levels")
    skill_sd: float = amount(1.5, "standard deviation of the skill over players, in levels")
    learning: float = amount(0.1, "levels of skill that the median player gains per minute of engagement")
    learning_outside: float = share(0.4, "share of this gain outside engagement")
    slope: float = amount(
        1.0, "slope of the probability to solve a task, in logits per level; it is 50 % if skill and level are equal"
    )
    surplus: float = number(
        1.1, "levels by which the skill must exceed the level to be comfortable; 1.1: three of four tasks are solved"
    )
    surplus_sd: float = amount(0.6, "standard deviation of the surplus over players, in levels")
    tolerance: float = amount(
        1.0,
        "distance from the comfortable level at which engagement is as likely as boredom or frustration, in levels",
    )
    sharpness: float = amount(2.0, "slope between two states, in logits per level")
    state_seconds: float = positive(25.0, "mean seconds until the state is drawn again")
    task_seconds: float = positive(10.0, "median seconds of a task")
    leave_engaged: float = share(0.005, "probability per minute that an engaged player leaves")
    leave_bored: float = share(0.03, "probability per minute that a bored player leaves")
    leave_frustrated: float = share(0.04, "probability per minute that a frustrated player leaves")


@dataclass(frozen=True, kw_only=True)
class Expressions(Settings):
    """Assumptions about faces, which have no effect without a camera."""

    expressivity: float = share(0.5, "share of the time in which the face shows the state; mean over people")
    expressivity_sd: float = amount(0.2, "standard deviation of the expressivity over people")
    likeness: float = positive(
        15.0,
        "similarity of a person's expressions to expressions.yaml: parameter of a Dirichlet distribution; "
        "large: similar",
    )
    smiles: float = share(
        0.0, "share of people who smile when they are frustrated, which expressions.yaml does not include"
    )
    expression_seconds: float = positive(4.0, "mean seconds of an expression")
    mistaken_seconds: float = positive(
        3.0, "mean seconds for which a label of the model stays the same during one expression"
    )
    mistakes: float = share(1.0, "share of the model's measured mistakes that happen; 0: the model is always right")
    face_lost: float = setting(0.1, "share of the time without a face", minimum=0, below=1)
    face_lost_seconds: float = positive(6.0, "mean seconds of an absence of the face")
    face_doubtful: float = share(0.1, "share of uncertain faces")


@dataclass(frozen=True, kw_only=True)
class People(Expressions, Behaviour):
    """Assumptions about the players."""

    texts_per_minute: float = amount(0.5, "texts per minute of the median player")
    texts_about_state: float = share(0.6, "share of texts about the true state")
    texts_misleading: float = share(0.1, "share of texts that suggest another state; all other texts are chat")


@dataclass(frozen=True, kw_only=True)
class SimulateSettings(Settings):
    """Settings of the simulation."""

    model: str | None = setting(
        None,
        "exported file; its confusion matrix gives the mistakes of the labels; null: no player has a camera",
        path=True,
    )
    players: int = setting(1000, "number of simulated people; each plays once under every policy", minimum=1)
    minutes: int = setting(20, "length of one game in minutes", minimum=1)
    seed: int = setting(0, "seed of all random numbers", minimum=0)
    workers: int = setting(2, "number of processes", minimum=1)
    out: str = setting("outputs/simulation", "folder of the results; the same command replaces them", path=True)
    people: People = nested(People)
    sensitivity: bool = setting(True, "true: also try the other assumptions in `others`; false: only those in `people`")
    others: dict[str, Any] = setting(
        comment="other assumptions by name, such as {smiles: 1.0}; each set is tried separately, with a quarter of "
        'the players; add one with "+others.half_of_them_smile={smiles: 0.5}"',
        factory=dict,
    )
