"""Simulated players, drawn from the assumptions about them.

Flow theory (Csikszentmihalyi 1990, Flow) describes three states. People are absorbed if the challenge matches their
skill, anxious if it is too great, and bored if it is too small. Here these states are called engaged, frustrated and
bored. Skill and challenge use the same scale, that of the levels. All numbers are assumptions; none was fitted to data.
"""

import math
from dataclasses import dataclass

import numpy as np

from fer_lightning.player.evidence import STATES
from fer_lightning.player.state import assumed_expressions, expression_shares
from fer_lightning.simulate.settings import People

# Decisions that each use one uniform random number per second.
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
class Person:
    """One player, the same under every policy: personal traits, and all random numbers of the game.

    surplus      number of levels by which the skill must exceed the challenge for the player to be comfortable
    expressions  P(class | state) of this player, (3, K)
    patience     the player leaves when the sum of the hazards exceeds this number
    draws        uniform random numbers by decision: name -> one per second
    tasks        for each task a uniform random number for its success and a factor of its duration
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
    """Return the player with this number. Other assumptions use the same random numbers, so that results are paired."""
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
    """Return the probabilities of STATES if the skill is `balance` levels above the comfortable skill.

    They are a softmax with these logits: engaged 0, bored sharpness * (balance - tolerance), frustrated
    sharpness * (-balance - tolerance).
    """
    bored = math.exp(min(people.sharpness * (balance - people.tolerance), 50.0))
    frustrated = math.exp(min(people.sharpness * (-balance - people.tolerance), 50.0))
    total = frustrated + bored + 1.0
    return frustrated / total, bored / total, 1.0 / total


def success(people: People, skill: float, level: int) -> float:
    """Return the probability to solve a task: logistic in skill minus challenge (Rasch 1960)."""
    return 1 / (1 + math.exp(min(-people.slope * (skill - level), 50.0)))


def _expressions(
    people: People, classes: tuple[str, ...], expressive: float, smiles: bool, random: np.random.Generator
) -> list[list[float]]:
    """Return P(class | state) of one person, drawn around the assumed table.

    With the probability `expressivity` the face shows the state: its row is drawn around the assumed row. Otherwise it
    shows the same resting face in every state, drawn around the mean of the rows. A person who smiles when frustrated
    has the shares of happiness and of anger and frustration swapped in that state.
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
    bitter = [index for index, name in enumerate(classes) if name in ("angry", "frustration")]
    happy = [index for index, name in enumerate(classes) if name == "happy"]
    if not bitter or not happy:
        return row
    changed = row.copy()
    changed[happy] = row[bitter].sum()
    changed[bitter] = row[happy].sum() / len(bitter)
    return changed
