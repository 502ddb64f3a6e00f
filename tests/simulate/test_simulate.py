"""The simulation from command line to files: compared policies, intervals, and error messages."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from face_models import drawn_model
from PIL import Image
from smoke_processes import await_end, children

from fer_lightning.config.option_settings import read_options
from fer_lightning.difficulty.policy import Policy
from fer_lightning.errors import UserError
from fer_lightning.files import require_own_folder
from fer_lightning.simulate import __main__ as command
from fer_lightning.simulate import report
from fer_lightning.simulate.play import PlayedGame, PolicyArm
from fer_lightning.simulate.study import MetricValue, arms, scenarios, simulate, summarised

TINY = ("players=4", "minutes=2", "sensitivity=false")  # too few for a verdict
ARMS = (PolicyArm("performance", {}), PolicyArm("affect", {}, faces=True))


def simulated(*words: str) -> subprocess.CompletedProcess:
    """Run the command in an environment without torch."""
    code = (
        "import sys; sys.modules['torch'] = None; from fer_lightning.simulate.__main__ import main; main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def with_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation")
    model = drawn_model(folder / "face.onnx")
    done = simulated(*TINY, f"model={model}", f"out={folder / 'out'}", "workers=2")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_it_writes_what_it_says(with_model):
    folder, said = with_model
    out = folder / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["results"]) == ["as assumed"]
    names = [one["policy"] for one in summary["results"]["as assumed"]]
    assert names == ["fixed", "performance", "affect", "affect, camera off", "oracle"]
    assert summary["model"]["acc"] == 0.7
    assert len(summary["results"]["as assumed"][0]["flow_by_minute"]) == 2
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert {row["policy"] for row in rows} == set(names)
    with Image.open(out / "simulation.png") as picture:
        assert picture.width > 1000
    require_own_folder(out, "out", report.MARK)
    page, table = (out / "index.html").read_text(), (out / "table.md").read_text()
    for text in (page, table, said.replace("\n", " ").replace("  ", " ")):
        assert "drawn/seed-0" in text
        assert "cannot show that adaptation helps people" in text
    assert "<script" not in page
    assert "4 players are too few for a conclusion" in said


@pytest.mark.slow
def test_neither_the_number_of_processes_nor_another_run_changes_it(with_model):
    folder, _ = with_model
    again = simulated(*TINY, f"model={folder / 'face.onnx'}", f"out={folder / 'again'}", "workers=1")
    assert again.returncode == 0, again.stderr
    first, second = (json.loads((folder / name / "summary.json").read_text()) for name in ("out", "again"))
    assert first["results"] == second["results"]


@pytest.mark.slow
def test_without_a_model_nobody_has_a_camera(tmp_path):
    done = simulated("players=2", "minutes=1", "sensitivity=false", "workers=1", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "no player has a camera" in done.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["model"] is None
    assert "affect" not in [one["policy"] for one in summary["results"]["as assumed"]]


def test_other_assumptions_change_what_they_say_and_keep_the_luck():
    cfg = command.config(["+others.half_of_them_smile={smiles: 0.5}"])
    worlds = scenarios(cfg.people, cfg.others)
    assert next(iter(worlds)) == "as assumed"
    assert worlds["half of them smile"].smiles == 0.5
    worlds = {name: worlds[name] for name in ("people write much", "nobody writes")}
    how = {"confusion": None, "players": 12, "minutes": 3, "seed": 0, "workers": 1}
    found = simulate(worlds, arms(read_options(Policy, "live/policy"), faces=False), **how)
    written, silent = found.values()
    assert written[2].metrics["named"].value > silent[2].metrics["named"].value == 0
    assert silent[1].by_minute == silent[2].by_minute


def test_a_model_that_does_not_know_its_mistakes_is_refused(tmp_path):
    model = drawn_model(tmp_path / "face.onnx", confusion=None)
    with pytest.raises(UserError, match="no confusion matrix"):
        command._model(str(model))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("players=0", "players=0: must be 1 or more"),
        ("minutes=-3", "minutes=-3: must be 1 or more"),
        ("player=5", "Did you mean players"),
        ("people.expressivity=2", "people.expressivity=2.0: must be from 0 to 1 (share of the time"),
        ("people.face_lost=1", "less than 1"),
        ("people.likeness=0", "people.likeness=0.0: must be greater than 0"),
        ("people.skil=1", "people.skil: no such key"),
        ("people.learning=-1", "people.learning=-1.0: must be from 0 to 1000000"),
        ("+others.odd={smile: 1}", "others.odd.smile: no such key. Did you mean others.odd.smiles?"),
        ("+others.odd=3", "others.odd=3: must be a set of assumptions"),
        ("+others.odd={smiles: many}", "others.odd.smiles='many': must be a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(word, message):
    with pytest.raises(UserError) as refused:
        command.config([word])
    assert message in str(refused.value)


def test_intervals_hold_the_mean_and_the_baseline_differs_from_itself_by_nothing():
    random = np.random.default_rng(0)
    sessions = [
        [PlayedGame(flow=flow, played=120, left=bool(flow % 2), reversals=1, by_minute=(flow // 2, flow // 2))] * 2
        for flow in random.integers(0, 120, 50).tolist()
    ]
    baseline, affect = summarised(sessions, ARMS, 2, 0)
    flow = baseline.metrics["flow"]
    assert flow.value == pytest.approx(np.mean([row[0].flow for row in sessions]) / 120)
    assert flow.low < flow.value < flow.high
    assert affect.differences["flow"] == MetricValue(0.0, 0.0, 0.0)
    assert not affect.differences["flow"].shown
    assert baseline.metrics["reversals"].value == pytest.approx(5)
    assert math.isnan(baseline.metrics["right"].value)
    assert report.shown(baseline.metrics["right"], "right") == "–"


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (
            MetricValue(0.02, 0.01, 0.03),
            "affect: +2.0 [+1.0, +3.0] points of time in flow compared with performance: a gain.",
        ),
        (
            MetricValue(-0.02, -0.03, -0.01),
            "−2.0 [−3.0, −1.0] points of time in flow compared with performance: a loss.",
        ),
        (MetricValue(0.01, -0.01, 0.03), "no difference is shown."),
    ],
)
def test_a_verdict_follows_from_the_interval(metric, words):
    found = summarised([[PlayedGame(played=60, by_minute=(0,))] * 2] * 3, ARMS, 1, 0)
    found[1].differences["flow"] = metric
    assert report.verdicts({"as assumed": found}, 1000)[0].endswith(words)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_stopped_or_killed_it_leaves_no_process_and_no_file(how, tmp_path):
    line = [
        sys.executable,
        "-m",
        "fer_lightning.simulate",
        "players=500",
        "sensitivity=false",
        f"out={tmp_path / 'out'}",
    ]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while len(workers := children(process.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(2)
        process.send_signal(how)
        assert process.wait(timeout=120) == (143 if how == signal.SIGTERM else -how)
        for worker in workers:
            await_end(worker)
        if how == signal.SIGTERM:
            assert "No file is incomplete; the same command starts from the beginning." in process.stderr.read()
    assert not (tmp_path / "out").exists()
