"""Prediction for all faces of a photo, a folder or a video with one exported model, in limited memory."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.find import Found, find_faces, recipe
from fer_lightning.faces.settings import FaceRules
from fer_lightning.faces.tracks import Tracks
from fer_lightning.predict.annotated import AnnotatedCopies
from fer_lightning.predict.looks import Look, Source
from fer_lightning.predict.results import ANNOTATED, NOTHING_READ, Seen, Tables, claim, write_summary
from fer_lightning.predict.settings import Processing
from fer_lightning.runs.run_folder import command_line, now
from fer_lightning.terminal import Progress

HELD = 100_000_000  # maximum size of the images whose faces wait for a full batch, in bytes

Waiting = tuple[Look, list[Found]]


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
    summary = _about(model, source, detector, rules, settings)
    claim(out, summary)
    classes, begun = model.metadata.classes, time.monotonic()
    numbering, largest = _Numbering(), 0
    with Tables(out, classes) as tables, AnnotatedCopies(out / ANNOTATED, classes) as copies:
        looks = pictures.looks(tables.add_unreadable, progress)
        for waiting in _batches(_looked_at(looks, detector, rules), settings.batch_size):
            for look, seen in numbering.seen(waiting, _recognised(model, waiting, settings.batch_size)):
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


def _about(
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
        "recipe": recipe(detector, rules),
        "settings": {"annotate": settings.annotate, "every": settings.every, "rules": asdict(rules)},
        "call": {"time": now(), "command": command_line()},
    }


def _looked_at(looks: Iterable[Look], detector: Detector, rules: FaceRules) -> Iterator[Waiting]:
    for look in looks:
        yield look, find_faces(look.pixels, detector, rules, roll=True)


def _batches(looks: Iterable[Waiting], batch_size: int) -> Iterator[list[Waiting]]:
    """Yield groups of images, in order, whose faces fill a batch or whose pixels reach the memory limit."""
    waiting: list[Waiting] = []
    faces = held = 0
    for look, found in looks:
        waiting.append((look, found))
        faces, held = faces + len(found), held + look.pixels.nbytes
        if faces >= batch_size or held >= HELD:
            yield waiting
            waiting, faces, held = [], 0, 0
    if waiting:
        yield waiting


def _recognised(model: FaceModel, waiting: list[Waiting], batch_size: int) -> np.ndarray:
    """Return the probabilities (n, K) of all faces, in their order."""
    crops = [face.crop for _, found in waiting for face in found]
    parts = [np.stack(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    classes = len(model.metadata.classes)
    found = np.concatenate([model(part) for part in parts]) if parts else np.empty((0, classes), np.float32)
    if not np.isfinite(found).all():
        raise UserError(
            f"model={model.path}: the model returned NaN or infinity for one of these faces. Export it again: "
            "python -m fer_lightning.export run=PATH"
        )
    return found


class _Numbering:
    """Numbers of faces: from 1 in each photo, and the number of the track in a video."""

    def __init__(self) -> None:
        self._file, self._tracks = "", Tracks()

    def seen(self, waiting: list[Waiting], probabilities: np.ndarray) -> Iterator[tuple[Look, list[Seen]]]:
        start = 0
        for look, found in waiting:
            rows = probabilities[start : start + len(found)]
            start += len(found)
            numbers = self._numbers(look, found, rows)
            yield (
                look,
                [
                    Seen(number, face.face, face.reason, row)
                    for number, face, row in zip(numbers, found, rows, strict=True)
                ],
            )

    def _numbers(self, look: Look, found: list[Found], rows: np.ndarray) -> list[int]:
        if look.frame is None:
            return list(range(1, len(found) + 1))
        if look.file != self._file:
            self._file, self._tracks = look.file, Tracks(keep_seconds=max(1.0, 2 / look.fps))
        return [track.id for track in self._tracks.update(look.seconds, [face.face.box for face in found], rows)]
