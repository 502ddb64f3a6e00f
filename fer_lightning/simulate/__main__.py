"""Simulated players under each difficulty policy: what is gained by sensing how a player feels, if they are as assumed.

    python -m fer_lightning.simulate model=outputs/train/seed-0/face.onnx
    python -m fer_lightning.simulate players=200 people.expressivity=0.3

model          an exported file, whose measured mistakes stand between faces and labels; without one nobody has a camera
players        simulated people (default: 1000); each plays once under every policy
minutes        of one game (default: 20)
seed           of everything that is drawn
workers        processes (default: 2)
out            folder of the results (default: outputs/simulation); the same command again replaces them
people.*       what is assumed about the players: see conf/live/simulate.yaml
sensitivity    false: only as assumed, without what others= tries

It writes simulation.png, index.html, table.md, table.csv and summary.json. No torch is needed.
"""

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from omegaconf import DictConfig, OmegaConf

from fer_lightning.config import command
from fer_lightning.config.check import nearest
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF
from fer_lightning.simulate.settings import PeopleSettings, SimulateSettings

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
# Which make no difference where nobody has a camera.
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
    overrides = command.typed(COMMAND.program, __doc__, "[model=FILE] [key=value ...]", arguments)
    signal.signal(signal.SIGTERM, _terminate)
    with command.failures_in_words("simulate", "No file is half written", again="begins anew"):
        run(config(overrides), f"{COMMAND.program} {shlex.join(overrides)}".strip())


def config(overrides: list[str]) -> DictConfig:
    """The typed command line; UserError where it cannot be meant."""
    cfg = command.settings(COMMAND, overrides)
    for key in ("players", "minutes", "workers"):
        if cfg[key] < 1:
            raise UserError(f"{key}={cfg[key]}: expected 1 or more")
    people = OmegaConf.to_container(cfg.people)
    _check_people("people", people)
    for name, changed in OmegaConf.to_container(cfg.others).items():
        if not isinstance(changed, dict):
            raise UserError(f"others.{name}={changed!r}: expected assumptions such as {{expressivity: 0.2}}")
        _check_people(f"others.{name}", changed)
    return cfg


def run(cfg: DictConfig, typed: str) -> None:
    """Simulate, with a bar on a terminal, write the results and print what came out."""
    from fer_lightning.simulate import report
    from fer_lightning.simulate.people import People
    from fer_lightning.simulate.study import arms, scenarios, simulate

    model = _model(cfg.model)
    people = OmegaConf.to_container(cfg.people)
    others = OmegaConf.to_container(cfg.others) if cfg.sensitivity else {}
    if model is None:
        others = {name: changed for name, changed in others.items() if not OF_FACES.issuperset(changed)}
    print(f"simulating {cfg.players:,} players: 1,000 take about five minutes on two cores", file=sys.stderr)
    began = time.monotonic()
    with _bar() as progress:
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
        "model": _about(model),
        "seconds": round(time.monotonic() - began),
        "people": people,
        "others": others,
        "shows": report.SHOWS,
        "cannot": report.CANNOT,
    }
    report.write(Path(cfg.out), results, about)
    _tell(results, about, Path(cfg.out))


def _check_people(where: str, values: dict[str, Any]) -> None:
    known = [field.name for field in fields(PeopleSettings)]
    for name, value in values.items():
        if name not in known:
            raise UserError(
                f"{where}.{name}: no such assumption.{nearest(name, known)} They stand in conf/live/simulate.yaml."
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
            raise UserError(f"{where}.{name}={value!r}: expected a number")
        if (name in SHARES and not 0 <= value <= 1) or (name == "face_lost" and not 0 <= value < 1):
            raise UserError(f"{where}.{name}={value}: a share, 0 to 1{', less than 1' if name == 'face_lost' else ''}")
        if name in ABOVE_0 and value <= 0:
            raise UserError(f"{where}.{name}={value}: expected more than 0")
        if value < 0 and name not in ("skill", "surplus"):
            raise UserError(f"{where}.{name}={value}: expected 0 or more")


def _model(path: str | None) -> "FaceModel | None":
    """UserError for a file that does not know its mistakes."""
    if path is None:
        return None
    from fer_lightning.faces.face_model import FaceModel

    model = FaceModel(Path(path))
    if model.metadata.confusion is None or not sum(map(sum, model.metadata.confusion)):
        raise UserError(
            f"model={path}: its metadata has no confusion matrix, because its run has no test rows, so that nobody "
            f"knows its mistakes. Leave model= out: nobody has a camera then"
        )
    return model


def _about(model: "FaceModel | None") -> dict[str, Any] | None:
    if model is None:
        return None
    confusion = model.metadata.confusion
    right = sum(row[place] for place, row in enumerate(confusion)) / sum(map(sum, confusion))
    return {"name": model.metadata.name, "sha256": model.sha256, "acc": round(right, 4), "confusion": confusion}


def _policies() -> dict[str, dict[str, Any]]:
    """The options of conf/live/policy/."""
    folder = CONF / "live" / "policy"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


@contextmanager
def _bar() -> Iterator[Any]:
    """On a terminal alone."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("players", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(results: "dict[str, list[Result]]", about: dict[str, Any], out: Path) -> None:
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
    print(f"\nresults: {out}/index.html   picture: {out}/simulation.png")


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
