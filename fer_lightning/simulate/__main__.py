"""Compare the difficulty policies on simulated players: how much does an estimate of the player's state help?

The result holds only if players behave as conf/live/simulate.yaml assumes.

    python -m fer_lightning.simulate model=outputs/train/seed-0/face.onnx
    python -m fer_lightning.simulate players=200 people.expressivity=0.3

model          exported file; its confusion matrix gives the mistakes of the labels; without it no camera is used
players        number of simulated people (default: 1000); each plays once under every policy
minutes        length of one game in minutes (default: 20)
seed           seed of all random numbers
workers        number of processes (default: 2)
out            folder of the results (default: outputs/simulation); the same command replaces the results
people.*       assumptions about the players; see conf/live/simulate.yaml
sensitivity    false: use only these assumptions, without the other assumptions in `others`

It writes simulation.png, index.html, table.md, table.csv and summary.json. It does not need torch.
"""

import shlex
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from omegaconf import DictConfig, OmegaConf

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF
from fer_lightning.simulate.settings import PeopleSettings, SimulateSettings
from fer_lightning.terminal import progress_bar
from fer_lightning.wording import did_you_mean

if TYPE_CHECKING:
    from fer_lightning.faces.face_model import FaceModel
    from fer_lightning.simulate.study import Result

COMMAND = Command(
    "python -m fer_lightning.simulate", SimulateSettings, CONF / "live" / "simulate.yaml", texts=("model", "out")
)
SHARES = (
    "learning_outside",
    "leave_engaged",
    "leave_bored",
    "leave_frustrated",
    "expressivity",
    "smiles",
    "mistakes",
    "face_doubtful",
    "texts_about_state",
    "texts_misleading",
)
# Assumptions that have no effect without a camera.
OF_FACES = {
    "expressivity",
    "expressivity_sd",
    "likeness",
    "smiles",
    "expression_seconds",
    "mistaken_seconds",
    "mistakes",
    "face_lost",
    "face_lost_seconds",
    "face_doubtful",
}
ABOVE_0 = ("likeness", "state_seconds", "task_seconds", "expression_seconds", "mistaken_seconds", "face_lost_seconds")


def main(arguments: list[str] | None = None) -> None:
    signal.signal(signal.SIGTERM, _terminate)
    with command.failures_in_words("simulate", "No file is incomplete", again="starts from the beginning"):
        overrides = command.typed(COMMAND.program, __doc__, "[model=FILE] [key=value ...]", arguments)
        run(config(overrides), f"{COMMAND.program} {shlex.join(overrides)}".strip())


def config(overrides: list[str]) -> DictConfig:
    """Return the config of a command line. Raise UserError for invalid settings."""
    cfg = command.settings(COMMAND, overrides)
    for key in ("players", "minutes", "workers"):
        if cfg[key] < 1:
            raise UserError(f"{key}={cfg[key]}: must be 1 or more.")
    people = OmegaConf.to_container(cfg.people)
    _check_people("people", people)
    for name, changed in OmegaConf.to_container(cfg.others).items():
        if not isinstance(changed, dict):
            raise UserError(f"others.{name}={changed!r}: must be a set of assumptions such as {{expressivity: 0.2}}.")
        _check_people(f"others.{name}", changed)
    return cfg


def run(cfg: DictConfig, typed: str) -> None:
    """Simulate with a progress bar on a terminal, write the results and print a summary."""
    from fer_lightning.simulate import report
    from fer_lightning.simulate.people import People
    from fer_lightning.simulate.study import arms, scenarios, simulate

    model = _model(cfg.model)
    people = OmegaConf.to_container(cfg.people)
    others = OmegaConf.to_container(cfg.others) if cfg.sensitivity else {}
    if model is None:
        others = {name: changed for name, changed in others.items() if not OF_FACES.issuperset(changed)}
    print(f"simulating {cfg.players:,} players; 1,000 players take about 5 minutes on two cores", file=sys.stderr)
    began = time.monotonic()
    with progress_bar("players") as progress:
        results = simulate(
            scenarios(People(**people), others),
            arms(_policies(), faces=model is not None),
            confusion=(model.metadata.classes, model.metadata.confusion) if model else None,
            players=cfg.players,
            minutes=cfg.minutes,
            seed=cfg.seed,
            workers=cfg.workers,
            progress=progress,
        )
    about = {
        "command": typed,
        "players": cfg.players,
        "minutes": cfg.minutes,
        "seed": cfg.seed,
        "model": _describe_model(model),
        "seconds": round(time.monotonic() - began),
        "people": people,
        "others": others,
        "shows": report.SHOWS,
        "cannot": report.CANNOT,
    }
    report.write(Path(cfg.out), results, about)
    _print_summary(results, about, Path(cfg.out))


def _check_people(where: str, values: dict[str, Any]) -> None:
    """Raise UserError for an unknown assumption or a value outside its range."""
    known = [field.name for field in fields(PeopleSettings)]
    for name, value in values.items():
        if name not in known:
            raise UserError(
                f"{where}.{name}: no such assumption.{did_you_mean(name, known)} "
                "conf/live/simulate.yaml lists all of them."
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
            raise UserError(f"{where}.{name}={value!r}: must be a number of at most 1,000,000.")
        if (name in SHARES and not 0 <= value <= 1) or (name == "face_lost" and not 0 <= value < 1):
            limit = "at least 0 and less than 1" if name == "face_lost" else "from 0 to 1"
            raise UserError(f"{where}.{name}={value}: must be a share {limit}.")
        if name in ABOVE_0 and value <= 0:
            raise UserError(f"{where}.{name}={value}: must be greater than 0.")
        if value < 0 and name not in ("skill", "surplus"):
            raise UserError(f"{where}.{name}={value}: must be 0 or more.")


def _model(path: str | None) -> "FaceModel | None":
    """Return the model. Raise UserError if the file has no confusion matrix."""
    if path is None:
        return None
    from fer_lightning.faces.face_model import FaceModel

    model = FaceModel(Path(path))
    if model.metadata.confusion is None or not sum(map(sum, model.metadata.confusion)):
        raise UserError(
            f"model={path}: the file has no confusion matrix, because its run had no test rows. Use a model that was "
            "tested, or omit model= to simulate players without a camera."
        )
    return model


def _describe_model(model: "FaceModel | None") -> dict[str, Any] | None:
    if model is None:
        return None
    confusion = model.metadata.confusion
    right = sum(row[index] for index, row in enumerate(confusion)) / sum(map(sum, confusion))
    return {"name": model.metadata.name, "sha256": model.sha256, "acc": round(right, 4), "confusion": confusion}


def _policies() -> dict[str, dict[str, Any]]:
    """Return the options of conf/live/policy/ by name."""
    folder = CONF / "live" / "policy"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def _print_summary(results: "dict[str, list[Result]]", about: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from fer_lightning.simulate import report

    table = Table("policy", "time in flow, %", "left, %", "turns per 10 min", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for result in next(iter(results.values())):
        table.add_row(result.arm.name, *(report.shown(result.figures[name], name) for name in report.COMPARED))
    console = Console()
    console.print(table, highlight=False)
    console.print(
        "",
        report.face_words(about),
        *report.verdicts(results, about["players"]),
        "",
        report.CANNOT,
        sep="\n",
        highlight=False,
    )
    print(f"\nresults: {out}/index.html   figure: {out}/simulation.png")


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
