"""Show which pixels the predictions of a run depend on: class activation and occlusion, as a page.

    python -m fer_lightning.explain run=outputs/train/seed-0
    python -m fer_lightning.explain run=outputs/train/seed-0 per_class=4 pictures=no
    python -m fer_lightning.explain run=outputs/train/seed-0 model=outputs/train/seed-0/face.onnx

The page shows the surest right and wrong rows of each class, and the limits of such maps. It is written to
RUN/explain/val/index.html, or to RUN/explain/val_face/index.html with model=face.onnx.

The faces are validation rows. rows=test chooses test rows, and adds a line to test_reads.csv.

Keep the page private: it shows people who were never asked. With pictures=no it shows only averaged maps.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.data.duplicates import copies_of, groups
from fer_lightning.errors import UserError
from fer_lightning.evaluation import evaluate
from fer_lightning.evaluation.settings import EvaluateSettings
from fer_lightning.evaluation.trained_run import TrainedRun, open_run
from fer_lightning.explain.rows import surest
from fer_lightning.explain.settings import ExplainSettings
from fer_lightning.failures import require_package
from fer_lightning.files import require_own_folder, write_atomically
from fer_lightning.paths import CONF
from fer_lightning.runs.run_folder import RunFolder, command_line
from fer_lightning.runs.trained_folder import members_of
from fer_lightning.wording import typed

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable
    from fer_lightning.evaluation.torch_predictor import FilePredictor, Predictor
    from fer_lightning.explain.explain_page import FaceMaps

COMMAND = Command(
    "python -m fer_lightning.explain",
    ExplainSettings,
    CONF / "explain" / "explain.yaml",
    example="run=outputs/train/seed-0",
)
ROWS = {"val": "validation", "train": "training", "test": "test"}
MARK = ("index.html", ": maps of faces</title>")  # of the folder of a page
SIDE_IN_SQUARES = 6  # number of hidden squares along a side of a face, by default
NO_MAP = "The network has no layer with a map after two convolutions or more. Vision transformers have none."
NO_LAYERS = "An exported file has no layers that can be read. Explain its run for class activation maps."


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("explain", "Nothing is half written"):
        explain(config(command.read_arguments(COMMAND, __doc__, arguments)))


def config(overrides: list[str]) -> ExplainSettings:
    """Return the settings of the command line. Raise UserError if they cannot be used."""
    cfg = command.settings(COMMAND, overrides)
    if cfg.model is not None and cfg.device == "cuda":
        raise UserError(f"model={cfg.model}: an exported file is explained on the CPU. Drop device=cuda.")
    return cfg


def explain(cfg: ExplainSettings) -> None:
    """Write the page of a run and print its path."""
    _refuse_ensemble(Path(cfg.run))
    if cfg.out is not None:
        require_own_folder(Path(cfg.out), "out", MARK)
    run = open_run(Path(cfg.run), data_root=cfg.data_root)
    require_package("captum")
    table, split = run.faces()
    square = square_side(cfg.square, table.form.size)
    predict = build_predictor(cfg, run, table.classes)

    from fer_lightning.evaluation.torch_predictor import batches_of, predict_rows
    from fer_lightning.explain.explain_page import render

    batches = batches_of(table, getattr(split, cfg.rows), run.config.data.eval_batch_size)
    rows, labels, probabilities = predict_rows(predict, evaluate.show_progress(batches, "predict"))
    reads = _count_reads(cfg, run, table, split)  # before any prediction is shown
    images = groups(table, copies_of(table))[rows]
    choices = surest(probabilities, labels, cfg.per_class, images)
    chosen = np.concatenate([choice.rows for choice in choices])
    print(f"computing maps of {len(chosen)} faces: takes half a minute or more", flush=True)
    maps, facts = explained(predict, table.pixels[rows[chosen]], probabilities[chosen], square)
    facts |= {
        "name": f"{run.summary['name']}/{run.summary['job']}",
        "command": command_line(),
        "model": cfg.model and Path(cfg.model).name,
        "pictures": cfg.pictures,
        "drawn": table.name == "synthetic",
        "rows": f"{len(rows):,}",
        "rows_name": ROWS[cfg.rows],
        "per_class": cfg.per_class,
        "square": square,
        "form": table.form,
        "split": split,
        "stn": not run.config.stn._target_.endswith(".Identity"),
        "reads": reads,
    }
    page = page_path(cfg)
    write_atomically(page, render(choices, maps, table.classes, facts))
    note = " (shows people: do not publish it)" if cfg.pictures and not facts["drawn"] else ""
    print(f"page: {page}{note}")
    print("next: open the page in a browser, and read its limits first")


def build_predictor(cfg: ExplainSettings, run: TrainedRun, classes: tuple[str, ...]) -> "Predictor | FilePredictor":
    return evaluate.build_predictor(EvaluateSettings(run=cfg.run, model=cfg.model, device=cfg.device), run, classes)


def page_path(cfg: ExplainSettings) -> Path:
    name = cfg.rows if cfg.model is None else f"{cfg.rows}_{Path(cfg.model).stem}"
    folder = Path(cfg.run, "explain", name) if cfg.out is None else Path(cfg.out)
    return folder / "index.html"


def _refuse_ensemble(path: Path) -> None:
    """Raise UserError if the folder is that of an ensemble, whose maps can be drawn only for its exported file."""
    members = members_of(RunFolder(path)) if path.is_dir() else []
    if members:
        member = members[0]["run"]
        raise UserError(
            f"run={path}: is an ensemble, and class activation maps belong to the layers of one network. Explain a "
            f"member: {typed('run', member)}. Or explain the mean of all members, by occlusion, in its exported "
            f"file: python -m fer_lightning.export {typed('run', path)}, and then {COMMAND.program} "
            f"{typed('run', member)} {typed('model', path / 'face.onnx')}"
        )


def square_side(square: int | None, side: int) -> int:
    """Return the side of the hidden square for faces of `side` pixels. Raise UserError if it is too large for them."""
    if square is not None and 2 * square > side:
        raise UserError(
            f"square={square}: must be at most {side // 2} pixels, half the side of the run's faces. Use a smaller one."
        )
    return side // SIDE_IN_SQUARES if square is None else square


def explained(
    predict: "Predictor | FilePredictor", pixels: np.ndarray, probabilities: np.ndarray, square: int
) -> tuple["FaceMaps", dict[str, Any]]:
    """Return the maps of faces uint8 (F, S, S) or (F, S, S, 3), and the facts about their layer and their check.

    probabilities  float32 (F, K); the class with the highest one is explained
    """
    import torch

    from fer_lightning.evaluation.torch_predictor import FilePredictor
    from fer_lightning.explain import maps
    from fer_lightning.explain.explain_page import FaceMaps

    images, classes = torch.from_numpy(np.array(pixels)), torch.from_numpy(probabilities.argmax(axis=1))
    hidden = maps.occlusion(predict, images, classes, square)
    if isinstance(predict, FilePredictor):
        return FaceMaps(pixels, probabilities, hidden, None), {"layer": None, "no_layer": NO_LAYERS, "checks": []}
    layer = maps.find_layer(predict, images)
    activation = None if layer is None else maps.class_activation(predict, layer.name, images, classes)
    other = maps.shuffled(predict)
    checks = [("occlusion", maps.agreement(hidden, maps.occlusion(other, images, classes, square)))]
    if layer is not None:
        again = maps.class_activation(other, layer.name, images, classes)
        checks.append(("class activation", maps.agreement(activation, again)))
    facts = {"layer": layer, "no_layer": NO_MAP, "checks": checks}
    return FaceMaps(pixels, probabilities, hidden, activation), facts


def _count_reads(cfg: ExplainSettings, run: TrainedRun, table: "FaceTable", split: "Split") -> str:
    """Count a read of the test rows, and return a sentence about it; '' for other rows."""
    if cfg.rows != "test":
        return ""
    from fer_lightning.runs import reads_of_test_rows

    reads = reads_of_test_rows.record(run.path, table, split)
    sentence = reads_of_test_rows.sentence(reads, split.name, table.name)
    print(sentence)
    return sentence


if __name__ == "__main__":
    main()
