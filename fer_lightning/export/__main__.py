"""Export a trained run to one ONNX file that needs neither torch nor the run: uint8 face crops in, probabilities out.

    python -m fer_lightning.export run=outputs/train/seed-0
    python -m fer_lightning.export run=outputs/train/seed-0 out=models/face.onnx weights=int8

run        folder of the run whose best.ckpt is exported
out        the file to write (default: RUN/face.onnx); its model card, face_card.md, is written beside it
weights    how the file stores them: float32 (default), float16 (half the size), int8 (a quarter of the size)
data_root  folder of the store of faces; else the one that the run was trained on

The file divides the logits by one temperature, which gives the smallest cross-entropy on the validation rows of the
run's own data. If that data is not here, the temperature is 1.

Before the file takes its place, it is compared with the checkpoint on the validation rows, and on training rows if
there are fewer than 1,000, or on drawn faces if the run's data is not here. With weights=float32 a probability may
differ by 0.0001; otherwise 1 % of the labels may differ. No test row is read: the card repeats what the run measured.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from omegaconf import DictConfig, OmegaConf

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.evaluation.stopwatch import median_seconds
from fer_lightning.evaluation.trained_run import TrainedRun, open_run
from fer_lightning.export.settings import ExportFileSettings
from fer_lightning.faces.metadata import Metadata, embed
from fer_lightning.files import replacing, write_atomically
from fer_lightning.paths import CONF

if TYPE_CHECKING:
    import onnx

    from fer_lightning.export.recogniser import Checkpoint
    from fer_lightning.faces.face_model import FaceModel

COMMAND = Command(
    "python -m fer_lightning.export", ExportFileSettings, CONF / "export.yaml", texts=("run", "out", "data_root")
)
SUFFIX = ".onnx"
BATCH = 32  # crops in the second measurement of time


def main(arguments: list[str] | None = None) -> None:
    overrides = command.typed(COMMAND.program, __doc__, "run=PATH [key=value ...]", arguments)
    with command.failures_in_words("export", "Nothing is half written", again="begins anew"):
        export(config(overrides))


def config(overrides: list[str]) -> DictConfig:
    """The typed command line; UserError where it cannot be meant."""
    cfg = command.settings(COMMAND, overrides)
    if OmegaConf.is_missing(cfg, "run") or not cfg.run:
        raise UserError(f"run is not set: the folder of a trained run. E.g. {COMMAND.program} run=outputs/train/seed-0")
    if cfg.out is None:
        cfg.out = str(Path(cfg.run, f"face{SUFFIX}"))
    if Path(cfg.out).is_dir():
        raise UserError(f"out={cfg.out}: a folder. Name the file: out={Path(cfg.out, f'face{SUFFIX}')}")
    if Path(cfg.out).suffix != SUFFIX:
        raise UserError(f"out={cfg.out}: expected a file that ends in {SUFFIX}. E.g. out={Path(cfg.out).stem}{SUFFIX}")
    return cfg


def export(cfg: DictConfig) -> None:
    """Write the file and its card, and print what they are."""
    run = open_run(Path(cfg.run), data_root=cfg.data_root, with_faces=False)

    from fer_lightning.export.card import card
    from fer_lightning.export.comparison import calibration, checked, probabilities_of
    from fer_lightning.export.described import comparison_faces, describe
    from fer_lightning.export.weights import stored_bytes
    from fer_lightning.statistics.calibration import at_temperature, fit_temperature

    out, form, metadata = Path(cfg.out), cfg.weights.value, describe(run)
    faces = comparison_faces(run, or_drawn=cfg.data_root is None)
    validation = slice(len(faces.labels))
    print(f"exporting {metadata.name}: half a minute or more", flush=True)
    checkpoint = checkpoint_of(run, len(metadata.classes))
    before = probabilities_of(checkpoint, faces.pixels)
    temperature = fit_temperature(before[validation], faces.labels)
    graph = checkpoint.to_onnx(temperature, form)
    weights = {"form": form, "bytes": stored_bytes(graph)}
    metadata = replace(metadata, weights=weights, temperature=temperature)
    with replacing(out) as file:
        after = probabilities_of(written(file, graph, metadata), faces.pixels)
        metadata = replace(
            metadata,
            checked=checked(after, at_temperature(before, temperature), faces, form),
            calibration=calibration(after[validation], before[validation], faces.labels),
        )
        model = written(file, graph, metadata)
    write_atomically(card_path(out), card(metadata, out.name))
    tell(model, out, faces.pixels)


def card_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}_card.md")


def checkpoint_of(run: TrainedRun, num_classes: int) -> "Checkpoint":
    from fer_lightning.export.recogniser import Checkpoint

    model = run.config.model
    return Checkpoint(run.network(num_classes), input_size=model.input_size, mean=model.mean, std=model.std)


def written(file: BinaryIO, graph: "onnx.ModelProto", metadata: Metadata) -> "FaceModel":
    """Write the graph with its metadata over the content of an open file, and open the result."""
    from fer_lightning.faces.face_model import FaceModel

    embed(graph, metadata)
    file.seek(0)
    file.truncate()
    file.write(graph.SerializeToString())
    file.flush()
    return FaceModel(Path(file.name))


def tell(model: "FaceModel", out: Path, faces: np.ndarray) -> None:
    from rich.console import Console
    from rich.table import Table

    from fer_lightning.export.card import calibration_in_words, checked_in_words

    crops = np.resize(faces, (BATCH, *faces.shape[1:]))
    table = Table(box=None, pad_edge=False, show_header=False)
    for line in (
        ("file", f"{out}, {out.stat().st_size / 1e6:.2f} MB, weights={model.metadata.weights['form']}"),
        ("model card", str(card_path(out))),
        ("classes", ", ".join(model.metadata.classes)),
        ("checked", checked_in_words(model.metadata)),
        ("confidence", calibration_in_words(model.metadata)),
        ("1 crop", f"{1000 * median_seconds(lambda: model(crops[:1])):.1f} ms"),
        (f"{BATCH} crops", f"{1000 * median_seconds(lambda: model(crops)):.1f} ms"),
    ):
        table.add_row(*line)
    Console(soft_wrap=True).print(table, highlight=False)
    print(f"try it: python -m fer_lightning.predict {shlex.quote(f'model={out}')} input=photographs")


if __name__ == "__main__":
    main()
