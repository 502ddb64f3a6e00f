"""Sweeper that chooses the settings of each run by the results of the runs before it: Optuna's TPE.

    python train.py sweep=search experiment=fer2013_cpu hydra.sweeper.trials=30

The state of a search is its run folders. The same command resumes it: finished runs are read and not repeated, stopped
runs are resumed, and more runs follow up to `trials`. The runs use data.split=training_fold, so PrivateTest is never
read. Hydra's own plugin for Optuna is not used: its last version needs an Optuna before 3.0.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fer_lightning.errors import UserError
from fer_lightning.files import write_csv
from fer_lightning.launch.plan import SPLIT_WITHOUT_TEST, require_whole
from fer_lightning.launch.space import Space, read_space
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.sweep_file import read_plan
from fer_lightning.terminal import plain_console

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

TABLE = "search.csv"
AT_ONCE = 8  # runs, if the launcher names no number
SHOWN = 5  # best runs in the closing table
FAILURES = 2  # first runs that must all fail to stop a search, because the fault is then probably not in the settings
FINAL_NAME = "found"  # of the run that trains with the settings that were found
OF_SEARCH = ("sweep", "name", "data.split", "data.fold", "data.folds", "output_dir", "resume")  # not of the final run


class SearchSweeper(Sweeper):
    """Sweeper for a search; conf/hydra/sweeper/search.yaml describes the arguments."""

    def __init__(self, trials: int = 30, seed: int = 0, params: DictConfig | None = None) -> None:
        self.trials, self.seed, self.params = trials, seed, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.folder = config, Path(config.hydra.sweep.dir)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.launcher.is_part = True

    def sweep(self, arguments: Sequence[str]) -> None:
        require_whole(1, sweeper__trials=self.trials)
        require_whole(0, sweeper__seed=self.seed)
        space = read_space(self.params, arguments)
        refuse_test_rows(self.config, space)
        study = self._study(space)
        print(f"search in {self.folder}: {len(_ended(study))} of {self.trials} runs are there")
        while (missing := self.trials - len(_ended(study))) > 0:
            self._run_batch(study, space, min(missing, self.launcher.at_once or AT_ONCE))
        write_csv(self.folder / TABLE, *_table(study))
        show(study, space, self.config.callbacks.best.monitor)

    def _study(self, space: Space) -> "Study":
        """Return a study of the runs in the folder; runs that were stopped are tried first.

        Failed runs count as tried, because settings can be impossible. But if no run is done, the fault was probably
        not in the settings, so they are tried again too.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        runs = list(known_runs(self.folder, space))
        tried = ("done", "failed") if any(summary.get("status") == "done" for _, summary in runs) else ()
        sampler = optuna.samplers.TPESampler(seed=self.seed + len(runs))
        direction = "maximize" if self.config.callbacks.best.mode == "max" else "minimize"
        study = optuna.create_study(sampler=sampler, direction=direction)
        for params, summary in runs:
            if summary.get("status") not in tried:
                study.enqueue_trial(params)
                continue
            done = summary["status"] == "done"
            state = optuna.trial.TrialState.COMPLETE if done else optuna.trial.TrialState.FAIL
            entry = {"state": state, "value": summary["best_value"] if done else None, "params": params}
            study.add_trial(optuna.trial.create_trial(**entry, distributions=space.distributions))
        return study

    def _run_batch(self, study: "Study", space: Space, size: int) -> None:
        """Run the next trials. Raise UserError if the first FAILURES of the study all fail."""
        from optuna.trial import TrialState

        trials = [study.ask(space.distributions) for _ in range(size)]
        overrides = [space.overrides(trial.params) for trial in trials]
        unique = list(dict.fromkeys(overrides))
        results = dict(zip(unique, self.launcher.launch(unique, len(study.trials)), strict=True))
        for trial, own in zip(trials, overrides, strict=True):
            if results[own].status == JobStatus.COMPLETED:
                study.tell(trial, results[own].return_value)
            else:
                study.tell(trial, state=TrialState.FAIL)
        if not _ranked(study) and len(_ended(study)) >= min(FAILURES, self.trials):
            raise UserError(f"All runs have failed, so the search stops.\n{_reason(*results.values())}")


def _reason(failed: JobReturn, *_: JobReturn) -> str:
    """Return why the first of the failed runs ended."""
    try:
        return str(failed.return_value)  # raises the reason
    except UserError as error:
        return str(error)


def refuse_test_rows(config: DictConfig, space: Space) -> None:
    """Raise UserError if the runs of a search would read test rows of the data set."""
    searched = next((key for key in space.distributions if key in ("data", "data.split")), None)
    if searched:
        raise UserError(f"{searched} has a space: all runs of a search must have the same rows. Set one value.")
    if config.data.split != SPLIT_WITHOUT_TEST:
        raise UserError(
            f"data.split={config.data.split}: the runs of a search must not read test rows. Drop it, or use "
            f"data.split={SPLIT_WITHOUT_TEST}, whose test rows are a fold of Training."
        )


def known_runs(folder: Path, space: Space) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the values and the summary of each run of this space that a folder holds."""
    for entry in read_plan(folder)["jobs"]:
        params = space.params(entry["overrides"])
        if params is not None:
            yield params, RunFolder(folder / entry["job"]).summary() or {}


def show(study: "Study", space: Space, monitor: str) -> None:
    """Print the best runs by `monitor`, and the command that trains with the best settings on all training rows."""
    from rich.table import Table

    ranked, ended = _ranked(study), _ended(study)
    is_share = not monitor.endswith(("/ce", "/loss"))
    table = Table(
        f"{monitor} in %" if is_share else monitor,
        *space.distributions,
        title=f"Best of {len(ended)} runs",
        title_justify="left",
        box=None,
    )
    for trial in ranked[:SHOWN]:
        table.add_row(
            f"{100 * trial.value:.2f}" if is_share else f"{trial.value:.4f}",
            *(_value(trial, key) for key in space.distributions),
        )
    plain_console().print(table, highlight=False)
    failed = len(ended) - len(ranked)
    if failed:
        print(f"{failed} of {len(ended)} runs failed. Their folders hold the reason.")
    print("The best of many values is too good by chance: repeat the best settings with other seeds.")
    print("next: train with them on all training rows. This reads PrivateTest:")
    print(f"  {final_command(space, ranked[0].params)}")


def final_command(space: Space, params: dict[str, Any]) -> str:
    kept = [override for override in space.overrides(params) if not _is_of_search(_key(override))]
    return shlex.join(["python", "train.py", "-m", f"name={FINAL_NAME}", *kept, *_seeds(kept)])


def _is_of_search(key: str) -> bool:
    return key in OF_SEARCH or key.startswith("hydra")


def _seeds(overrides: Sequence[str]) -> list[str]:
    return [] if any(_key(override) == "seed" for override in overrides) else ["seed=0,1,2"]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _ended(study: "Study") -> "list[FrozenTrial]":
    return [trial for trial in study.trials if trial.state.is_finished()]


def _ranked(study: "Study") -> "list[FrozenTrial]":
    """Return the trials with a value, the best first."""
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return sorted((trial for trial in _ended(study) if trial.value is not None), key=lambda trial: sign * trial.value)


def _value(trial: "FrozenTrial", key: str) -> str:
    return str(trial.params[key]) if not isinstance(trial.params[key], float) else f"{trial.params[key]:.4g}"


def _table(study: "Study") -> tuple[list[str], list[list[Any]]]:
    """Return header and rows of the CSV: each run in its order, with its value; an empty value if it failed."""
    keys = list(study.trials[0].params)
    return ["trial", "value", *keys], [
        [trial.number, "" if trial.value is None else trial.value, *(_value(trial, key) for key in keys)]
        for trial in _ended(study)
    ]
