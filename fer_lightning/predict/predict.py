"""All faces of a photo, a folder or a video through one exported model; the memory that it takes knows a bound."""

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
from fer_lightning.faces.quality import FaceRules
from fer_lightning.faces.tracks import Tracks
from fer_lightning.predict.annotated import Copies
from fer_lightning.predict.looks import Look, Progress, Source
from fer_lightning.predict.results import ANNOTATED, NOTHING_READ, Seen, Tables, claim, write_summary
from fer_lightning.runs.run_folder import command_line, now

HELD = 100_000_000  # bytes of pictures that wait for their faces to be recognised together

Waiting = tuple[Look, list[Found]]


def predict(
    *,
    model: FaceModel,
    source: Path,
    out: Path,
    detector: Detector,
    rules: FaceRules,
    annotate: bool = True,
    batch_size: int = 64,
    every: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a row for each face of `source` into the folder `out`; -> its summary.

    source      a photo, a video or a folder of them
    annotate    whether copies with boxes and labels are written
    batch_size  faces that are recognised at once
    every       of a video each n-th frame is looked at

    UserError where there is nothing to look at, where `out` holds something else, and at the end where no picture
    could be read; what is unreadable among others is in unreadable.csv alone.
    """
    for name, value in (("batch_size", batch_size), ("every", every)):
        if value < 1:
            raise UserError(f"{name}={value}: choose 1 or more.")
    pictures = Source(source, out=out, every=every)
    summary = _about(model, source, detector, rules, annotate, every)
    claim(out, summary)
    classes, begun = model.metadata.classes, time.monotonic()
    numbering = _Numbering()
    with Tables(out, classes) as tables, Copies(out / ANNOTATED, classes) as copies:
        looks = pictures.looks(tables.add_unreadable, progress)
        for waiting in _batches(_looked_at(looks, detector, rules), batch_size):
            for look, seen in numbering.seen(waiting, _recognised(model, waiting, batch_size)):
                tables.add(look, seen)
                if annotate:
                    copies.add(look, seen)
    counts = {**tables.counts, "files": len(pictures), "labels": dict(tables.labels), "doubts": dict(tables.doubts)}
    status = "done" if tables.counts["pictures"] else NOTHING_READ
    summary |= {"status": status, "counts": counts, "seconds": round(time.monotonic() - begun, 2)}
    write_summary(out, summary)
    if not tables.counts["pictures"]:
        count = f"none of {len(pictures):,} files can be read" if len(pictures) > 1 else "it cannot be read"
        raise UserError(f"input={source}: {count}. {tables.missed}. See {out}/unreadable.csv.")
    return summary


def _about(
    model: FaceModel, source: Path, detector: Detector, rules: FaceRules, annotate: bool, every: int
) -> dict[str, Any]:
    """What the results are of."""
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
        "settings": {"annotate": annotate, "every": every, "rules": asdict(rules)},
        "call": {"time": now(), "command": command_line()},
    }


def _looked_at(looks: Iterable[Look], detector: Detector, rules: FaceRules) -> Iterator[Waiting]:
    for look in looks:
        yield look, find_faces(look.pixels, detector, rules, roll=True)


def _batches(looks: Iterable[Waiting], batch_size: int) -> Iterator[list[Waiting]]:
    """Pictures, in order, until their faces fill a batch or their pixels are as much as may be held."""
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
    """The probabilities (n, K) of all faces, in their order."""
    crops = [face.crop for _, found in waiting for face in found]
    parts = [np.stack(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    classes = len(model.metadata.classes)
    found = np.concatenate([model(part) for part in parts]) if parts else np.empty((0, classes), np.float32)
    if not np.isfinite(found).all():
        raise UserError(f"model={model.path}: for one of these faces it gives what is no number. Export it again.")
    return found


class _Numbering:
    """Gives faces their numbers: from 1 in each photo, by their track in a video."""

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
