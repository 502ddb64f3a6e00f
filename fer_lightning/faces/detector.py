"""Face detectors with one interface, image in, faces out: YuNet, the Haar cascade, or the whole image as one face.

YuNet (Wu, Peng and Yu 2023, YuNet: A Tiny Millisecond-level Face Detector) finds tilted and half-covered faces that
the Haar cascade misses: in 65 photographs tilted by 35 degrees, it found the face in 65, and Haar in 7.
"""

import warnings
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.faces.crop import SIDE_OF_HEIGHT
from fer_lightning.faces.face import Face
from fer_lightning.faces.model_file import NoModel, find_model, sha256
from fer_lightning.faces.roll import CUT, measure_roll
from fer_lightning.faces.settings import DetectorKind

# YuNet detects faces of about 10 to 300 pixels. The first size is tried first, the smaller one for a face that fills a
# large image, and the larger one for small faces.
LONG_SIDES = (640, 320, 1280)
LEAST_SIDE = 64  # for sides up to 32 pixels, OpenCV 4.14 gives a different result for the same image each time
SURE = 0.8  # lowest score at which no further size is tried
WEAKEST = 0.5  # lowest score of a detection that counts as a face
OVERLAP = 0.3  # lowest overlap (intersection over union) at which two detections are one face

HAAR_XML = "haarcascade_frontalface_default.xml"
WIDTH_OF_HEIGHT = 0.73  # width of YuNet's boxes divided by their height, median over 65 photographs


class Detector(Protocol):
    """Detector of all faces in an image, uint8 RGB (H, W, 3) or grey (H, W); the faces have no defined order.

    name          name and version of the detector
    model_sha256  SHA-256 of the detector's file; None without a file
    """

    name: str
    model_sha256: str | None

    def __call__(self, picture: np.ndarray) -> list[Face]: ...

    def roll(self, picture: np.ndarray, face: Face) -> float | None:
        """Return the roll of the head in degrees, clockwise in the image; None if the detector cannot measure it."""


def open_detector(model: str | None = None, *, kind: DetectorKind = "auto") -> Detector:
    """Return a detector.

    model  path of YuNet's file; None: the file that `find_model` finds
    kind   auto: YuNet, or Haar with a warning if no file is named and none is found; yunet; haar;
           whole: each image is one face that is already cut out

    Raise UserError if the file is damaged, if a named file is missing, or if OpenCV has no Haar cascade and one is
    needed. cv2.setNumThreads sets the number of threads.
    """
    if kind == "whole":
        return WholePicture()
    if kind == "haar":
        return HaarDetector()
    try:
        return YuNetDetector(find_model(model))
    except NoModel as error:
        if kind == "yunet":
            raise
        detector = HaarDetector(instead_of=str(error))
        warnings.warn(
            f"faces are detected with OpenCV's Haar cascade, which misses tilted and half-covered faces. {error}",
            stacklevel=2,
        )
        return detector


class YuNetDetector:
    """YuNet of March 2023 through cv2.FaceDetectorYN."""

    name = "yunet-2023mar"

    def __init__(self, model: Path) -> None:
        self.content = model.read_bytes()
        self.model_sha256 = sha256(self.content)
        self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), WEAKEST, OVERLAP)
        self._for_roll = cv2.FaceDetectorYN.create(str(model), "", (CUT, CUT), 0.0, OVERLAP, top_k=1)

    def __call__(self, picture: np.ndarray) -> list[Face]:
        colours = _bgr(picture)
        best: list[Face] = []
        for size in _sizes(picture):
            faces = self._detect(colours, size)
            best = max(best, faces, key=_best_score)
            if _best_score(best) >= SURE:
                break
        return best

    def roll(self, picture: np.ndarray, face: Face) -> float:
        return measure_roll(self._score, picture, face)

    def _score(self, cut: np.ndarray) -> float:
        _, rows = self._for_roll.detect(_bgr(cut))
        return 0.0 if rows is None else float(rows[:, 14].max())

    def _detect(self, colours: np.ndarray, size: tuple[int, int]) -> list[Face]:
        """Detect faces in a BGR image scaled to `size` (width, height); return them in pixels of the original image."""
        height, width = colours.shape[:2]
        seen = colours if size == (width, height) else cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
        below, beside = (max(0, LEAST_SIDE - side) for side in seen.shape[:2])
        seen = cv2.copyMakeBorder(seen, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        self._network.setInputSize(seen.shape[1::-1])
        _, rows = self._network.detect(seen)
        scale = np.array((width / size[0], height / size[1]), np.float32)
        faces = [_face(row, scale) for row in ([] if rows is None else rows)]
        return [face for face in faces if _possible(face, width, height)]


def _bgr(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR)


def _sizes(picture: np.ndarray) -> list[tuple[int, int]]:
    """Return the sizes (width, height) at which to search an image, each once, none larger than the image."""
    height, width = picture.shape[:2]
    scales = dict.fromkeys(min(1.0, long_side / max(height, width)) for long_side in LONG_SIDES)
    return [(max(1, round(width * scale)), max(1, round(height * scale))) for scale in scales]


def _face(row: np.ndarray, scale: np.ndarray) -> Face:
    """Return a face from YuNet's 15 numbers: box, five landmarks, score."""
    points = (row[:14].reshape(7, 2) * scale).tolist()
    (x, y), (width, height), *landmarks = points
    return Face((x, y, width, height), float(row[14]), tuple(map(tuple, landmarks)))


def _possible(face: Face, width: int, height: int) -> bool:
    """Return True if the face is inside an image of this size and its crop does not need far more memory."""
    x, y = face.centre
    return 0 <= x < width and 0 <= y < height and max(face.box[2:]) <= 2 * max(width, height)


def _best_score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


class HaarDetector:
    """OpenCV 4's frontal-face cascade (Viola and Jones 2001): only upright faces, without scores and landmarks."""

    name = "haar-frontalface-default"

    def __init__(self, instead_of: str | None = None) -> None:
        xml = Path(cv2.data.haarcascades, HAAR_XML) if hasattr(cv2, "data") else None
        if not hasattr(cv2, "CascadeClassifier") or xml is None or not xml.is_file():
            why = f"{instead_of}. The Haar cascade cannot replace it: " if instead_of else ""
            raise UserError(
                f"{why}OpenCV {cv2.__version__} has no Haar cascade, because OpenCV 5 removed it. Install OpenCV 4: "
                f"pip install 'opencv-python-headless<5', or use the better detector YuNet: faces.kind=yunet."
            )
        self.model_sha256 = sha256(xml.read_bytes())
        self._cascade = cv2.CascadeClassifier(str(xml))

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return faces with boxes like those of YuNet, so that the crops are the same; each face has the score 1."""
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        width, height = _sizes(picture)[0]
        seen = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        scale = picture.shape[1] / width
        squares = self._cascade.detectMultiScale(seen, scaleFactor=1.1, minNeighbors=5, minSize=(30, 30))
        return [_face_of_square(*(scale * number for number in map(float, square))) for square in squares]

    def roll(self, picture: np.ndarray, face: Face) -> None:
        return None


class WholePicture:
    """Detector for images that are faces already: the face is the largest square in the middle of the image."""

    name = "whole picture"  # an output name: recipes of crops depend on it
    model_sha256 = None

    def __call__(self, picture: np.ndarray) -> list[Face]:
        height, width = picture.shape[:2]
        side = float(min(height, width))
        return [_face_of_square((width - side) / 2, (height - side) / 2, side, side)]

    def roll(self, picture: np.ndarray, face: Face) -> None:
        return None


def _face_of_square(x: float, y: float, side: float, _: float) -> Face:
    height = side / SIDE_OF_HEIGHT
    width = WIDTH_OF_HEIGHT * height
    return Face((x + (side - width) / 2, y + (side - height) / 2, width, height), score=1.0)
