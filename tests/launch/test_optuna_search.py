"""A search: its space, the runs that it knows, what it refuses, and that it resumes from its run folders."""

import json
from pathlib import Path

import pytest
from conftest import ROOT, composed, pretend_store
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fer_lightning.check.check import check
from fer_lightning.config import schema
from fer_lightning.errors import UserError
from fer_lightning.launch import search
from fer_lightning.launch.plan import Job, conclude, write_plan
from fer_lightning.launch.space import read_space
from fer_lightning.runs.run_folder import job_name

pytest.importorskip("optuna", reason="optuna is not installed")
LR, AUGMENT = "optim.lr=tag(log,interval(0.001,0.1))", "augment=choice(none,standard)"


class DrawnLauncher:
    """A launcher whose runs end at once: the nearer optim.lr to 0.02, the better; above 0.05 a run fails."""

    at_once = 2
    first_fails = False

    def __init__(self, folder: Path):
        self.folder, self.launched = folder, []

    def launch(self, words, index):
        self.launched.extend(words)
        jobs = [Job(own, self.folder / job_name(list(own), 0), "", 0, epochs=1) for own in words]
        write_plan(jobs, "typed")
        for job in jobs:
            job.folder.mkdir(exist_ok=True)
            rate = float(dict(word.split("=", 1) for word in job.overrides)["optim.lr"])
            found = (
                {"status": "failed", "error": "diverged"}
                if rate > 0.05 or (self.first_fails and len(self.launched) == 1)
                else {"status": "done", "best_value": 1 - abs(rate - 0.02)}
            )
            (job.folder / "summary.json").write_text(json.dumps(found))
        return conclude(jobs, [self.folder], is_part=True)


def config(split: str = "training_fold") -> DictConfig:
    return OmegaConf.create({"data": {"split": split}, "callbacks": {"best": {"monitor": "val/acc", "mode": "max"}}})


def sweeper(folder: Path, trials: int, *, split: str = "training_fold", **options) -> search.SearchSweeper:
    made = search.SearchSweeper(trials=trials, **options)
    made.config, made.folder, made.launcher = config(split), folder, DrawnLauncher(folder)
    folder.mkdir(exist_ok=True)
    return made


def test_a_search_runs_its_trials_and_resumes_from_the_folders(tmp_path, capsys):
    first = sweeper(tmp_path / "search", trials=4)
    first.sweep(["sweep=search", LR, AUGMENT, "trainer.max_epochs=3"])
    assert len(first.launcher.launched) == 4
    assert all("trainer.max_epochs=3" in words for words in first.launcher.launched)
    again = sweeper(tmp_path / "search", trials=6)
    again.sweep(["sweep=search", LR, AUGMENT, "trainer.max_epochs=3"])
    assert len(again.launcher.launched) == 2
    assert not set(again.launcher.launched) & set(first.launcher.launched)
    out = capsys.readouterr().out
    assert "4 of 6 runs are there" in out
    lines = (tmp_path / "search" / "search.csv").read_text().splitlines()
    assert lines[0] == "trial,value,optim.lr,augment"
    assert len(lines) == 7


def test_a_stopped_run_is_resumed_first(tmp_path):
    folder = tmp_path / "search"
    sweeper(folder, trials=2).sweep([LR])
    stopped = next(path for path in folder.iterdir() if path.is_dir())
    (stopped / "summary.json").write_text(json.dumps({"status": "interrupted"}))
    again = sweeper(folder, trials=2)
    again.sweep([LR])
    assert [job_name(list(words), 0) for words in again.launcher.launched] == [stopped.name]


def test_the_closing_command_trains_on_all_training_rows(tmp_path, capsys):
    words = ["sweep=search", "name=mine", "data.split=training_fold", LR, "experiment=fer2013_cpu"]
    sweeper(tmp_path / "search", trials=3).sweep(words)
    command = capsys.readouterr().out.splitlines()[-1].strip()
    assert command.startswith("python train.py -m name=found experiment=fer2013_cpu optim.lr=0.0")
    assert command.endswith(" seed=0,1,2")
    assert "split" not in command


def test_a_search_in_which_every_run_fails_ends_with_the_reason_and_tries_them_again(tmp_path):
    launched = []
    for _ in range(2):
        searching = sweeper(tmp_path / "search", trials=2)
        with pytest.raises(UserError, match="diverged"):
            searching.sweep(["optim.lr=interval(0.06,0.1)"])
        launched.append(searching.launcher.launched)
    assert launched[0] == launched[1]


def test_one_failed_run_does_not_stop_a_search_with_one_run_at_once(tmp_path, capsys):
    searching = sweeper(tmp_path / "search", trials=6)
    searching.launcher.at_once, searching.launcher.first_fails = 1, True
    searching.sweep(["optim.lr=interval(0.01,0.03)"])
    assert len(searching.launcher.launched) == 6
    assert "1 of 6 runs failed." in capsys.readouterr().out


def test_a_search_by_cross_entropy_ranks_the_lowest_first(tmp_path, capsys):
    searching = sweeper(tmp_path / "search", trials=3)
    searching.config.callbacks.best = {"monitor": "val/ce", "mode": "min"}
    searching.sweep([LR])
    header, first, second = capsys.readouterr().out.split("Best of 3 runs")[1].strip().splitlines()[:3]
    assert header.split()[0] == "val/ce"
    assert float(first.split()[0]) <= float(second.split()[0]) < 1


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([LR], {"split": "official"}, "data.split=official: the runs of a search must not read test rows. Drop it"),
        (["data.split=choice(official,clean)"], {}, "data.split has a space: all runs of a search must have the same"),
        (["seed=0"], {}, "no key has a space"),
        (["optim.lr=interval(0.1,0.01)"], {}, "optim.lr=interval"),
        (["optim.lr=glob(*)"], {}, r"optim.lr=glob\(\*\): must be interval"),
        ([LR], {"trials": 0}, "hydra.sweeper.trials=0: must be a whole number, 1 or more"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path, words, options, message):
    with pytest.raises(UserError, match=message):
        sweeper(tmp_path / "search", **{"trials": 1} | options).sweep(words)


def test_typed_words_replace_the_space_of_the_option():
    params = {"optim.lr": "tag(log,interval(0.001,0.5))", "augment": "choice(none,standard)", "seed": "range(0,3)"}
    space = read_space(params, ["sweep=search", "augment=strong", "optim.lr=interval(1,3)"])
    assert space.fixed == ("sweep=search", "augment=strong")
    assert sorted(space.distributions) == ["optim.lr", "seed"]
    words = space.overrides({"optim.lr": 2, "seed": "1"})
    assert words[-2:] == ("seed=1", "optim.lr=2")
    assert space.params(words) == {"optim.lr": 2, "seed": "1"}
    assert space.params([*words, "threads=1"]) is None
    assert space.params(["sweep=search", "augment=strong", "seed=1", "optim.lr=9"]) is None
    assert space.params(["sweep=search", "augment=strong", "~callbacks.previews"]) is None


def test_the_option_composes_and_its_runs_read_no_test_row(monkeypatch):
    pretend_store(monkeypatch)
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = compose("train", ["sweep=search"], return_hydra_config=True)
    assert str(chosen.hydra.mode) == "RunMode.MULTIRUN"
    space = read_space(dict(chosen.hydra.sweeper.params), ["sweep=search"])
    search.refuse_test_rows(chosen, space)
    run = composed(*space.overrides({"optim.lr": 0.1, "optim.weight_decay": 1e-5, "augment": "strong"}))
    assert run.data.split == "training_fold"
    assert check(run) == []
