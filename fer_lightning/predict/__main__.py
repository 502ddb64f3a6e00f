"""Predict the expressions of all faces in a photo, a video, or a folder of both, with an exported model.

    python -m fer_lightning.predict input=photographs
    python -m fer_lightning.predict input=party.mp4 every=5 out=party
    python -m fer_lightning.predict input=me.jpg annotate=false model=face.onnx

The command writes these files into OUT: predictions.csv and predictions.jsonl (one row per face), annotated/,
unreadable.csv and summary.json. Files that cannot be read are listed in unreadable.csv, and all others are processed;
the exit status is then 3.
torch is not needed.
"""

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import part
from fer_lightning.errors import UserError
from fer_lightning.faces.settings import FaceRules
from fer_lightning.faces.shipped import model_path
from fer_lightning.failures import stop_on_sigterm
from fer_lightning.inputs import PARTLY
from fer_lightning.paths import CONF
from fer_lightning.predict.settings import PredictSettings
from fer_lightning.terminal import plain_console, progress_bar
from fer_lightning.wording import message

if TYPE_CHECKING:
    from rich.table import Table

    from fer_lightning.faces.metadata import Metadata

SMALL = 128  # pixels; a detector seldom finds a face in such an image
COMMAND = Command(
    "python -m fer_lightning.predict",
    PredictSettings,
    CONF / "predict" / "predict.yaml",
    example="input=photographs",
)


def main(arguments: list[str] | None = None) -> None:
    stop_on_sigterm()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    warnings.filterwarnings("ignore", module="PIL")  # Pillow's warnings are irrelevant if an image can be read
    with command.report_errors("predict", "No table is half written", again="starts from the beginning"):
        counts = run(config(command.read_arguments(COMMAND, __doc__, arguments)))["counts"]
    if counts["unreadable"]:
        sys.exit(PARTLY)


def config(overrides: list[str]) -> PredictSettings:
    """Return the settings of a command line. Raise UserError if they are invalid."""
    settings = command.settings(COMMAND, overrides)
    _refuse_address(settings.input)
    return settings


def _refuse_address(given: str) -> None:
    if re.match(r"[a-z][a-z0-9+.-]*:/", given, re.I) and not Path(given).exists():
        raise UserError(f"input={given}: addresses are not fetched. Download the file, and name it with input=FILE.")
    if given.isdigit() and not Path(given).exists():
        raise UserError(f"input={given}: no such file. For a camera: make live SOURCE={given}")


def run(settings: PredictSettings) -> dict[str, Any]:
    """Predict, print a summary and return it; show a progress bar if stderr is a terminal."""
    import cv2

    from fer_lightning.faces.detector import open_detector
    from fer_lightning.faces.face_model import FaceModel
    from fer_lightning.predict.predict import predict

    out, faces = Path(settings.out), settings.faces
    model = FaceModel(model_path(settings.model), threads=settings.threads)
    if settings.threads is not None:
        cv2.setNumThreads(settings.threads)
    with progress_bar("detecting faces") as progress:
        summary = predict(
            model=model,
            source=Path(settings.input),
            out=out,
            detector=open_detector(faces.model, kind=faces.kind),
            rules=part(FaceRules, faces),
            settings=settings,
            progress=progress,
        )
    _tell(summary, out, model.metadata)
    return summary


def label_table(labels: dict[str, int]) -> "Table":
    """Return the table of the faces by label, for a terminal."""
    from rich.table import Table

    table = Table("label", "faces", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for label, count in sorted(labels.items(), key=lambda item: -item[1]):
        table.add_row(label, f"{count:,}")
    return table


def _tell(summary: dict[str, Any], out: Path, metadata: "Metadata") -> None:
    counts = summary["counts"]
    plain_console().print(label_table(counts["labels"]))
    doubted = ", ".join(f"{count:,} {reason}" for reason, count in counts["doubts"].items())
    print(
        f"\n{_counted(counts['faces'], 'face')} in {_counted(counts['pictures'], 'image')}, "
        f"{counts['without_a_face']:,} without a face"
        f"{f'; doubtful: {doubted}' if doubted else ''}"
    )
    if (accuracy := metadata.metrics.get("test", {}).get("acc")) is not None:
        print(f"a label is only a guess: the model labels {100 * accuracy:.1f} % of its test faces correctly")
    if metadata.caution:
        print(f"warning: {metadata.name}: {metadata.caution}")
    print(message(f"predictions: {out}/predictions.csv{f'   images: {out}/annotated' if _annotated(summary) else ''}"))
    print(
        message(
            f"next: look at {f'{out}/annotated' if _annotated(summary) else f'{out}/predictions.csv'}; {_UNCERTAIN}"
        )
    )
    if not counts["faces"] and summary["largest_side"] <= SMALL:
        print(f"the images have at most {SMALL} pixels: if they are faces already cut out, use faces.kind=whole")
    for line in summary["not_read"]:
        print(line)
    if counts["unreadable"]:
        missed = f"{counts['unreadable']:,} of {_counted(counts['files'], 'file')}"
        print(message(f"{missed} could not be read completely: {out}/unreadable.csv"))


_UNCERTAIN = 'add min_confidence=0.5 to label uncertain faces "not sure"'


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _annotated(summary: dict[str, Any]) -> bool:
    return summary["settings"]["annotate"] and summary["counts"]["pictures"] > 0


if __name__ == "__main__":
    main()
