"""Types of the settings of `python -m fer_lightning.simulate`. Hydra refuses an unknown key or a wrong type."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class PeopleSettings:
    """Fields of people.People with the same names. conf/live/simulate.yaml describes each of them."""

    skill: float = MISSING
    skill_sd: float = MISSING
    learning: float = MISSING
    learning_outside: float = MISSING
    slope: float = MISSING
    surplus: float = MISSING
    surplus_sd: float = MISSING
    tolerance: float = MISSING
    sharpness: float = MISSING
    state_seconds: float = MISSING
    task_seconds: float = MISSING
    leave_engaged: float = MISSING
    leave_bored: float = MISSING
    leave_frustrated: float = MISSING
    expressivity: float = MISSING
    expressivity_sd: float = MISSING
    likeness: float = MISSING
    smiles: float = MISSING
    expression_seconds: float = MISSING
    mistaken_seconds: float = MISSING
    mistakes: float = MISSING
    face_lost: float = MISSING
    face_lost_seconds: float = MISSING
    face_doubtful: float = MISSING
    texts_per_minute: float = MISSING
    texts_about_state: float = MISSING
    texts_misleading: float = MISSING


@dataclass
class SimulateSettings:
    """Settings of the simulation."""

    model: str | None = MISSING  # exported file with a confusion matrix
    players: int = MISSING  # number of simulated people
    minutes: int = MISSING  # length of one game in minutes
    seed: int = MISSING  # seed of all random numbers
    workers: int = MISSING  # number of processes
    out: str = MISSING  # folder of the results
    people: PeopleSettings = field(default_factory=PeopleSettings)  # assumptions about the players
    sensitivity: bool = MISSING  # True: also try the other assumptions
    others: dict[str, Any] = MISSING  # name -> changed assumptions
