"""What `python -m fer_lightning.simulate` takes, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class PeopleSettings:
    """The fields of people.People, by the same names; what they mean stands in conf/live/simulate.yaml."""

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
    model: str | None = MISSING  # an exported file, for its confusion matrix
    players: int = MISSING  # simulated people
    minutes: int = MISSING  # of one game
    seed: int = MISSING  # of everything that is drawn
    workers: int = MISSING  # processes
    out: str = MISSING  # folder of the results
    people: PeopleSettings = field(default_factory=PeopleSettings)  # assumptions
    sensitivity: bool = MISSING  # whether other assumptions are tried too
    others: dict[str, Any] = MISSING  # name -> assumptions that are other than those
