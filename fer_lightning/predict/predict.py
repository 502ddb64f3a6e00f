"""Prediction for all faces of a photo, a folder or a video with one exported model, in limited memory."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from fer_lightning.errors import UserError
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.find import recipe
from fer_lightning.faces.settings import FaceRules
from fer_lightning.predict.annotated import AnnotatedCopies
from fer_lightning.predict.labeller import FaceLabeller
from fer_lightning.predict.looks import Source
from fer_lightning.predict.results import ANNOTATED, NOTHING_READ, Tables, claim, write_summary
from fer_lightning.predict.settings import Processing
from fer_lightning.runs.run_folder import command_line, now
from fer_lightning.terminal import Progress


def predict(
    *,
    model: FaceModel,
    source: Path,
    out: Path,
    detector: Detector,
    rules: FaceRules,
    settings: Processing | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write one row per face of `source` into the folder `out`, and return the summary.

    source    photo, video, or folder of photos and videos
    settings  None: the defaults

    Raise UserError if `source` has no images, if `out` holds other files, or at the end if no image could be read.
    If only some files are unreadable, they are listed in unreadable.csv.
    """
    settings = settings or Processing()
    pictures = Source(source, out=out, every=settings.every)
    summary = _describe(model, source, detector, rules, settings)
    claim(out, summary)
    classes, begun = model.metadata.classes, time.monotonic()
    label = FaceLabeller(model, detector, rules, batch_size=settings.batch_size, min_confidence=settings.min_confidence)
    largest = 0
    with Tables(out, classes) as tables, AnnotatedCopies(out / ANNOTATED) as copies:
        for look, seen in label(pictures.looks(tables.add_unreadable, progress)):
            tables.add(look, seen)
            largest = max(largest, *look.pixels.shape[:2])
            if settings.annotate:
                copies.add(look, seen)
    counts = {**tables.counts, "files": len(pictures), "labels": dict(tables.labels), "doubts": dict(tables.doubts)}
    counts["left_out"] = {reason: len(names) for reason, names in pictures.left_out.names.items()}
    status = "done" if tables.counts["pictures"] else NOTHING_READ
    summary["not_read"] = pictures.left_out.lines()
    summary |= {
        "status": status,
        "counts": counts,
        "largest_side": largest,
        "seconds": round(time.monotonic() - begun, 2),
    }
    write_summary(out, summary)
    if not tables.counts["pictures"]:
        count = f"none of its {len(pictures):,} files can be read" if len(pictures) > 1 else "it cannot be read"
        raise UserError(f"input={source}: {count}. {tables.missed}. See {out}/unreadable.csv.")
    return summary


def _describe(
    model: FaceModel, source: Path, detector: Detector, rules: FaceRules, settings: Processing
) -> dict[str, Any]:
    """Return the part of the summary that describes model, input, detector, settings and call."""
    metadata = model.metadata
    return {
        "model": {
            "file": str(model.path),
            "sha256": model.sha256,
            "name": metadata.name,
            "taxonomy": metadata.taxonomy,
            "classes": list(metadata.classes),
            "crop": metadata.crop,
        },
        "input": str(source.resolve()),
        "detector": {"name": detector.name, "sha256": detector.model_sha256, "opencv": cv2.__version__},
        "recipe": recipe(detector, rules, metadata.form),
        "settings": {
            "annotate": settings.annotate,
            "every": settings.every,
            "min_confidence": settings.min_confidence,
            "rules": asdict(rules),
        },
        "call": {"time": now(), "command": command_line()},
    }
