"""Runs in any state are read, named and never an error."""

import json
import shutil

import pytest
from sweep_folders import CLASSES, write_run, write_sweep

from fer_lightning.errors import UserError
from fer_lightning.report.sweep_runs import read_sweep

SKILLS = {"plain": 0.0, "stn": 0.1}


def states(folder) -> dict[str, tuple[str, str]]:
    return {run.job: (run.status, run.reason) for run in read_sweep(folder).others}


def test_a_sweep_is_read_in_its_order(tmp_path):
    sweep = read_sweep(write_sweep(tmp_path / "sweep", {"plain": 0, "a_stn": 0.1}, seeds=(1, 0)))
    assert [(run.arm, run.seed) for run in sweep.done] == [("plain", 1), ("plain", 0), ("a_stn", 1), ("a_stn", 0)]
    assert sweep.command == "python train.py sweep=pretended"
    assert sweep.others == []
    first = sweep.runs[0]
    assert first.history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert first.answers.predicted.shape == (120,)
    assert all(run.rows is first.rows for run in sweep.runs)


def test_without_a_plan_arms_come_from_summaries_in_the_order_of_their_start(tmp_path):
    write_run(tmp_path / "zebra_seed-0", "zebra", 0, started="2025-01-01T00:00:00+0000")
    write_run(tmp_path / "adder_seed-0", "adder", 0, started="2025-01-02T00:00:00+0000")
    assert read_sweep(tmp_path).arms == ["zebra", "adder"]


def test_without_an_arm_in_the_summary_the_folders_name_says_it(tmp_path):
    for job in ("seed-3", "loss-focal_stn-affine_seed-4"):
        write_run(tmp_path / job)
        summary = json.loads((tmp_path / job / "summary.json").read_text())
        del summary["arm"], summary["seed"]
        (tmp_path / job / "summary.json").write_text(json.dumps(summary))
    found = {run.job: (run.arm, run.seed) for run in read_sweep(tmp_path).done}
    assert found == {"seed-3": ("default", 3), "loss-focal_stn-affine_seed-4": ("loss-focal_stn-affine", 4)}


def test_several_sweeps_below_one_folder_keep_their_names(tmp_path):
    write_sweep(tmp_path / "first", {"plain": 0}, seeds=(0,))
    write_sweep(tmp_path / "second", {"plain": 0}, seeds=(0,), plan=False)
    assert read_sweep(tmp_path).arms == ["first/plain", "second/plain"]


NAMES = {
    "what varies": (
        {"a": ["data.rows=6", "optim.lr=1"], "b": ["optim.lr=2", "data.rows=6"]},
        ["optim.lr=1", "optim.lr=2"],
    ),
    "two that vary": (
        {"a": ["x_y=a_b", "stn=none", "loss=ce"], "b": ["x_y=a_b", "stn=affine", "loss=focal"]},
        ["loss=ce stn=none", "loss=focal stn=affine"],
    ),
    "one more": ({"a": ["data.rows=6"], "b": ["data.rows=6", "optim.lr=2"]}, ["default", "optim.lr=2"]),
    "nothing and something": ({"": [], "b": ["data.rows=6"]}, ["default", "data.rows=6"]),
    "experiments of a named sweep": (
        {one: ["sweep=overfitting", "scale=cpu", f"experiment={one}"] for one in ("seed_plain", "seed_stn")},
        ["seed_plain", "seed_stn"],
    ),
    "and what they share": (
        {one: ["sweep=models", f"experiment=models/{one}", "optim.lr=2"] for one in ("emonext", "convnext")},
        ["models-emonext", "models-convnext"],
    ),
    "a lone arm": ({"data.rows-6_optim.lr-1": ["data.rows=6", "optim.lr=1"]}, ["data.rows-6_optim.lr-1"]),
    "alike": ({"a": ["data.rows=6"], "b": ["data.rows=6"]}, ["a", "b"]),
    "unknown": ({"a": ["data.rows=6"], "b": []}, ["a", "b"]),
    "as an unknown one": (
        {
            "seed_plain": [],
            **{f"{one}_x": ["sweep=x", f"experiment={one}", "x=1"] for one in ("seed_plain", "seed_stn")},
        },
        ["seed_plain", "seed_plain_x", "seed_stn_x"],
    ),
}


@pytest.mark.parametrize(("overrides", "names"), NAMES.values(), ids=NAMES)
def test_arms_are_named_by_the_overrides_that_they_do_not_share(overrides, names, tmp_path):
    jobs = [
        {"job": f"{arm}_seed-{seed}", "arm": arm, "seed": seed, "overrides": [*typed, f"seed={seed}"]}
        for arm, typed in overrides.items()
        for seed in (1, 2)
    ]
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "sweep.json").write_text(json.dumps({"command": "python train.py", "jobs": jobs}))
    assert read_sweep(tmp_path / "inner").arms == names
    assert len(read_sweep(tmp_path).arms) == len(names)


def test_a_run_beside_the_plan_joins_its_arm(tmp_path):
    overrides = {
        "data.rows-6_optim.lr-1": ["data.rows=6", "optim.lr=1"],
        "data.rows-6_optim.lr-2": ["data.rows=6", "optim.lr=2"],
    }
    folder = write_sweep(tmp_path / "sweep", dict.fromkeys(overrides, 0), seeds=(0,), overrides=overrides)
    arm, typed = next(iter(overrides.items()))
    write_run(folder / f"{arm}_seed-1", arm, 1, overrides=[*typed, "seed=1"])
    assert [(run.arm, run.seed) for run in read_sweep(folder).done] == [
        ("optim.lr=1", 0),
        ("optim.lr=2", 0),
        ("optim.lr=1", 1),
    ]


def test_each_state_has_a_reason_and_a_way_on(tmp_path):
    folder = write_sweep(tmp_path / "sweep", SKILLS, seeds=(0, 1, 2, 3))
    shutil.rmtree(folder / "plain_seed-1")
    (folder / "plain_seed-2" / "summary.json").write_text('{"status": "do')
    (folder / "plain_seed-3" / "summary.json").unlink()
    predictions = folder / "stn_seed-1" / "predictions.csv"
    predictions.write_text(predictions.read_text()[:-30])
    (folder / "stn_seed-2" / "predictions.csv").unlink()
    write_run(folder / "plain_seed-6", seed=6, rows=0, test={})
    write_run(folder / "plain_seed-7", seed=7, status="failed", error="RuntimeError: the loss is not\n finite")
    write_run(folder / "plain_seed-8", seed=8, status="interrupted")
    write_run(folder / "plain_seed-9", seed=9, status="running")
    found = states(folder)
    assert found.pop("plain_seed-9")[1].startswith("after 6 epochs; last file written 0 min ago")
    assert found.pop("stn_seed-2")[1].startswith("predictions.csv: cannot be read")
    assert found == {
        "plain_seed-1": ("missing", "not started"),
        "plain_seed-2": ("damaged", "its summary.json cannot be read"),
        "plain_seed-3": ("damaged", "summary.json is missing: it ended at its start"),
        "stn_seed-1": ("damaged", "predictions.csv, line 121: it has 12 fields, and the first line has 14."),
        "plain_seed-6": ("damaged", "predictions.csv has no rows"),
        "plain_seed-7": ("failed", "RuntimeError: the loss is not finite"),
        "plain_seed-8": ("interrupted", "after 6 epochs"),
    }
    ways = {run.job: run.remedy for run in read_sweep(folder).others}
    assert ways["plain_seed-1"] == "python train.py sweep=pretended"
    assert ways["stn_seed-1"] == f"python -m fer_lightning.evaluate run={folder / 'stn_seed-1'}"
    assert ways["plain_seed-7"] == "python train.py hydra.mode=RUN"


def test_a_run_that_lacks_predictions_of_some_test_rows_is_damaged(tmp_path):
    run = write_run(tmp_path / "seed-0")
    lines = (run / "predictions.csv").read_text().splitlines(keepends=True)
    (run / "predictions.csv").write_text("".join(lines[:3]))
    summary = json.loads((run / "summary.json").read_text())
    summary["test"]["all"] = {"rows": len(lines) - 1}
    (run / "summary.json").write_text(json.dumps(summary))
    (entry,) = read_sweep(tmp_path).runs
    assert (entry.status, entry.reason.partition(",")[0]) == ("damaged", "predictions.csv has 2 rows")


def test_predictions_written_again_by_an_evaluation_are_taken(tmp_path):
    run = write_run(tmp_path / "seed-0")
    again = run / "evaluation" / "none"
    again.mkdir(parents=True)
    (run / "predictions.csv").rename(again / "predictions.csv")
    assert len(read_sweep(tmp_path).done) == 1


def test_a_truncated_metrics_table_is_read_up_to_its_last_whole_line(tmp_path):
    metrics = write_run(tmp_path / "seed-0") / "metrics.csv"
    metrics.write_text(metrics.read_text()[:-60])
    assert read_sweep(tmp_path).done[0].history["epoch"].tolist() == [1, 2, 3, 4, 5]
    metrics.write_text("")
    assert read_sweep(tmp_path).done[0].history == {}


OTHERS = {
    "another split": (
        {"split": "cd" * 32},
        "its split differs from that of most runs: official, checksum cdcdcdcdcd",
    ),
    "other rows": ({"rows": 90}, "its test rows differ from those of most runs: 90 rows"),
    "other classes": (
        {"classes": (*CLASSES[:6], "bored")},
        "its classes differ from those of most runs: angry, disgust, fear",
    ),
}


@pytest.mark.parametrize(("change", "words"), OTHERS.values(), ids=OTHERS)
def test_runs_unlike_most_are_named_and_kept_out(change, words, tmp_path):
    folder = write_sweep(tmp_path / "sweep", SKILLS, seeds=(0, 1))
    write_run(folder / "odd_seed-0", "odd", **change)
    ((job, (status, reason)),) = states(folder).items()
    assert (job, status) == ("odd_seed-0", "other")
    assert reason.startswith(words)


def test_a_second_run_of_an_arm_and_seed_is_named_and_kept_out(tmp_path):
    folder = write_sweep(tmp_path / "sweep", SKILLS, seeds=(0,))
    write_run(folder / "again", "stn", 0)
    assert states(folder) == {"again": ("other", "it has the same arm and seed as an earlier run")}


def test_folders_set_aside_and_parts_of_runs_are_no_runs(tmp_path):
    folder = write_sweep(tmp_path / "sweep", SKILLS, seeds=(0,))
    write_run(folder / "plain_seed-0~1", "plain", 0)
    write_run(folder / ".hidden", "plain", 0)
    write_run(folder / "plain_seed-0" / "inner", "plain", 0)
    assert [run.job for run in read_sweep(folder).runs] == ["plain_seed-0", "stn_seed-0"]


def test_a_plan_alone_is_a_sweep(tmp_path):
    jobs = [{"job": "plain_seed-0", "arm": "plain", "seed": 0, "overrides": []}]
    (tmp_path / "sweep.json").write_text(json.dumps({"command": "python train.py sweep=x", "jobs": jobs}))
    assert states(tmp_path) == {"plain_seed-0": ("missing", "not started")}


def test_where_nothing_is_the_way_on_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder. Give a sweep's folder"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"has no run in it or below it. .* python train.py sweep=overfitting scale=cpu"
    ):
        read_sweep(tmp_path)
