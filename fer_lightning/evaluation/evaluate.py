"""Evaluate a trained run, or probabilities of another program, on all, unseen and clean test rows.

    python -m fer_lightning.evaluate run=outputs/train/seed-0
    python -m fer_lightning.evaluate run=outputs/train/seed-0 tta=ten_crop
    python -m fer_lightning.evaluate run=outputs/train/seed-0 tta=ten_crop rows=val
    python -m fer_lightning.evaluate run=outputs/train/seed-0 model=outputs/train/seed-0/face.onnx card=true
    python -m fer_lightning.evaluate run=outputs/train/seed-0 data.root=data/rafdb
    python -m fer_lightning.evaluate predictions=other.npy order=csv 'against=[outputs/train/seed-0]'

Each metric has a 95 % interval. predictions=FILE prints a leak test too: whether the network was trained on these rows.

The results are written to RUN/evaluation/TTA/, or to RUN/evaluation/val_TTA/ with rows=val. With model=face.onnx the
folders are RUN/evaluation/face/ and RUN/evaluation/val_face/. Each folder contains metrics.json, predictions.csv,
confusion.png and per_class.png. An evaluation of test rows also adds a line to test_reads.csv. card=true writes the
metrics of an exported file into its metadata and its model card, which have those of the checkpoint until then.

With data.root=data/rafdb, another data set, the folder is RUN/evaluation/on_rafdb_TTA/. Classes are matched by name,
and only the common ones are evaluated.

The same command on the same machine writes the same bytes, except for `call` in metrics.json. It holds the time,
command, commit, speed and number of reads of the test rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.evaluation import judge_file
from fer_lightning.evaluation.evaluation_folder import folder_name, weights_of
from fer_lightning.evaluation.settings import TTA, EvaluateSettings
from fer_lightning.evaluation.trained_run import TrainedRun, open_run
from fer_lightning.labels import taxonomy_of
from fer_lightning.paths import CONF, ROOT
from fer_lightning.runs.run_folder import command_line, git_state, now
from fer_lightning.terminal import progress_bar
from fer_lightning.wording import message, typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from fer_lightning.data.judged_rows import JudgedRows
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable
    from fer_lightning.evaluation.other_data import OtherRows
    from fer_lightning.evaluation.predictions import Predictions
    from fer_lightning.evaluation.torch_predictor import FilePredictor, Predictor
    from fer_lightning.training.loader import Batch, EvalLoader

COMMAND = Command(
    "python -m fer_lightning.evaluate",
    EvaluateSettings,
    CONF / "evaluate" / "evaluate.yaml",
    example="run=outputs/train/seed-0",
)


def main() -> None:
    with command.report_errors("evaluate", "Nothing is half written"):
        overrides = command.read_arguments(COMMAND, __doc__)
        evaluate(config(overrides))


def config(overrides: list[str]) -> EvaluateSettings:
    """Return the settings of the command line. Raise UserError if they cannot be used."""
    cfg = command.settings(COMMAND, overrides)
    refuse_two_subjects(cfg)
    if cfg.model is not None:
        refuse_unfit_options(cfg)
    if cfg.card:
        refuse_card_without_test(cfg)
    return cfg


def refuse_card_without_test(cfg: EvaluateSettings) -> None:
    """Raise UserError unless the evaluation is one whose metrics belong in the model card of a file."""
    if cfg.model is None:
        raise UserError("card=true: is an option of model=FILE. Name an exported file, or drop card=true.")
    if cfg.rows != "test" or cfg.data.root is not None:
        other = f"data.root={cfg.data.root}" if cfg.rows == "test" else f"rows={cfg.rows}"
        raise UserError(f"card=true with {other}: must be the test rows of the run. Drop card=true or {other}.")


def refuse_two_subjects(cfg: EvaluateSettings) -> None:
    """Raise UserError unless the settings name either a run, or a file of probabilities and only its options."""
    if cfg.predictions is not None:
        judge_file.refuse_unfit_options(cfg)
        return
    if not cfg.run:
        example = f"{COMMAND.program} {COMMAND.example}"
        raise UserError(
            "run is not set. Set it to the folder of the run whose best.ckpt is evaluated, or predictions to a file "
            f"of probabilities. Example: {example}"
        )
    defaults = EvaluateSettings()
    for key in ("training", "against", "out", "order"):
        if getattr(cfg, key) != getattr(defaults, key):
            raise UserError(
                f"{key}={getattr(cfg, key)} without predictions: is an option of predictions=FILE. Drop it."
            )


def refuse_unfit_options(cfg: EvaluateSettings) -> None:
    """Raise UserError for options that cannot be used with an exported file."""
    if cfg.tta != "none":
        raise UserError(f"model={cfg.model}: the views of an exported file are fixed. Drop tta={cfg.tta}.")
    if cfg.device == "cuda":
        raise UserError(f"model={cfg.model}: an exported file is evaluated on the CPU. Drop device=cuda.")
    name = Path(cfg.model).stem
    if name in get_args(TTA) or name.startswith("val_"):
        raise UserError(
            f"model={cfg.model}: evaluation/{name}/ is the folder of another evaluation. Rename the file, e.g. to "
            "face.onnx."
        )


def evaluate(cfg: EvaluateSettings) -> None:
    """Evaluate one run, write the results into its folder and print them; or judge a file of probabilities."""
    if cfg.predictions is not None:
        judge_file.judge(cfg)
        return
    run = open_run(Path(cfg.run), data_root=cfg.data_root, with_faces=cfg.data.root is None)
    of_test = cfg.rows == "test"
    subject, title = name_subject(cfg)
    folder = run.path / "evaluation" / folder_name(subject, cfg.rows, cfg.data.root)
    chosen = own_rows(run, cfg.rows) if cfg.data.root is None else _other_rows(run, cfg)
    predict = build_predictor(cfg, run, taxonomy_of(run.config.data).classes)

    from fer_lightning.evaluation import evaluation, tables
    from fer_lightning.evaluation.torch_predictor import batches_of, latency, predict_rows

    size = run.config.data.eval_batch_size
    batches = batches_of(chosen.table, chosen.judged.rows, size)
    predicted = predict_rows(predict, show_progress(batches, title))
    reads = chosen.count_read(run.path, folder.name) if of_test else None  # before any metric
    predictions = chosen.predictions(*predicted)
    entry = {
        "tta": cfg.tta,
        "rows": cfg.rows,
        **source(run, predict),
        **chosen.facts,
        **predict.facts(),
        "bootstrap": evaluation.bootstrap_facts(),
        **evaluation.evaluate(predictions),
        "call": {
            "time": now(),
            "command": command_line(),
            **git_state(ROOT),
            "reads": reads,
            "latency": latency(predict, next(iter(batches))["image"], size),
        },
    }
    evaluation.write_evaluation(folder, predictions, entry, title=f"{tables.ROWS[cfg.rows]}, {title}")
    tables.print_evaluation(run.summary, entry, title)
    if cfg.card:
        from fer_lightning.evaluation.card_metrics import write_test_metrics

        print(f"model card: {write_test_metrics(predict.model, predictions, entry)}")
    for note in chosen.notes:
        print(message(f"note: {note}"))
    print(f"evaluation: {folder}")
    print(f"next: {next_step(cfg, run.path, folder)}")


def next_step(cfg: EvaluateSettings, run: Path, folder: Path) -> str:
    """Return what to do after an evaluation whose results are in `folder`."""
    if cfg.rows == "val":
        return "choose by these rows, and then evaluate the choice on the test rows with rows=test"
    if cfg.data.root is not None:
        return f"open {folder / 'confusion.png'}"
    views = f" tta={cfg.tta}" if cfg.tta != "none" else ""
    judged = folder if cfg.model is not None else run
    return f"compare it with another run: python -m fer_lightning.compare {typed('runs', [judged, 'OTHER'])}{views}"


@dataclass(frozen=True)
class OwnRows:
    """Rows of the data set of a run, ready to be evaluated; `OtherRows` are those of another data set."""

    table: "FaceTable"
    split: "Split"
    judged: "JudgedRows"
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        table = self.table
        return {
            "split": {"name": self.split.name, "checksum": self.split.checksum},
            "data": {"name": table.name, "checksum": table.checksum, "ferplus": table.votes is not None},
        }

    def predictions(self, rows: "np.ndarray", labels: "np.ndarray", probabilities: "np.ndarray") -> "Predictions":
        from fer_lightning.evaluation.predictions import predictions_of

        return predictions_of(self.judged, rows, labels, probabilities, self.table.classes)

    def count_read(self, run: Path, name: str) -> dict[str, Any]:
        """Count a read of test rows in the folders of the run and of its data."""
        from fer_lightning.runs import reads_of_test_rows

        return reads_of_test_rows.record(run, self.table, self.split, name)


def own_rows(run: TrainedRun, rows: str) -> OwnRows:
    from fer_lightning.data.judged_rows import judge_rows, judge_test_rows
    from fer_lightning.data.splits import notes_on_sources

    table, split = run.faces()
    judged = judge_test_rows(table, split) if rows == "test" else judge_rows(table, split.val, split.train)
    return OwnRows(table, split, judged, tuple(notes_on_sources(table.source[judged.rows])))


def _other_rows(run: TrainedRun, cfg: EvaluateSettings) -> "OtherRows":
    from fer_lightning.evaluation.other_data import other_rows

    return other_rows(run, cfg.data.root, cfg.rows)


def name_subject(cfg: EvaluateSettings) -> tuple[str, str]:
    """Return what is evaluated, as in the name of the folder and as in titles: views of best.ckpt, or a file."""
    name, title = (cfg.tta, f"tta={cfg.tta}")
    if cfg.model is not None:
        name, title = Path(cfg.model).stem, f"model={Path(cfg.model).name}"
    return name, title if cfg.data.root is None else f"{title}, data.root={Path(cfg.data.root).resolve().name}"


def build_predictor(cfg: EvaluateSettings, run: TrainedRun, classes: tuple[str, ...]) -> "Predictor | FilePredictor":
    """Return the predictor of the run's best.ckpt, or of the exported file."""
    from fer_lightning.evaluation.torch_predictor import Predictor
    from fer_lightning.training import build

    if cfg.threads is not None:
        run.config.threads = cfg.threads
    build.set_threads(run.config)
    if cfg.model is not None:
        return file_predictor(cfg, run, classes)
    return Predictor.of_run(run, len(classes), views=cfg.tta, device=cfg.device)


def file_predictor(cfg: EvaluateSettings, run: TrainedRun, classes: tuple[str, ...]) -> "FilePredictor":
    """Open the exported file. Raise UserError if it has other classes, or was trained on another split."""
    import torch

    from fer_lightning.evaluation.torch_predictor import FilePredictor
    from fer_lightning.faces.face_model import FaceModel

    threads = torch.get_num_threads()
    model = FaceModel(Path(cfg.model), threads=threads)
    own_classes, own_split, run_split = (
        model.metadata.classes,
        model.metadata.data["split_checksum"],
        run.summary["split"]["checksum"],
    )
    if own_classes != tuple(classes):
        raise UserError(
            f"model={cfg.model}: its classes are {', '.join(own_classes)}, and the classes of run={cfg.run} "
            f"are {', '.join(classes)}. Name a run with the same classes."
        )
    if own_split != run_split:
        raise UserError(
            f"model={cfg.model}: it was trained on split {own_split[:12]}, and run={cfg.run} on {run_split[:12]}, so "
            "test rows of the run may be among its training rows. Name a run with the same split."
        )
    return FilePredictor(model, threads)


def source(run: TrainedRun, predict: "Predictor | FilePredictor") -> dict[str, Any]:
    """Return the source of the evaluated weights: best.ckpt or the exported file."""
    from fer_lightning.evaluation.torch_predictor import FilePredictor

    if isinstance(predict, FilePredictor):
        return {"model": predict.identity()}
    return weights_of(run.folder)


def show_progress(batches: "EvalLoader", title: str) -> "Iterator[Batch]":
    """Yield the batches, with a progress bar if stderr is a terminal."""
    with progress_bar(title) as progress:
        for done, batch in enumerate(batches, start=1):
            yield batch
            if progress:
                progress(done, len(batches))


if __name__ == "__main__":
    main()
