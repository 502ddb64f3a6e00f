"""Judge probabilities that another program wrote, on the rows of FER2013. Imports no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_lightning.data import fer2013
from fer_lightning.data.judged_rows import judge_rows, judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.store import default_root, store_problem
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.evaluation import compare, evaluation, paired, tables
from fer_lightning.evaluation.predictions import Predictions, predictions_of, read_probabilities
from fer_lightning.evaluation.settings import EvaluateSettings
from fer_lightning.files import file_checksum, require_own_folder
from fer_lightning.paths import ROOT
from fer_lightning.runs import reads_of_test_rows
from fer_lightning.runs.run_folder import command_line, git_state, now
from fer_lightning.statistics import leak
from fer_lightning.terminal import plain_console

if TYPE_CHECKING:
    from fer_lightning.data.judged_rows import JudgedRows

MARK = ("metrics.json", '"rows": "')  # of the folder of an evaluation
CHANCE = 1.5  # an accuracy below this multiple of 1 / K suggests another order of the rows


def judge(cfg: EvaluateSettings) -> None:
    """Judge one file, print the results and write them into the folder `out`, if it is set."""
    for named in filter(None, (cfg.predictions, cfg.training)):
        if not Path(named).is_file():
            raise UserError(f"{named}: no such file (current folder: {Path.cwd()}). Name a file of probabilities.")
    if cfg.out is not None:
        require_own_folder(Path(cfg.out), "out", MARK)
    root = Path(cfg.data_root or default_root())
    if problem := store_problem(str(root)):
        raise UserError(problem.replace("data.root=", "data_root=", 1))
    table = fer2013.load(str(root))
    split = make_split(table, "official")
    of_test, file = cfg.rows == "test", Path(cfg.predictions)
    judged = judge_test_rows(table, split) if of_test else judge_rows(table, split.val, split.train)
    predictions = read_file(file, table, judged, cfg.order, root)
    training = None
    if cfg.training is not None:
        training_predictions = read_file(
            Path(cfg.training), table, judge_rows(table, split.train, split.val), cfg.order, root
        )
        training = (training_predictions.labels, training_predictions.predicted)
    runs = {run: compare.read_run("against", Path(run), "none", cfg.rows) for run in cfg.against}
    for theirs in runs.values():
        paired.require_same_rows(theirs, predictions)
    reads = reads_of_test_rows.count_file(file, table.cache, split.checksum) if of_test else None
    entry = {
        "rows": cfg.rows,
        "file": {"path": str(file), "sha256": file_checksum(file), "order": cfg.order},
        "split": {"name": split.name, "checksum": split.checksum},
        "data": {"name": table.name, "checksum": table.checksum, "ferplus": table.votes is not None},
        "bootstrap": evaluation.bootstrap_facts(),
        **evaluation.evaluate(predictions),
        "leak": leak.find_leak(predictions.labels, predictions.predicted, predictions.plurality, training),
        "against": {run: paired.compare(theirs, predictions) for run, theirs in runs.items()},
        "call": {"time": now(), "command": command_line(), **git_state(ROOT), "reads": reads},
    }
    show(file, entry)
    if cfg.out is not None:
        evaluation.write_evaluation(Path(cfg.out), predictions, entry, f"{tables.ROWS[cfg.rows]}, {file.name}")
        print(f"evaluation: {cfg.out}")


def read_file(file: Path, table: FaceTable, judged: "JudgedRows", order: str, root: Path) -> Predictions:
    """Return the predictions in a file that has one row per judged row, in the order of the store or of the CSV."""
    rows = judged.rows
    blank = np.zeros((len(rows), len(table.classes)), np.float32)
    like = predictions_of(judged, rows, np.asarray(table.labels)[rows], blank, table.classes)
    return read_probabilities(file, like, compare.csv_indices(root, like, "data_root") if order == "csv" else None)


def show(file: Path, entry: dict[str, Any]) -> None:
    """Print the metrics, the leak test, the paired tests and the number of reads of the test rows."""
    console, everything, rows = plain_console(), entry["all"], tables.ROWS[entry["rows"]]
    by_class = f"{rows} by class, all {everything['rows']:,}, in % with 95 % intervals"
    console.print(tables.class_table(everything, by_class), "")
    console.print(tables.set_table(entry, f"{rows}, {file.name}, in % with 95 % intervals"), "")
    for sentence in leak.sentences(entry["leak"]):
        console.print(sentence, highlight=False)
    if everything["acc"]["value"] < CHANCE / len(everything["classes"]):
        other = "store" if entry["file"]["order"] == "csv" else "csv"
        console.print(f"note: the accuracy is near chance. If the rows have another order, use order={other}.")
    for run, sets in entry["against"].items():
        for name, compared in sets.items():
            title = f"{compared['rows']:,} {paired.row_set(name)}: A is {run}, B is {file.name}, in %"
            console.print("", paired.difference_table(compared, title), compared["verdict"], sep="\n", highlight=False)
    if entry["call"]["reads"]:
        reads, split, data = entry["call"]["reads"], entry["split"]["name"], entry["data"]["name"]
        console.print(reads_of_test_rows.sentence(reads, split, data))


def refuse_unfit_options(cfg: EvaluateSettings) -> None:
    """Raise UserError for options of a run, which do not apply to a file of probabilities."""
    defaults = EvaluateSettings()
    for key in ("run", "model", "tta", "data", "device", "threads"):
        if getattr(cfg, key) != getattr(defaults, key):
            value = "data.root" if key == "data" else f"{key}={getattr(cfg, key)}"
            raise UserError(
                f"predictions={cfg.predictions} with {value}: the probabilities are already in the file. Drop "
                f"{value.partition('=')[0]}{'; to compare with a run, use against=[RUN]' if key == 'run' else ''}."
            )
