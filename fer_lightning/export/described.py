"""Metadata of a run, and the faces on which its exported file is compared with it. No test row is read here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.evaluation.card_metrics import card_metrics, drop_missing
from fer_lightning.evaluation.evaluation_folder import require_evaluation
from fer_lightning.evaluation.trained_run import TrainedRun
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.faces.metadata import Metadata, crop_rule
from fer_lightning.files import read_json
from fer_lightning.labels import Taxonomy, taxonomy_of
from fer_lightning.paths import ROOT
from fer_lightning.runs.run_folder import git_state, now
from fer_lightning.statistics.metrics import LABEL_METRICS
from fer_lightning.wording import typed

FACES = 1000  # least number of faces to compare on, if the run has as many


@dataclass(frozen=True)
class ComparisonFaces:
    """Faces on which a file is compared with its checkpoint.

    pixels  uint8 (N, S, S) or (N, S, S, 3); the validation rows come first
    labels  class indices int64 (V,) of the validation rows; V = 0 if the run's own rows are missing
    words   description of the faces, e.g. "validation rows"
    """

    pixels: np.ndarray
    labels: np.ndarray
    words: str


@dataclass(frozen=True)
class Tested:
    """Test of the checkpoint with the views of a file.

    folder   folder of its predictions.csv
    metrics  values for all test rows and for the clean ones: {"all": {"acc": {"value": 0.67}}, "clean": ...}; {} if the
             run has not tested yet
    """

    folder: Path
    metrics: dict[str, Any]


def describe(run: TrainedRun, tta: str = "none") -> Metadata:
    """Return the metadata from the run's summary and its test with the views `tta`.

    Raise UserError if predictions.csv is damaged, or if the run was not evaluated with these views.
    """
    summary, taxonomy = run.summary, taxonomy_of(run.config.data)
    tested = _tested(run, tta)
    results = card_metrics(tested.metrics, _confusion(tested.folder / "predictions.csv", taxonomy), taxonomy.classes)
    best = summary.get("best") or {} if tta == "none" or run.members else {}
    val = drop_missing({"val": {name: best.get(f"val/{name}") for name in LABEL_METRICS}})
    return Metadata(
        name=f"{summary['name']}/{summary['job']}",
        taxonomy=taxonomy.name,
        classes=taxonomy.classes,
        crop=crop_rule(form_of(run)),
        network=(_ensemble(run) if run.members else _network(run)) | ({"tta": tta} if tta != "none" else {}),
        data={
            "name": summary["data"]["name"],
            "checksum": summary["data"]["checksum"],
            "split": summary["split"]["name"],
            "split_checksum": summary["split"]["checksum"],
            **({"extra": True} if run.config.data.get("extra") else {}),
        },
        metrics=results.pop("metrics") | val,
        **results,
        commit=git_state(ROOT)["commit"] or "unknown",
        exported=now(),
    )


def form_of(run: TrainedRun) -> ImageForm:
    """Return the size and color of the faces that the run, or the members of an ensemble, were trained on."""
    trained = run.members[0] if run.members else run
    return ImageForm.of_shape(trained.summary["data"].get("image", FER2013_FORM.shape))


def comparison_faces(run: TrainedRun, *, or_drawn: bool) -> ComparisonFaces:
    """Return all validation rows of the run, and training rows if there are fewer than 1,000.

    or_drawn  if the run's faces are missing or have changed, return drawn faces instead of raising UserError
    """
    try:
        table, split = run.faces()
    except UserError as error:
        if not or_drawn:
            raise
        print(f"note: drawn faces are used for the comparison. {error}")
        from fer_lightning.data import synthetic

        drawn = synthetic.load(rows=FACES)
        return ComparisonFaces(form_of(run).fit_all(drawn.pixels), np.zeros(0, np.int64), "drawn faces")
    more = max(0, FACES - len(split.val))
    rows = np.concatenate([split.val, split.train[:more]])
    words = "validation rows" if not more else "validation and training rows"
    return ComparisonFaces(table.pixels[rows], np.asarray(table.labels[split.val], np.int64), words)


def _network(run: TrainedRun) -> dict[str, Any]:
    config, choices = run.config, run.summary["choices"]
    return {
        "model": choices["model"] or config.model._target_.rpartition(".")[2],
        "stn": choices["stn"] or config.stn._target_.rpartition(".")[2],
        "input_size": config.model.input_size,
        "parameters": run.summary["parameters"]["total"],
    }


def _ensemble(run: TrainedRun) -> dict[str, Any]:
    """Return the network entry of an ensemble, with what the summary says about each member."""
    members = [
        {"name": f"{member.summary['name']}/{member.summary['job']}"}
        | _network(member)
        | {key: entry[key] for key in ("seed", "commit", "test/acc")}
        for member, entry in zip(run.members, run.summary["members"], strict=True)
    ]
    return {"model": "ensemble", "parameters": run.summary["parameters"]["total"], "members": members}


def _tested(run: TrainedRun, tta: str) -> Tested:
    if tta == "none" or run.members:
        test = run.summary.get("test") or {}
        every = {name: {"value": test.get(f"test/{name}")} for name in LABEL_METRICS}
        return Tested(run.path, {"all": every, "clean": test.get("clean", {})})
    folder = run.path / "evaluation" / tta
    again = f"python -m fer_lightning.evaluate {typed('run', run.path)} tta={tta}"
    if not (folder / "metrics.json").is_file():
        raise UserError(
            f"tta={tta}: the model card needs the test metrics of these views, and {folder} does not exist. "
            f"Run {again}, and then the same command again."
        )
    require_evaluation(folder, "evaluation")
    return Tested(folder, read_json(folder / "metrics.json", f"Run {again} again."))


def _confusion(path: Path, taxonomy: Taxonomy) -> np.ndarray | None:
    """Return the confusion matrix int64 (K, K) of predictions.csv; None if the file is missing."""
    from fer_lightning.evaluation.predictions import read_predictions

    if not path.is_file():
        return None
    predictions = read_predictions(path)
    if predictions.classes != taxonomy.classes:
        raise UserError(
            f"{path}: its classes are {', '.join(predictions.classes)}; must be {', '.join(taxonomy.classes)}."
        )
    return predictions.confusion()
