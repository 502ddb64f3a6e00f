"""Folder of an evaluation, RUN/evaluation/NAME: its name, and rows and weights of its predictions. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.evaluation.settings import EVALUATE
from fer_lightning.files import file_checksum, read_json
from fer_lightning.runs.run_folder import RunFolder, run_of
from fer_lightning.wording import typed


def require_evaluation(folder: Path, key: str, *, rows: str = "test", other_data: bool = False) -> None:
    """Raise UserError if the predictions in a folder are for other rows, or from weights of an earlier epoch.

    folder      of an evaluation, or any other folder; a folder without metrics.json passes
    key         setting that names the folder
    rows        test or val
    other_data  True if the rows may be those of another data set than that of the run
    """
    path, run = folder / "metrics.json", run_of(folder)
    if not path.is_file():
        return
    entry = read_json(path, "Evaluate the run again.")
    if entry.get("rows", "test") != rows:
        raise UserError(
            f"{key}={folder}: has predictions of {entry['rows']} rows. Name a run, or an evaluation of {rows} rows."
        )
    if "other" in entry and not other_data:
        raise UserError(
            f"{key}={folder}: has predictions of another data set. Name a run, or an evaluation of its own {rows} rows."
        )
    if run == folder:
        return
    best = ((RunFolder(run).summary() or {}).get("best") or {}).get("epoch")
    if "epoch" in entry and entry["epoch"] != best:
        raise UserError(
            f"{key}={folder}: has predictions of {_epoch(entry['epoch'])}, and best.ckpt of the run is now of "
            f"{_epoch(best)}. Evaluate it again: {evaluate_again(run, entry)}"
        )
    checkpoint = RunFolder(run).best_checkpoint
    if "checkpoint" in entry and checkpoint.is_file() and entry["checkpoint"] != file_checksum(checkpoint):
        raise UserError(
            f"{key}={folder}: has predictions of an earlier best.ckpt of an unfinished run. Evaluate it again: "
            f"{evaluate_again(run, entry)}"
        )


def weights_of(run: RunFolder) -> dict[str, Any]:
    """Return the identity of the weights of best.ckpt: their epoch, or the file's checksum if the run is unfinished."""
    epoch = ((run.summary() or {}).get("best") or {}).get("epoch")
    return {"epoch": epoch} | ({"checkpoint": file_checksum(run.best_checkpoint)} if epoch is None else {})


def folder_name(subject: str, rows: str = "test", data_root: str | Path | None = None) -> str:
    """Return the name of an evaluation's folder.

    subject    views of best.ckpt, or the name of an exported file without its suffix
    rows       test or val
    data_root  store of another data set; None: the run's own rows
    """
    of_rows = "" if rows == "test" else f"{rows}_"
    of_data = "" if data_root is None else f"on_{Path(data_root).resolve().name}_"
    return f"{of_rows}{of_data}{subject}"


def file_of(folder: Path, entry: dict[str, Any]) -> Path | None:
    """Return the exported file beside the run that an evaluation is of; None if it is of best.ckpt."""
    if "model" not in entry:
        return None
    prefix = folder_name("", entry.get("rows", "test"), entry["data"]["root"] if "other" in entry else None)
    return run_of(folder) / f"{folder.name.removeprefix(prefix)}.onnx"


def evaluate_again(run: Path, entry: dict[str, Any], file: Path | None = None) -> str:
    """Return the command that repeats the evaluation of a run whose metrics.json has this content.

    file  exported file that was evaluated; None: best.ckpt
    """
    subject = f"tta={entry.get('tta', 'none')}" if file is None else typed("model", file)
    command = f"{EVALUATE} {typed('run', run)} {subject}"
    if entry.get("rows", "test") != "test":
        command += f" rows={entry['rows']}"
    return command + (f" {typed('data.root', entry['data']['root'])}" if "other" in entry else "")


def average_views(members: Sequence[Path], tta: str) -> str:
    """Return the commands that average the members of an ensemble, each once, with these views of each face."""
    members = list(dict.fromkeys(members))
    if len(members) == 1:
        return f"Its members are views of one run. Name this run instead: {members[0]}"
    commands = [evaluate_again(member, {"tta": tta}) for member in members if tta != "none"]
    folders = [member if tta == "none" else member / "evaluation" / tta for member in members]
    average = f"python train.py experiment=ensemble {typed('name', f'ensemble_{tta}')} {typed('ensemble', folders)}"
    return "\n  ".join([f"Average its members with tta={tta}:", *commands, average])


def _epoch(number: int | None) -> str:
    return "an unfinished run" if number is None else f"epoch {number}"
