"""Write the files of a simulation: table.csv, table.md, summary.json, simulation.png and a page with all results."""

import base64
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_lightning.files import write_atomically, write_csv
from fer_lightning.pages.templates import environment, render_markdown
from fer_lightning.simulate.figures import COLORS, draw
from fer_lightning.simulate.study import BASELINE, BLIND, COMPARED, METRICS, MetricValue, Result

LEAST_PLAYERS = 30  # minimum number of players for an interval by resampling
SHOWS = (
    "The simulation shows whether sensors, policy and controller work together. It shows how much a policy could gain "
    "if it knew the player's true state (the oracle), how much of this gain the sensors lose, and which assumptions "
    "matter."
)
CANNOT = (
    "The simulation cannot show that adaptation helps people. The players behave as we assumed: skill and challenge "
    "determine the state, faces and texts show the state as often as the settings people.* say, and the state "
    "determines who leaves. The intervals describe random variation between players, not the uncertainty of these "
    "assumptions. Only a study with people can show whether adaptation helps."
)
MARK = ("index.html", "<title>Simulated players</title>")  # of the folder of a simulation
# metric -> column, factor, digits
COLUMNS = {
    "flow": ("time in flow, %", 100, 1),
    "left": ("left, %", 100, 1),
    "reversals": ("turns per 10 min", 1, 2),
    "changes": ("changes per 10 min", 1, 2),
    "named": ("state named, %", 100, 0),
    "right": ("named state right, %", 100, 0),
}
WORDS = {
    "fixed": "the level never changes",
    BASELINE: "uses only the share of solved tasks",
    "affect": "uses solved tasks, faces and texts",
    "affect, camera off": "uses solved tasks and texts",
    "oracle": "like affect, but knows the true state at every moment",
}


def write(folder: Path, results: dict[str, list[Result]], setup: dict[str, Any]) -> None:
    """Write all files into `folder`. `setup` holds settings, model and command, the first keys of summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{setup['players']:,} simulated players, {setup['minutes']} minutes each, mean and 95 % interval"
    draw(results, folder / "simulation.png", title)
    write_csv(folder / "table.csv", ["world", "policy", "metric", "value", "low", "high"], _csv_rows(results))
    write_atomically(folder / "table.md", markdown(results, setup))
    worlds = {world: [_plain(result) for result in of_world] for world, of_world in results.items()}
    write_atomically(folder / "summary.json", json.dumps(setup | {"results": worlds}, indent=2) + "\n")
    write_atomically(folder / "index.html", _page(folder, results, setup))


def verdicts(results: dict[str, list[Result]], players: int) -> list[str]:
    """Return one sentence per policy, and one for the camera: the difference in time in flow and its verdict."""
    if players < LEAST_PLAYERS:
        return [
            f"{players:,} players are too few for a conclusion. Use at least {LEAST_PLAYERS}, and 1,000 for small "
            "differences."
        ]
    by_policy = {result.arm.name: result for result in next(iter(results.values()))}
    sentences = []
    for name, result in by_policy.items():
        if name != BASELINE:
            sentences.append(_verdict(name, result.differences["flow"], BASELINE))
        if result.by_camera:
            sentences.append(_verdict("the camera", result.by_camera["flow"], BLIND))
    return sentences


def _verdict(name: str, one: MetricValue, other: str) -> str:
    verdict = ("a gain" if one.value > 0 else "a loss") if one.shown else "no difference is shown"
    return f"{name}: {difference(one)} points of time in flow compared with {other}: {verdict}."


def markdown(results: dict[str, list[Result]], setup: dict[str, Any]) -> str:
    """Return table.md."""
    return render_markdown("simulation.md", **_content(results, setup))


def _content(results: dict[str, list[Result]], setup: dict[str, Any]) -> dict[str, Any]:
    """Return what the page and table.md show; a table is a pair of header and rows."""
    first = next(iter(results.values()))
    return {
        "about": setup,
        "faces": face_words(setup),
        "baseline": BASELINE,
        "verdicts": verdicts(results, setup["players"]),
        "metrics": (["policy", *(column for column, _, _ in COLUMNS.values())], _rows(first)),
        "differences": (["policy", *(COLUMNS[name][0] for name in COMPARED)], _difference_rows(first)),
        "worlds": (["assumption", "performance, %", *_sensing(first)], _world_rows(results)),
        "shows": SHOWS,
        "cannot": CANNOT,
    }


def face_words(setup: dict[str, Any]) -> str:
    if setup["model"] is None:
        return "No model is set, so that no player has a camera."
    return (
        f"Mistakes of the face labels are drawn from the confusion matrix of {setup['model']['name']} on its test rows "
        f"(accuracy {100 * setup['model']['acc']:.1f} %). {setup['model']['caution']}"
    ).rstrip()


def shown(one: MetricValue, name: str) -> str:
    """Return a value with its interval, such as `44.9 [43.5, 46.2]`, or a dash for NaN."""
    _, scale, digits = COLUMNS[name]
    if math.isnan(one.value):
        return "–"
    value, low, high = (f"{scale * end:.{digits}f}" for end in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]"


def difference(one: MetricValue, scale: float = 100, digits: int = 1) -> str:
    """Return a difference with its interval, such as `+1.0 [+0.2, +1.8]`, or a dash for NaN."""
    if math.isnan(one.value):
        return "–"
    value, low, high = (f"{round(scale * end, digits) + 0.0:+.{digits}f}" for end in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]".replace("-", "−")


def _rows(results: Sequence[Result]) -> list[list[str]]:
    sensed = {"named", "right"}
    return [
        [
            result.arm.name,
            *(
                "–" if name in sensed and not (result.arm.faces or result.arm.texts) else shown(one, name)
                for name, one in result.metrics.items()
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
    for world, of_world in results.items():
        by_name = {result.arm.name: result for result in of_world}
        cells = [difference(by_name[name].differences["flow"]) for name in _sensing(of_world)]
        rows.append([world, f"{100 * by_name[BASELINE].metrics['flow'].value:.1f}", *cells])
    return rows


def _csv_rows(results: dict[str, list[Result]]) -> Iterator[list[str]]:
    """Yield one row per set of assumptions, policy and metric or difference."""
    for world, of_world in results.items():
        for result in of_world:
            named = {name: result.metrics[name] for name in METRICS}
            named |= {f"{name} against performance": one for name, one in result.differences.items()}
            named |= {f"{name} by the camera": one for name, one in result.by_camera.items()}
            for name, one in named.items():
                yield [world, result.arm.name, name, *(f"{end:.6g}" for end in asdict(one).values())]


def _plain(result: Result) -> dict[str, Any]:
    """Return a result as plain values for JSON, with None instead of NaN."""
    metrics, differences, by_camera = (
        {name: {end: None if math.isnan(value) else round(value, 6) for end, value in asdict(one).items()}
         for name, one in part.items()}
        for part in (result.metrics, result.differences, result.by_camera)
    )  # fmt: skip
    by_minute = [round(share, 4) for share in result.by_minute]
    return {
        "policy": result.arm.name,
        "metrics": metrics,
        "differences": differences,
        "by_camera": by_camera,
        "flow_by_minute": by_minute,
    }


def _page(folder: Path, results: dict[str, list[Result]], setup: dict[str, Any]) -> str:
    first = next(iter(results.values()))
    content = base64.b64encode((folder / "simulation.png").read_bytes()).decode()
    policies = [(result.arm.name, COLORS[result.arm.name], WORDS[result.arm.name]) for result in first]
    page = environment().get_template("simulation.html")
    picture = f"data:image/png;base64,{content}"
    return page.render(picture=picture, policies=policies, **_content(results, setup))
