"""Compare the difficulty policies on simulated players: how much does an estimate of the player's state help?

The result holds only if players behave as the settings `people.*` assume.

    python -m fer_lightning.simulate model=outputs/train/seed-0/face.onnx
    python -m fer_lightning.simulate players=200 people.expressivity=0.3

It writes simulation.png, index.html, table.md, table.csv and summary.json. It does not need torch.
"""

import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.option_settings import read_options
from fer_lightning.config.settings import check, declared
from fer_lightning.difficulty.policy import Policy
from fer_lightning.errors import UserError
from fer_lightning.failures import stop_on_sigterm
from fer_lightning.files import require_own_folder
from fer_lightning.paths import CONF
from fer_lightning.simulate.settings import Expressions, People, SimulateSettings
from fer_lightning.terminal import plain_console, progress_bar

if TYPE_CHECKING:
    from rich.table import Table

    from fer_lightning.faces.face_model import FaceModel
    from fer_lightning.simulate.study import Result

COMMAND = Command(
    "python -m fer_lightning.simulate", SimulateSettings, CONF / "live" / "simulate.yaml", example="model=face.onnx"
)


def main(arguments: list[str] | None = None) -> None:
    stop_on_sigterm()
    with command.report_errors("simulate", "No file is incomplete", again="starts from the beginning"):
        overrides = command.read_arguments(COMMAND, __doc__, arguments)
        run(config(overrides), f"{COMMAND.program} {shlex.join(overrides)}".strip())


def config(overrides: list[str]) -> SimulateSettings:
    """Return the settings of a command line. Raise UserError for invalid settings."""
    settings = command.settings(COMMAND, overrides)
    for name, changed in settings.others.items():
        if not isinstance(changed, dict):
            raise UserError(f"others.{name}={changed!r}: must be a set of assumptions such as {{expressivity: 0.2}}.")
        check(People, changed, f"others.{name}.")
    return settings


def run(settings: SimulateSettings, typed: str) -> None:
    """Simulate with a progress bar on a terminal, write the results and print a summary."""
    from fer_lightning.simulate import report
    from fer_lightning.simulate.study import arms, scenarios, simulate

    require_own_folder(Path(settings.out), "out", report.MARK)
    model = _model(settings.model)
    others = settings.others if settings.sensitivity else {}
    if model is None:
        others = {
            name: changed for name, changed in others.items() if not declared(Expressions).keys() >= changed.keys()
        }
    print(f"simulating {settings.players:,} players; 1,000 players take about 5 minutes on two cores", file=sys.stderr)
    began = time.monotonic()
    with progress_bar("players") as progress:
        results = simulate(
            scenarios(settings.people, others),
            arms(read_options(Policy, "live/policy"), faces=model is not None),
            confusion=(model.metadata.classes, model.metadata.confusion) if model else None,
            players=settings.players,
            minutes=settings.minutes,
            seed=settings.seed,
            workers=settings.workers,
            progress=progress,
        )
    setup = {
        "command": typed,
        "players": settings.players,
        "minutes": settings.minutes,
        "seed": settings.seed,
        "model": _describe_model(model),
        "seconds": round(time.monotonic() - began),
        "people": asdict(settings.people),
        "others": others,
        "shows": report.SHOWS,
        "cannot": report.CANNOT,
    }
    report.write(Path(settings.out), results, setup)
    _print_summary(results, setup, Path(settings.out))


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
    facts = {"name": model.metadata.name, "caution": model.metadata.caution, "sha256": model.sha256}
    return facts | {"acc": round(right, 4), "confusion": confusion}


def policy_table(results: "list[Result]") -> "Table":
    """Return the table of the metrics of each policy, for a terminal."""
    from rich.table import Table

    from fer_lightning.simulate import report

    table = Table("policy", "time in flow, %", "left, %", "turns per 10 min", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for result in results:
        table.add_row(result.arm.name, *(report.shown(result.metrics[name], name) for name in report.COMPARED))
    return table


def _print_summary(results: "dict[str, list[Result]]", setup: dict[str, Any], out: Path) -> None:
    from fer_lightning.simulate import report

    console = plain_console()
    console.print(policy_table(next(iter(results.values()))), highlight=False)
    console.print(
        "",
        report.face_words(setup),
        *report.verdicts(results, setup["players"]),
        "",
        report.CANNOT,
        sep="\n",
        highlight=False,
    )
    print(f"\nresults: {out}/index.html   figure: {out}/simulation.png")
    print("next: open the page in a browser; to play yourself, python -m fer_lightning.game")


if __name__ == "__main__":
    main()
