"""Export a trained run to one ONNX file that needs neither torch nor the run: uint8 face crops in, probabilities out.

    python -m fer_lightning.export run=outputs/train/seed-0
    python -m fer_lightning.export run=outputs/train/seed-0 out=models/face.onnx weights=int8
    python -m fer_lightning.export run=outputs/ensemble/seed-0

The file of an ensemble contains the networks of all members. It returns the mean of their probabilities.

The file divides the logits by a temperature, the one with the smallest cross-entropy on the validation rows of the
run's own data. If that data is missing, the temperature is 1. An ensemble divides the logarithms of its mean.

The file is kept only if it agrees with the checkpoint. With weights=float32 the probabilities may differ by at most
0.0001. With float16 and int8 at most 1 % of the labels may differ, with codebook4 at most 5 %. The accuracy on the
validation rows must fall by less than 0.3 points; the model card has both accuracies. The two are compared on these
faces:

- the validation rows
- also training rows, if there are fewer than 1,000 validation rows
- drawn faces, if the run's data is missing

No test row is read. The model card repeats the test metrics that the run measured with its checkpoint, until
`python -m fer_lightning.evaluate run=RUN model=FILE card=true` replaces them by those of the file.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.evaluation.stopwatch import median_seconds
from fer_lightning.export.members import load_checkpoint, open_subject, refuse_large_file
from fer_lightning.export.settings import ExportFileSettings
from fer_lightning.faces.metadata import Metadata, embed, sealed
from fer_lightning.files import replacing
from fer_lightning.paths import CONF
from fer_lightning.runs.summary_file import unfinished_note
from fer_lightning.terminal import plain_console
from fer_lightning.wording import terminal, typed

if TYPE_CHECKING:
    import onnx
    from rich.table import Table

    from fer_lightning.faces.face_model import FaceModel

COMMAND = Command(
    "python -m fer_lightning.export", ExportFileSettings, CONF / "export.yaml", example="run=outputs/train/seed-0"
)
SUFFIX = ".onnx"
BATCH = 32  # crops per call in the second measurement of speed


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("export", "Nothing is half written"):
        overrides = command.read_arguments(COMMAND, __doc__, arguments)
        export(config(overrides))


def config(overrides: list[str]) -> ExportFileSettings:
    """Return the settings of the command line. Raise UserError if they cannot be used."""
    settings = command.settings(COMMAND, overrides)
    out = Path(settings.run, f"face{SUFFIX}") if settings.out is None else Path(settings.out)
    if out.is_dir():
        raise UserError(f"out={out}: is a folder; must be a file. E.g. out={out / f'face{SUFFIX}'}")
    if out.suffix != SUFFIX:
        raise UserError(f"out={out}: must be a file that ends in {SUFFIX}. E.g. out={out.stem}{SUFFIX}")
    return replace(settings, out=str(out))


def export(settings: ExportFileSettings) -> None:
    """Write the file and its model card, and print a summary."""
    run = open_subject(Path(settings.run), settings.tta, data_root=settings.data_root)
    refuse_large_file(run, settings.weights)

    from fer_lightning.evaluation.card import write_card
    from fer_lightning.export.comparison import (
        calibration,
        compare_with_checkpoint,
        predict_probabilities,
        refuse_loss_of_accuracy,
    )
    from fer_lightning.export.described import comparison_faces, describe
    from fer_lightning.export.weights import stored_bytes
    from fer_lightning.statistics.calibration import at_temperature, fit_temperature

    out, form, metadata = Path(settings.out), settings.weights, describe(run, settings.tta)
    faces = comparison_faces(run, or_drawn=settings.data_root is None)
    validation = slice(len(faces.labels))
    if note := unfinished_note(run.summary):
        print(f"note: {note}")
    print(f"exporting {terminal(metadata.name)}: takes half a minute or more", flush=True)
    checkpoint = load_checkpoint(run, len(metadata.classes), settings.tta)
    before = predict_probabilities(checkpoint, faces.pixels)
    temperature = fit_temperature(before[validation], faces.labels)
    graph = checkpoint.to_onnx(temperature, form)
    weights = {"form": form, "bytes": stored_bytes(graph)}
    metadata = replace(metadata, weights=weights, temperature=temperature)
    with replacing(out) as file:
        after = predict_probabilities(write_and_open(file, graph, metadata), faces.pixels)
        metadata = replace(
            metadata,
            checked=compare_with_checkpoint(after, at_temperature(before, temperature), faces, form),
            calibration=calibration(after[validation], before[validation], faces.labels),
        )
        refuse_loss_of_accuracy(metadata.calibration, form)
        model = write_and_open(file, graph, metadata)
    write_card(out, metadata)
    print_summary(model, out, faces.pixels)


def write_and_open(file: BinaryIO, graph: "onnx.ModelProto", metadata: Metadata) -> "FaceModel":
    """Write the graph with its metadata over the content of an open file, and open the result."""
    from fer_lightning.faces.face_model import FaceModel

    embed(graph, metadata)
    file.seek(0)
    file.truncate()
    file.write(sealed(graph))
    file.flush()
    return FaceModel(Path(file.name))


def content_table(lines: dict[str, str]) -> "Table":
    """Return the table of what a file contains, for a terminal. A long path is folded."""
    from rich.table import Column, Table

    table = Table("", Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
    for name, text in lines.items():
        table.add_row(name, text)
    return table


def print_summary(model: "FaceModel", out: Path, faces: np.ndarray) -> None:
    """Print what the file contains, how it compares with the checkpoint, and its speed on `faces`."""
    from fer_lightning.evaluation.card import card_path, describe_calibration, describe_comparison

    crops = np.resize(faces, (BATCH, *faces.shape[1:]))
    lines = {
        "file": f"{out}, {out.stat().st_size / 1e6:.2f} MB, weights={model.metadata.weights['form']}",
        "model card": str(card_path(out)),
        "classes": ", ".join(model.metadata.classes),
        "checked": describe_comparison(model.metadata),
        "confidence": describe_calibration(model.metadata),
        "1 crop": f"{1000 * median_seconds(lambda: model(crops[:1])):.1f} ms",
        f"{BATCH} crops": f"{1000 * median_seconds(lambda: model(crops)):.1f} ms",
    }
    plain_console().print(content_table(lines), highlight=False)
    print(f"try it: python -m fer_lightning.predict {typed('model', out)} input=photographs")


if __name__ == "__main__":
    main()
