"""The benchmarks run and print one JSON line each; their speed is not judged here."""

import importlib
import json
import sys

import pytest
from collect_portraits import MODEL
from collect_review import needs_browser
from conftest import ROOT
from smoke_processes import run_forked

RATIO = {"name", "ours", "reference", "unit", "ratio", "repeats"}
LIMIT = {"name", "ours", "limit", "unit"}
VALUE = {"name", "ours", "unit"}
NETWORKS = ("resemotenet", "se_resnet", "whitened_cnn", "emonext")
STEP = ("feed", "forward", "backward_convolution", "backward_other", "optimizer", "ema", "metrics", "rest")
PARTS = [f"step_whitened{width}_{part}" for width in (96, 64, 48) for part in ("fit", *STEP, "of_peak")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (
            ["feed", "--repeats", "1", "--images", "128", "--files", "70"],
            ["feed_64px", "feed_64px_kornia", "feed_224px", "feed_224px_kornia"],
        ),
        (["startup", "--repeats", "1"], ["startup_help", "startup_refusal"]),
        (["sweep", "--repeats", "1", "--runs", "1", "--epochs", "1", "--rows", "300"], ["sweep_two_at_a_time"]),
        (
            ["step", "fit", "lean", "--repeats", "1", "--steps", "4", "--width", "0.125"],
            ["step_fit", "step_lean_batch16", "step_lean_batch64"],
        ),
        (["step", "parts", "--repeats", "1", "--steps", "2", "--batch-size", "8"], PARTS),
        (["step", "muon", "--repeats", "1"], ["step_muon_whitened96", "step_muon_whitened64", "step_muon_whitened48"]),
        (
            ["step", "formats", "--repeats", "1", "--batch-size", "4"],
            [f"step_channels_last_{network}" for network in NETWORKS],
        ),
        (
            ["step", "small_maps", "--repeats", "1", "--batch-size", "4"],
            ["step_small_maps_48px", "step_small_maps_32px"],
        ),
        (["ingest", "--repeats", "1", "--rows", "90"], ["ingest_csv", "ingest_memory", "store_open"]),
        (["report", "--arms", "2", "--seeds", "2", "--rows", "90"], ["report_time", "report_memory"]),
        (
            ["scale", "--repeats", "1", "--rows", "400", "--times", "3", "--batches", "4"],
            ["scale_write_memory", "scale_feed_memory", "scale_feed", "scale_test_rows_memory"],
        ),
    ],
    ids=lambda value: "-".join(value[:2]) if value[0] == "step" else value[0],
)
def test_each_figure_of_training_is_one_json_line(arguments, names):
    check("benchmark.py", arguments, names)


STEPS = ("search", "fetch", "detect", "dedupe", "merge", "tally", "export", "verify", "purge", "search_of_nothing_new")


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["faces", "--repeats", "1", "--images", "3", "--model", MODEL], ["faces_cut_out"]),
        (["copies", "--faces", "20"], ["copies_hashing_fer2013_once", "copies_new_face"]),
        pytest.param(
            ["review", "--faces", "45", "--decisions", "45", "--width", "160"],
            ["review_open", "review_key_median", "review_key_p95", "review_slow_down", "review_server_memory"],
            marks=needs_browser,
        ),
        (["steps", "--pictures", "20"], [f"{step}_{what}" for step in STEPS for what in ("time", "memory")]),
    ],
    ids=lambda value: value[0],
)
def test_each_figure_of_collecting_is_one_json_line(arguments, names):
    check("benchmark_collect.py", arguments, names)


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["connections", "--count", "100"], ["left", "closed_after", "server_memory"]),
        (["files", "--count", "30"], ["time", "memory"]),
        (["drivers"], ["time", "finished_runs"]),
    ],
    ids=lambda value: value[0],
)
def test_attacks_are_withstood(arguments, names):
    check("attacks.py", arguments, [f"{arguments[0]}_{name}" for name in names])


def check(script, arguments, names):
    result = run_forked(*arguments, script=f"scripts/{script}")
    assert result.returncode == 0, result.stderr
    measured = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["name"] for one in measured] == names
    for one in measured:
        assert one.keys() in (RATIO, LIMIT, VALUE)
        assert one["ours"] >= 0
        if "ratio" in one:
            assert one["ratio"] == pytest.approx(one["ours"] / one["reference"], rel=0.05)


def test_a_missing_kornia_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    benchmark = importlib.import_module("benchmark")
    monkeypatch.setitem(sys.modules, "kornia", None)
    monkeypatch.delitem(sys.modules, "kornia.augmentation", raising=False)
    with pytest.raises(SystemExit, match=r"benchmark feed: kornia.* is not installed. Run: pip install kornia$"):
        benchmark.import_kornia()
