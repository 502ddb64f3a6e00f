"""Faces of images as Python objects: `FaceReader()("photo.jpg")`. It does the same as the command `predict`."""

import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from PIL import Image

from fer_lightning.errors import UserError
from fer_lightning.faces.detector import Detector, open_detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.pixels import plain
from fer_lightning.faces.settings import DetectorKind, DetectorSettings, FaceRules
from fer_lightning.faces.shipped import SHIPPED, model_path
from fer_lightning.predict.labeller import FaceLabeller
from fer_lightning.predict.looks import Look, Source
from fer_lightning.predict.results import Seen
from fer_lightning.predict.settings import Processing

if TYPE_CHECKING:
    import pandas as pd

ImageLike: TypeAlias = "str | os.PathLike[str] | np.ndarray | Image.Image"


@dataclass(frozen=True)
class FaceReading:
    """One face of an image with its label.

    image          position of its image in the input, from 0; for a folder or a video, position of the image or frame
    file           file name of the image, relative to the folder; None for an image that was given as pixels
    frame          index of the frame in a video file, from 0; None for other images
    seconds        time of the frame from the beginning of the video file; None for other images
    number         number of the face in its image, from 1; in a video file, number of its track
    box            x, y, width, height in pixels of the upright image; it may extend beyond the image
    score          score of the detector, 0 to 1
    doubt          why the face is doubtful: "too small" or "tilted"; None: it is not
    label          class with the highest probability; "not sure" if that is below `min_confidence`
    probabilities  {class: probability}; they sum to 1
    """

    image: int
    file: str | None
    frame: int | None
    seconds: float | None
    number: int
    box: tuple[float, float, float, float]
    score: float
    doubt: str | None
    label: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """Highest probability, 0 to 1."""
        return max(self.probabilities.values())


class FaceReadings(Sequence[FaceReading]):
    """All faces of an input, in the order of its images; in an image, the largest face is first.

    images      number of images that were read, also those without a face
    classes     class names in the order of the model
    unreadable  (file, why) of each file that could not be read
    """

    def __init__(
        self,
        readings: Iterable[FaceReading],
        *,
        images: int,
        classes: tuple[str, ...],
        unreadable: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._readings = tuple(readings)
        self.images, self.classes, self.unreadable = images, classes, tuple(unreadable)

    def __len__(self) -> int:
        return len(self._readings)

    @overload
    def __getitem__(self, index: int) -> FaceReading: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[FaceReading, ...]: ...

    def __getitem__(self, index: int | slice) -> FaceReading | tuple[FaceReading, ...]:
        return self._readings[index]

    def __repr__(self) -> str:
        labels = ", ".join(face.label for face in self._readings[:5])
        return f"<FaceReadings: {len(self)} in {self.images} images: {labels}{', ...' if len(self) > 5 else ''}>"

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities float32 (N, K) of the N faces, with the classes in the order of `classes`."""
        rows = [[face.probabilities[name] for name in self.classes] for face in self._readings]
        return np.array(rows, np.float32).reshape(len(self), len(self.classes))

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per face: the fields of FaceReading, the box as four columns, one column per class.

        Raise UserError if pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise UserError(
                "to_dataframe() needs pandas, which is not installed. Use: pip install 'fer_lightning[dataframe]'"
            ) from None
        names = [name for name in FaceReading.__dataclass_fields__ if name not in ("box", "probabilities")]
        columns = [*names, "x", "y", "width", "height", *self.classes]
        return pd.DataFrame([self._row(face) for face in self._readings], columns=columns)

    @staticmethod
    def _row(face: FaceReading) -> dict[str, Any]:
        row = asdict(face)
        del row["box"], row["probabilities"]
        return {**row, **dict(zip(("x", "y", "width", "height"), face.box, strict=True)), **face.probabilities}


class FaceReader:
    """Function from images to the faces in them, with a label and probabilities for each face.

        reader = FaceReader()
        for face in reader("photo.jpg"):
            print(face.box, face.label, face.confidence, face.doubt)

    Several threads may call one reader. torch is not needed.

    model           exported file; shipped: the network of the package
    min_confidence  lowest probability of a label, 0 to 1; a face below it has the label "not sure"
    detector        auto, yunet or haar; whole: each image is one face that is already cut out
    rules           rules of a usable face; faces that break one have a `doubt`. Its `ambiguous_area` is ignored:
                    only the collector rejects faces beside a similar one
    batch_size      faces that the network receives at once
    threads         CPU threads of the network; None: one per core

    Raise UserError if the model is missing or damaged, or a setting is invalid.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = SHIPPED,
        *,
        min_confidence: float = 0.0,
        detector: DetectorKind = "auto",
        rules: FaceRules | None = None,
        batch_size: int = 64,
        threads: int | None = None,
    ) -> None:
        self._processing = Processing(batch_size=batch_size, min_confidence=min_confidence)  # raises UserError
        self._detector = DetectorSettings(kind=detector)
        self._detectors = threading.local()  # OpenCV's detector may be used by one thread at a time
        self.model = FaceModel(model_path(str(model)), threads=threads)
        self._rules = rules or FaceRules()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model."""
        return self.model.metadata.classes

    def __call__(self, images: "ImageLike | Iterable[ImageLike]") -> FaceReadings:
        """Return the faces of the images.

        images  one of these, or a list or iterator of them:

            - path of a photo, of a video or of a folder with both
            - array uint8 (H, W, 3) in RGB order or (H, W) grey
            - PIL image; the modes I and F as in `faces.pixels.eight_bits`

        Raise UserError if a file does not exist, or if the only file cannot be read. Unreadable files of a folder or
        list are in `unreadable` of the result, with a warning. An iterator is read to its end: for an endless one, such
        as a camera, call the reader with each frame.
        """
        unreadable: list[tuple[str, str]] = []
        count, readings = 0, []
        for look, seen in self._labeller()(_looks(images, lambda *problem: unreadable.append(problem))):
            readings += [self._reading(count, look, face) for face in seen]
            count += 1
        if unreadable and not count:
            file, why = unreadable[0]
            raise UserError(f"{file}: {why}.")
        for file, why in unreadable:
            warnings.warn(f"{file} is skipped: {why}", stacklevel=2)
        return FaceReadings(readings, images=count, classes=self.classes, unreadable=unreadable)

    def _labeller(self) -> FaceLabeller:
        """Return the labeller of this thread."""
        if not hasattr(self._detectors, "own"):
            self._detectors.own = open_detector(self._detector.model, kind=self._detector.kind)
        own: Detector = self._detectors.own
        batch_size, min_confidence = self._processing.batch_size, self._processing.min_confidence
        return FaceLabeller(self.model, own, self._rules, batch_size=batch_size, min_confidence=min_confidence)

    def _reading(self, image: int, look: Look, seen: Seen) -> FaceReading:
        face: Face = seen.face
        probabilities = dict(zip(self.classes, map(float, seen.probabilities), strict=True))
        where = (image, look.file or None, look.frame, look.seconds)
        return FaceReading(*where, seen.id, face.box, face.score, seen.doubt, seen.label, probabilities)


def _looks(images: "ImageLike | Iterable[ImageLike]", problem: Any) -> Iterator[Look]:
    """Yield the images of an input as pixels; `problem` is called with each file that cannot be read and the reason."""
    if isinstance(images, str) and not images:  # Path("") is the current folder
        raise UserError("images='': must be the path of a photo, a video or a folder. Use '.' for the current folder.")
    if isinstance(images, str | os.PathLike):
        yield from Source(Path(images)).looks(problem)
    elif isinstance(images, np.ndarray) and images.ndim < 4:
        yield Look("", _checked(images))
    elif isinstance(images, Image.Image):
        yield Look("", np.asarray(plain(images).convert("RGB")))
    elif isinstance(images, Iterable) and not _is_tensor(images):
        for image in images:
            yield from _looks(image, problem)
    else:
        raise UserError(
            f"images is a {type(images).__name__}: must be a path, an array, a PIL image, or an iterable of them."
            + (" Convert a tensor with .numpy()." if _is_tensor(images) else "")
        )


def _is_tensor(images: Any) -> bool:
    """Return True for a tensor of torch or TensorFlow; neither is imported."""
    return hasattr(images, "numpy")


def _checked(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels; raise UserError if they are not uint8 (H, W, 3) or (H, W)."""
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or 0 in pixels.shape:
        raise UserError(
            f"an image is {pixels.dtype} {pixels.shape}: must be uint8 (H, W, 3) in RGB order or (H, W) grey. "
            "For values from 0 to 1, use (255 * image).round().astype(numpy.uint8)."
        )
    return pixels
