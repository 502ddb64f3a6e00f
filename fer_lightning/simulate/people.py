"""Simulated players: what is assumed about them, and each one as drawn from that.

Flow theory (Csikszentmihalyi 1990, Flow) says that somebody whose challenge fits their skill is absorbed, whose
challenge is too great is anxious, and whose challenge is too small is bored; here: engaged, frustrated, bored. Skill
and challenge are on one scale, that of the levels. All numbers are assumptions; none was fitted to anything.
"""

import math
from dataclasses import dataclass

import numpy as np

from fer_lightning.player.evidence import STATES
from fer_lightning.player.state import assumed_expressions, expression_shares

# What is decided by a uniform number of each second.
DRAWS = (
    "turn",
    "state",
    "show",
    "expression",
    "mistake",
    "label",
    "presence",
    "doubt",
    "write",
    "about",
    "sentence",
    "other",
)


@dataclass(frozen=True)
class People:
    """What is assumed; the values, with what they mean, stand in conf/live/simulate.yaml."""

    skill: float
    skill_sd: float
    learning: float
    learning_outside: float
    slope: float
    surplus: float
    surplus_sd: float
    tolerance: float
    sharpness: float
    state_seconds: float
    task_seconds: float
    leave_engaged: float
    leave_bored: float
    leave_frustrated: float
    expressivity: float
    expressivity_sd: float
    likeness: float
    smiles: float
    expression_seconds: float
    mistaken_seconds: float
    mistakes: float
    face_lost: float
    face_lost_seconds: float
    face_doubtful: float
    texts_per_minute: float
    texts_about_state: float
    texts_misleading: float


@dataclass(frozen=True)
class Person:
    """One player, the same under every policy: traits, and all their luck, second by second and task by task.

    surplus      by how many levels their skill must exceed the challenge to be comfortable
    expressions  P(class | state) (3, K), their own
    patience     they leave when the hazard that they have been through exceeds it
    draws        uniform numbers of each second, by what they decide: name -> T of them
    tasks        of each task a uniform number for its success and a factor of its duration
    """

    skill: float
    learning: float
    surplus: float
    expressions: list[list[float]]
    patience: float
    texts_per_minute: float
    draws: dict[str, list[float]]
    tasks: list[tuple[float, float]]


def person(people: People, classes: tuple[str, ...], seconds: int, seed: int, number: int) -> Person:
    """The player of this number; with other assumptions the same luck, so that what changes is the assumption."""
    random = np.random.default_rng([seed, number])
    skill, surplus, expressive, quick, talkative = random.standard_normal(5).tolist()
    smiles, patience = random.random(), random.standard_exponential()
    luck = random.random((len(DRAWS), seconds)).tolist()
    solved, pace = random.random(seconds).tolist(), random.lognormal(0.0, 0.35, seconds).tolist()
    return Person(
        skill=people.skill + people.skill_sd * skill,
        learning=people.learning * math.exp(0.5 * quick),
        surplus=people.surplus + people.surplus_sd * surplus,
        expressions=_expressions(people, classes, expressive, smiles < people.smiles, random),
        patience=patience,
        texts_per_minute=people.texts_per_minute * math.exp(0.5 * talkative),
        draws=dict(zip(DRAWS, luck, strict=True)),
        tasks=list(zip(solved, pace, strict=True)),
    )


def state_shares(people: People, balance: float) -> tuple[float, float, float]:
    """Of STATES, at `balance` levels of skill above what is comfortable: a softmax of straight lines.

    Engaged has 0, bored sharpness (balance - tolerance), frustrated sharpness (-balance - tolerance).
    """
    bored = math.exp(min(people.sharpness * (balance - people.tolerance), 50.0))
    frustrated = math.exp(min(people.sharpness * (-balance - people.tolerance), 50.0))
    total = frustrated + bored + 1.0
    return frustrated / total, bored / total, 1.0 / total


def success(people: People, skill: float, level: int) -> float:
    """The chance to solve a task: logistic in skill minus challenge (Rasch 1960)."""
    return 1 / (1 + math.exp(-people.slope * (skill - level)))


def _expressions(
    people: People, classes: tuple[str, ...], expressive: float, smiles: bool, random: np.random.Generator
) -> list[list[float]]:
    """A person's own P(class | state): the assumed table seen through their character.

    With the chance of their expressivity their face shows the state, by a row drawn around the assumed one; else it is
    their face at rest, whatever the state, drawn around the mean of the rows. Who smiles when frustrated shows then the
    expressions of joy as often as others those of anger and frustration, and the other way round.
    """
    if not classes:
        return []
    rows = expression_shares(classes, assumed_expressions())
    table = np.array([rows[state] for state in STATES])
    shows = min(max(people.expressivity + people.expressivity_sd * expressive, 0.0), 1.0)
    rest = random.dirichlet(people.likeness * table.mean(axis=0))
    own = np.array([random.dirichlet(people.likeness * row) for row in table])
    if smiles:
        own[0] = _smiling(own[0], classes)
    return (shows * own + (1 - shows) * rest).tolist()


def _smiling(row: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    bitter = [place for place, name in enumerate(classes) if name in ("angry", "frustration")]
    happy = [place for place, name in enumerate(classes) if name == "happy"]
    if not bitter or not happy:
        return row
    changed = row.copy()
    changed[happy] = row[bitter].sum()
    changed[bitter] = row[happy].sum() / len(bitter)
    return changed
