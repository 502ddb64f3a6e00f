"""Run or ensemble that is exported. torch is imported only when its networks are built."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.errors import UserError
from fer_lightning.evaluation.evaluation_folder import average_views
from fer_lightning.evaluation.trained_run import WAIT, TrainedRun, open_run
from fer_lightning.faces.face_model import LARGEST
from fer_lightning.files import file_checksum
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.trained_folder import members_of, resume_hint

if TYPE_CHECKING:
    from fer_lightning.export.recogniser import Checkpoint, CheckpointEnsemble, MirroredCheckpoint

BYTES = {"float32": 4, "float16": 2, "int8": 1, "codebook4": 0.5}  # per weight
SMALLEST = "codebook4"
VIEWS = {"none", "flip", "shift"}  # that a file can average
REPEAT = "Average its members again with resume=never, and export the ensemble then."


def open_subject(path: Path, tta: str = "none", *, data_root: str | None = None) -> TrainedRun:
    """Lock and read a run, or an ensemble with its members. Raise UserError if it cannot be exported.

    tta  views of the file; an ensemble must average evaluations with the same views
    """
    folder = RunFolder(path)
    facts = members_of(folder) if path.is_dir() else []
    if not facts:
        return open_run(path, data_root=data_root, with_faces=False)
    folder.lock(WAIT)
    summary = folder.summary()
    if summary["status"] != "done":
        raise UserError(f"run={path}: the ensemble is not finished ({summary['status']}). {resume_hint(folder)}")
    _refuse_other_views(path, facts, tta)
    members = tuple(_open_member(path, entry, summary, data_root) for entry in facts)
    return TrainedRun(folder, members[0].config, summary, members)


def load_checkpoint(
    run: TrainedRun, num_classes: int, views: str = "none"
) -> "Checkpoint | CheckpointEnsemble | MirroredCheckpoint":
    """Return the network of a run, or the mean of the networks of an ensemble, with these views of a face."""
    from fer_lightning.export.described import form_of
    from fer_lightning.export.recogniser import Checkpoint, CheckpointEnsemble, MirroredCheckpoint

    if views == "flip":
        return MirroredCheckpoint(load_checkpoint(run, num_classes))
    if run.members:
        return CheckpointEnsemble([load_checkpoint(member, num_classes, views) for member in run.members])
    model = run.config.model
    how = {"input_size": model.input_size, "mean": model.mean, "std": model.std}
    return Checkpoint(run.network(num_classes), form=form_of(run), views=views, **how)


def refuse_large_file(run: TrainedRun, form: str) -> None:
    """Raise UserError if the weights in this format do not fit into one ONNX file."""
    size = BYTES[form] * run.summary["parameters"]["total"]
    if size > LARGEST:
        smaller = "" if form == SMALLEST else f", or use weights={SMALLEST}"
        raise UserError(
            f"run={run.path}: its weights take {size / 1e9:.1f} GB as {form}, and an ONNX file holds at most "
            f"{LARGEST / 1e9:.1f} GB. Average fewer members{smaller}."
        )


def _refuse_other_views(path: Path, facts: list[dict[str, Any]], tta: str) -> None:
    """Raise UserError if members of the ensemble were evaluated with other views than those of the file."""
    others = [entry for entry in facts if entry["tta"] != tta]
    if not others:
        return
    runs = [Path(entry["run"]) for entry in facts]
    first, views = others[0], {entry["tta"] for entry in facts}
    same = f" Use tta={first['tta']}, or average them again." if len(views) == 1 and first["tta"] in VIEWS else ""
    raise UserError(
        f"run={path} with tta={tta}: its member {first['run']} was averaged with tta={first['tta']}, and a file shows "
        f"all networks the same views.{same} {average_views(runs, tta)}"
    )


def _open_member(path: Path, entry: dict[str, Any], summary: dict[str, Any], data_root: str | None) -> TrainedRun:
    """Return a member. Raise UserError if it is missing, or if it is not the run that was averaged."""
    try:
        run = open_run(Path(entry["run"]), data_root=data_root, with_faces=False)
    except UserError as error:
        raise UserError(f"run={path}: a member of the ensemble cannot be read. {error}") from None
    views = run.path if entry["tta"] == "none" else run.path / "evaluation" / entry["tta"]
    predictions = views / "predictions.csv"
    if not predictions.is_file() or file_checksum(predictions) != entry["predictions"]:
        raise UserError(f"run={path}: {predictions} has changed since it was averaged. {REPEAT}")
    if run.summary["split"]["checksum"] != summary["split"]["checksum"]:
        raise UserError(f"run={path}: its member {run.path} was trained on another split. {REPEAT}")
    return run
