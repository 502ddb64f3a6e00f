"""The files of a simulation: table.csv, table.md, summary.json, simulation.png and a page with all of it."""

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_lightning.files import write_atomically
from fer_lightning.pages.templates import environment
from fer_lightning.simulate.figures import COLORS, draw
from fer_lightning.simulate.study import BASELINE, BLIND, COMPARED, FIGURES, Figure, Result

LEAST_PLAYERS = 30  # for an interval by resampling them
SHOWS = (
    "It shows whether sensing, policy and controller work together, how much a policy could gain if it knew the "
    "player's true state (the oracle), how much of that the sensors lose, and which assumptions matter."
)
CANNOT = (
    "It cannot show that any of this helps people. The players behave as we assumed: that skill and challenge make the "
    "state, that faces and texts follow the state as often as conf/live/simulate.yaml says, and that leaving follows "
    "from the state. The intervals speak of the luck of the draw, not of these assumptions. A study with people would "
    "have to show it."
)
# figure -> column, factor, digits
COLUMNS = {
    "flow": ("time in flow, %", 100, 1),
    "left": ("left, %", 100, 1),
    "reversals": ("turns per 10 min", 1, 2),
    "changes": ("changes per 10 min", 1, 2),
    "named": ("state named, %", 100, 0),
    "right": ("of these right, %", 100, 0),
}
WORDS = {
    "fixed": "the level stays where it began",
    BASELINE: "the share of solved tasks alone",
    "affect": "solved tasks, face and texts",
    "affect, camera off": "solved tasks and texts",
    "oracle": "as affect, but told the true state at every moment",
}


def write(folder: Path, results: dict[str, list[Result]], about: dict[str, Any]) -> None:
    """All of them. `about`: settings, model and command, as summary.json begins."""
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{about['players']:,} simulated players, {about['minutes']} minutes each, mean and 95 % interval"
    draw(results, folder / "simulation.png", title)
    write_atomically(folder / "table.csv", _csv(results))
    write_atomically(folder / "table.md", markdown(results, about))
    worlds = {world: [_plain(result) for result in found] for world, found in results.items()}
    write_atomically(folder / "summary.json", json.dumps(about | {"results": worlds}, indent=2) + "\n")
    write_atomically(folder / "index.html", _page(folder, results, about))


def verdicts(results: dict[str, list[Result]], players: int) -> list[str]:
    """What the first world says of each policy against performance alone, and of the camera, in sentences."""
    if players < LEAST_PLAYERS:
        return [
            f"From {players:,} of them nothing follows: it takes {LEAST_PLAYERS} and, for small differences, 1,000."
        ]
    found = {result.arm.name: result for result in next(iter(results.values()))}
    sentences = []
    for name, result in found.items():
        if name != BASELINE:
            sentences.append(_verdict(name, result.differences["flow"], "performance alone"))
        if result.by_camera:
            sentences.append(_verdict("the camera", result.by_camera["flow"], BLIND))
    return sentences


def _verdict(name: str, one: Figure, other: str) -> str:
    verdict = ("a gain" if one.value > 0 else "a loss") if one.shown else "no difference is shown"
    return f"{name}: {difference(one)} points of time in flow against {other}: {verdict}."


def markdown(results: dict[str, list[Result]], about: dict[str, Any]) -> str:
    first = next(iter(results.values()))
    parts = [
        "# Simulated players",
        f"`{about['command']}`",
        f"{about['players']:,} players of {about['minutes']} minutes under each policy, the same ones, seed "
        f"{about['seed']}. {face_words(about)} Mean, in brackets the 95 % interval over players.",
        _table(["policy", *(column for column, _, _ in COLUMNS.values())], _rows(first)),
        *verdicts(results, about["players"]),
        f"Against {BASELINE} alone, in points; turns per 10 min:",
        _table(["policy", *(COLUMNS[name][0] for name in COMPARED)], _difference_rows(first)),
        "Time in flow against performance alone, in points, if the players were others "
        "(each with a quarter of the players):",
        _table(["assumption", "performance, %", *_sensing(first)], _world_rows(results)),
        SHOWS,
        CANNOT,
    ]
    return "\n\n".join(parts) + "\n"


def face_words(about: dict[str, Any]) -> str:
    if about["model"] is None:
        return "No model was given, so nobody has a camera."
    return (
        f"Faces are seen through the mistakes that {about['model']['name']} made on its test rows "
        f"({100 * about['model']['acc']:.1f} % right)."
    )


def shown(figure: Figure, name: str) -> str:
    """`44.9 [43.5, 46.2]`, or a dash."""
    _, scale, digits = COLUMNS[name]
    if math.isnan(figure.value):
        return "–"
    value, low, high = (f"{scale * end:.{digits}f}" for end in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]"


def difference(figure: Figure, scale: float = 100, digits: int = 1) -> str:
    """`+1.0 [+0.2, +1.8]`"""
    if math.isnan(figure.value):
        return "–"
    value, low, high = (f"{scale * end:+.{digits}f}" for end in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]".replace("-", "−")


def _rows(results: Sequence[Result]) -> list[list[str]]:
    sensed = {"named", "right"}
    return [
        [
            result.arm.name,
            *(
                "–" if name in sensed and not (result.arm.faces or result.arm.texts) else shown(figure, name)
                for name, figure in result.figures.items()
            ),
        ]
        for result in results
    ]


def _difference_rows(results: Sequence[Result]) -> list[list[str]]:
    return [
        [result.arm.name, *(difference(result.differences[name], *COLUMNS[name][1:]) for name in COMPARED)]
        for result in results
        if result.arm.name != BASELINE
    ]


def _sensing(results: Sequence[Result]) -> list[str]:
    return [result.arm.name for result in results if result.arm.name not in ("fixed", BASELINE)]


def _world_rows(results: dict[str, list[Result]]) -> list[list[str]]:
    rows = []
    for world, found in results.items():
        by_name = {result.arm.name: result for result in found}
        cells = [difference(by_name[name].differences["flow"]) for name in _sensing(found)]
        rows.append([world, f"{100 * by_name[BASELINE].figures['flow'].value:.1f}", *cells])
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _csv(results: dict[str, list[Result]]) -> str:
    """A row for each world, policy and figure, and for each difference from performance alone."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["world", "policy", "figure", "value", "low", "high"])
    for world, found in results.items():
        for result in found:
            named = {name: result.figures[name] for name in FIGURES}
            named |= {f"{name} against performance": figure for name, figure in result.differences.items()}
            named |= {f"{name} by the camera": figure for name, figure in result.by_camera.items()}
            for name, figure in named.items():
                table.writerow([world, result.arm.name, name, *(f"{end:.6g}" for end in asdict(figure).values())])
    return text.getvalue()


def _plain(result: Result) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    figures, differences, by_camera = (
        {name: {end: None if math.isnan(value) else round(value, 6) for end, value in asdict(figure).items()}
         for name, figure in part.items()}
        for part in (result.figures, result.differences, result.by_camera)
    )  # fmt: skip
    by_minute = [round(share, 4) for share in result.by_minute]
    return {
        "policy": result.arm.name,
        "figures": figures,
        "differences": differences,
        "by_camera": by_camera,
        "flow_by_minute": by_minute,
    }


def _page(folder: Path, results: dict[str, list[Result]], about: dict[str, Any]) -> str:
    first = next(iter(results.values()))
    picture = base64.b64encode((folder / "simulation.png").read_bytes()).decode()
    return (
        environment()
        .get_template("simulation.html")
        .render(
            about=about,
            faces=face_words(about),
            picture=f"data:image/png;base64,{picture}",
            policies=[(result.arm.name, COLORS[result.arm.name], WORDS[result.arm.name]) for result in first],
            verdicts=verdicts(results, about["players"]),
            figures=(["policy", *(column for column, _, _ in COLUMNS.values())], _rows(first)),
            differences=(["policy", *(COLUMNS[name][0] for name in COMPARED)], _difference_rows(first)),
            worlds=(["assumption", "performance, %", *_sensing(first)], _world_rows(results)),
            shows=SHOWS,
            cannot=CANNOT,
        )
    )
