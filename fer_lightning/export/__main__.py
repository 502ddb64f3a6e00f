"""Export a trained run to one ONNX file that needs neither torch nor the run: uint8 face crops in, probabilities out.

    python -m fer_lightning.export run=outputs/train/seed-0
    python -m fer_lightning.export run=outputs/train/seed-0 out=models/face.onnx

run        folder of the run whose best.ckpt is exported
out        the file to write (default: RUN/face.onnx); its model card, face_card.md, is written beside it
data_root  folder of the store of faces; else the one that the run was trained on

Before the file takes its place, its probabilities are held against the checkpoint's on 1,000 faces: validation rows
(and training rows, where those are fewer) of the run's own data, or drawn faces where that is not here. Test rows are
not looked at: what the card says of them, the run has measured.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, OmegaConf

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.evaluation.stopwatch import median_seconds
from fer_lightning.evaluation.trained_run import TrainedRun, open_run
from fer_lightning.export.settings import ExportFileSettings
from fer_lightning.files import replacing, write_atomically
from fer_lightning.paths import CONF

if TYPE_CHECKING:
    import onnx

    from fer_lightning.evaluation.torch_predictor import Predictor
    from fer_lightning.faces.face_model import FaceModel

COMMAND = Command(
    "python -m fer_lightning.export", ExportFileSettings, CONF / "export.yaml", texts=("run", "out", "data_root")
)
SUFFIX = ".onnx"
MOST_APART = 1e-4  # between a probability of the file and the checkpoint's
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
    from fer_lightning.export.described import comparison_faces, describe
    from fer_lightning.faces.face_model import FaceModel
    from fer_lightning.faces.metadata import embed

    out, metadata = Path(cfg.out), describe(run)
    faces, whose = comparison_faces(run, or_drawn=cfg.data_root is None)
    print(f"exporting {metadata.name}: half a minute or more", flush=True)
    graph, predictor = graph_and_predictor(run, len(metadata.classes))
    embed(graph, metadata)
    with replacing(out) as file:
        file.write(graph.SerializeToString())
        file.flush()
        model = FaceModel(Path(file.name))
        apart = compared(model, predictor, faces)
    write_atomically(card_path(out), card(metadata, out.name))
    tell(model, out, apart, faces, whose)


def card_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}_card.md")


def graph_and_predictor(run: TrainedRun, num_classes: int) -> "tuple[onnx.ModelProto, Predictor]":
    """The run's best.ckpt as a graph, and as it is, in 32-bit floats on the CPU."""
    import torch

    from fer_lightning.evaluation.torch_predictor import Predictor
    from fer_lightning.export.recogniser import Recogniser, to_onnx

    network, model = run.network(num_classes), run.config.model
    how = {"input_size": model.input_size, "mean": model.mean, "std": model.std}
    return to_onnx(Recogniser(network, **how)), Predictor(network, [None], device=torch.device("cpu"), **how)


def compared(model: "FaceModel", predictor: "Predictor", faces: np.ndarray) -> float:
    """How far apart the two are; UserError where that is too far."""
    from fer_lightning.export.recogniser import greatest_difference

    apart = greatest_difference(model, predictor, faces)
    if not apart <= MOST_APART:
        raise UserError(
            f"the exported file's probabilities are up to {apart:.2g} from the checkpoint's on {len(faces):,} faces, "
            f"and {MOST_APART:g} is allowed: it was not kept. That is a fault of this program or of its libraries; "
            "please report it with env.txt of the run."
        )
    return apart


def tell(model: "FaceModel", out: Path, apart: float, faces: np.ndarray, whose: str) -> None:
    from rich.console import Console
    from rich.table import Table

    crops = np.resize(faces, (BATCH, *faces.shape[1:]))
    table = Table(box=None, pad_edge=False, show_header=False)
    for line in (
        ("file", f"{out}, {out.stat().st_size / 1e6:.1f} MB"),
        ("model card", str(card_path(out))),
        ("classes", ", ".join(model.metadata.classes)),
        ("equality", f"within {apart:.1g} of the checkpoint's probabilities on {len(faces):,} {whose}"),
        ("1 crop", f"{1000 * median_seconds(lambda: model(crops[:1])):.1f} ms"),
        (f"{BATCH} crops", f"{1000 * median_seconds(lambda: model(crops)):.1f} ms"),
    ):
        table.add_row(*line)
    Console(soft_wrap=True).print(table, highlight=False)
    print(f"try it: python -m fer_lightning.predict {shlex.quote(f'model={out}')} input=photographs")


if __name__ == "__main__":
    main()
