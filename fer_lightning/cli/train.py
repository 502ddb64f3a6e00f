"""Command that trains one network: compose, check, seed, build, fit, test, summarise.

`python train.py` and `fer-lightning train` start it. Only Hydra is imported at the top, so that --help and the message
for an invalid config appear in under a second.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning import failures
from fer_lightning.check.check import check
from fer_lightning.check.path_keys import expand_paths, quote_paths
from fer_lightning.config import arguments, schema
from fer_lightning.config.messages import explain
from fer_lightning.errors import UserError
from fer_lightning.files import require_folder_path
from fer_lightning.launch.plan import sweep_folder
from fer_lightning.paths import CONF
from fer_lightning.runs import extension, run_folder, slurm
from fer_lightning.runs.interruption import SWEEP, Interrupted, follow_parent, follow_sweep, signals
from fer_lightning.runs.other_lengths import note_on_other_lengths
from fer_lightning.runs.processes import is_child, is_first_process
from fer_lightning.runs.trained_folder import origin_folder
from fer_lightning.wording import typed

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from fer_lightning.training.classifier import FERClassifier
    from fer_lightning.training.datamodule import FERDataModule

schema.register()
composed = threading.Event()  # set when the config of a run is composed


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def run(cfg: DictConfig) -> float | None:
    """Run one training from its config to its summary; return the best value of the monitored metric."""
    try:
        return train(cfg)
    except UserError as error:
        if is_multirun():
            raise
        refuse(str(error))


def train(cfg: DictConfig) -> float | None:
    failures.require_package("torch")
    signals.install()
    composed.set()
    overrides = list(HydraConfig.get().overrides.task)
    expand_paths(cfg)
    require_folder_path(Path(cfg.output_dir), "output_dir")
    parent = None if cfg.extend is None else extension.read_parent(cfg.extend)
    if parent:
        cfg = extension.extended_config(cfg, parent, overrides)
    path = run_folder.run_path(cfg.output_dir, cfg.name, overrides, cfg.seed)
    starts_over = cfg.resume == schema.Resume.never and not slurm.has_begun(run_folder.RunFolder(path).summary())
    folder = run_folder.RunFolder(path, start_over=starts_over)
    if cfg.ensemble is not None:
        return combine(cfg, folder, overrides)
    warnings = check(cfg, multirun=is_multirun())
    if not folder.is_done():
        refuse_wrong_values(cfg)
    if cfg.finder is not None:
        return find(cfg, folder)
    config = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    if cfg.model.get("init") and not (folder.resumes or parent):
        origin_folder(cfg.model.init)
    with folder.explain_failures():
        if is_first_process():
            folder.claim(config, overrides)
            slurm.tell_other_tasks(folder.path)
        else:
            slurm.await_first_task(folder.path)
        if folder.is_done():
            if is_first_process():
                print(f"{folder.path} is done. To train it again, use resume=never.\n{folder.headline()}")
            return folder.summary()["best_value"]
        run_folder.log_to(folder.path / "train.log", folder)
        for warning in warnings:
            run_folder.log.warning("warning: %s", warning)
        if not folder.resumes and (note := note_on_other_lengths(folder.path)):
            run_folder.log.info("note: %s", note)
        try:
            choices = parent.summary["choices"] if parent else HydraConfig.get().runtime.choices
            return fit_and_test(cfg, folder, dict(choices), parent)
        except UserError:
            if is_first_process() and not in_sweep():  # the report of a sweep names the runs that were rejected
                folder.remove_if_rejected()
            raise
        except Interrupted as error:
            error.resumes = cfg.resume != schema.Resume.never or error.signum == signal.SIGUSR1
            if error.signum == signal.SIGUSR1 and is_first_process():
                slurm.requeue()
            raise


def is_multirun() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def in_sweep() -> bool:
    """Return True if a sweep starts this run, in this process or in one of its own."""
    return is_multirun() or SWEEP in os.environ


def needs_device(trainer: DictConfig) -> bool:
    """Return True if a trainer names devices or a precision that not every machine has."""
    if trainer.get("accelerator") == "cpu":
        return False
    named = trainer.get("accelerator", "auto"), trainer.get("devices", 1)
    return named != ("auto", 1) or str(trainer.get("precision")).startswith("16")


def refuse_wrong_values(cfg: DictConfig) -> None:
    """Raise UserError for a device that is missing or a value that a part rejects, before the run has a folder."""
    from fer_lightning.compat.lightning import hide_notes
    from fer_lightning.training import build

    hide_notes()
    build.try_small_parts(cfg)
    if needs_device(cfg.trainer):
        build.check_device(cfg.trainer)


def combine(cfg: DictConfig, folder: run_folder.RunFolder, overrides: list[str]) -> float | None:
    """Average the predictions of finished runs, without training; return the best value."""
    from fer_lightning.evaluation import ensemble

    with folder.explain_failures():
        return ensemble.run(folder, cfg.ensemble, overrides, seed=cfg.seed)


def find(cfg: DictConfig, folder: run_folder.RunFolder) -> None:
    """Find a setting by a short run, without training."""
    from fer_lightning.compat.lightning import hide_notes
    from fer_lightning.training import finders

    hide_notes()
    with folder.explain_failures():
        finders.find(cfg, folder.path)


def fit_and_test(
    cfg: DictConfig, folder: run_folder.RunFolder, choices: dict[str, Any], parent: extension.Parent | None = None
) -> float | None:
    """Build the parts of a run, train and test the network, and return the best value of the monitored metric."""
    from fer_lightning.compat.lightning import hide_notes
    from fer_lightning.evaluation import after_training
    from fer_lightning.models import checkpoints
    from fer_lightning.runs import reads_of_test_rows
    from fer_lightning.runs.run_summary import record_summary
    from fer_lightning.training import build, distributed

    with record_summary(folder, build.identity(cfg, folder, choices)) as summary:
        hide_notes()
        build.set_threads(cfg)
        data = build.build_data(cfg)
        model = build.build_classifier(cfg, data)
        trainer, resumed = begin_run(cfg, folder, parent, summary, data, model)

        def lost(reason: str) -> None:
            folder.write_summary(summary | {"status": "failed", "error": reason})

        with distributed.watch_processes(trainer, on_loss=lost):
            trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
            summary["compile_seconds"] = model.compile_seconds
            best = checkpoints.check_checkpoint(folder.best_checkpoint, model)
            reads = reads_of_test_rows.record(folder.path, data.table, data.split) if is_first_process() else None
            trainer.test(model, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
            predictions = model.gathered_predictions()

        if is_first_process():
            scores = after_training.write_test(folder.path, data.test_rows(), predictions, data.table.classes)
            summary["test"] = {**model.test_row, **scores, "reads": reads}
    if is_first_process():
        build.publish(trainer, folder.path, summary)
        after_training.closing_table(summary)
        print(f"figures: {folder.path}/plots; export: python -m fer_lightning.export {typed('run', folder.path)}")
        print(f"run folder: {folder.path}")
    return summary.get("best_value")


def begin_run(
    cfg: DictConfig,
    folder: run_folder.RunFolder,
    parent: extension.Parent | None,
    summary: dict[str, Any],
    data: "FERDataModule",
    model: "FERClassifier",
) -> "tuple[Trainer, Path | None]":
    """Begin, resume or extend a run: from here, its folder holds it. Return the trainer and the checkpoint to resume.

    The facts of the run are added to `summary`.
    """
    from fer_lightning.models import checkpoints
    from fer_lightning.runs.run_summary import begin
    from fer_lightning.training import build, initial_weights

    source = folder if folder.resumes else parent.folder if parent else None
    earlier = (source and source.summary()) or {}
    if cfg.model.get("init"):
        summary["init"] = initial_weights.begin(cfg, model, data, earlier.get("init"))
    if parent:
        summary["parent"] = (folder.resumes and earlier.get("parent")) or parent.record(cfg)
        model.first_epoch = summary["parent"]["epochs"]
        parent.refuse_other_rows(data.split.checksum, cfg.data)
    trainer, resumed = build.build_trainer(cfg, folder.path), None
    data.refuse_empty_epochs(trainer.world_size, trainer.limit_train_batches)
    if source:
        refuse_other_data = data.load_state_dict
        resumed = checkpoints.resumable(source.last_checkpoint, source.best_checkpoint, model, refuse_other_data)
    summary |= build.facts(data, model, trainer)
    begin(folder, summary)
    if resumed and is_first_process():
        if source is not folder:
            parent.hand_over(folder)
        checkpoints.complete_best(folder.last_checkpoint, folder.best_checkpoint)
    trainer.loggers = build.build_loggers(cfg, folder.path)
    for note in (*data.table.notes, *data.split.notes):
        run_folder.log.info("note: %s", note)
    if parent:
        run_folder.log.info("extend=%s: %s", parent.folder.path, summary["parent"]["schedule"])
    if "init" in summary:
        initial_weights.report(summary["init"])
    run_folder.log.info("%s %s", "resuming in" if resumed and source is folder else "run folder:", folder.path)
    if warning := is_first_process() and build.duration_warning(cfg, data, model, trainer):
        run_folder.log.warning("warning: %s", warning)
    return trainer, resumed


def main() -> None:
    if is_child():
        follow_parent()
    follow_sweep()
    signals.install()
    traceback_wanted = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors to the lines below instead of printing them itself
    failures.replace_unknown_letters()
    try:
        sys.argv[1:] = quote_paths(arguments.prepare_arguments(sys.argv[1:]))
        try:
            run()
        finally:
            sys.stdout.flush()
    except Interrupted as error:
        stop(error)
    except BrokenPipeError:
        failures.end_quietly()
    except Exception as error:
        sweep_folder.remove_if_rejected()
        message = message_of(error)
        if message is None or traceback_wanted:
            raise
        refuse(message)


def message_of(error: Exception) -> str | None:
    """Return the message for a user; None for an error of the code.

    Before `train` is called, only Hydra and the config have run, so every error is caused by the arguments.
    """
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error)
    message = failures.error_message(error)
    return explain(error) if message is None and not composed.is_set() else message


def refuse(reason: str) -> NoReturn:
    if not is_first_process():
        time.sleep(5)  # usually the first process has the same error; it prints the message and ends this process
    failures.refuse("train.py", reason)


_RESUMES = "Run the same command to resume from the last checkpoint, or to start again if no checkpoint was saved."
_STARTS_OVER = "With resume=never, the same command starts over and keeps this run under another name."


def stop(interruption: Interrupted) -> NoReturn:
    if not is_first_process():  # with another status, srun would end the first process before it has finished
        sys.exit(0)
    name = signal.Signals(interruption.signum).name
    print(f"train.py: ended by {name}. {_RESUMES if interruption.resumes else _STARTS_OVER}", file=sys.stderr)
    sys.exit(interruption.code)


if __name__ == "__main__":
    main()
