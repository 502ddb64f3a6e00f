"""YuNet, the Haar cascade in its place, or the whole picture, behind one call: picture in, faces out.

YuNet (Wu, Peng and Yu 2023, YuNet: A Tiny Millisecond-level Face Detector) finds tilted and half-covered faces that
the Haar cascade loses: of 65 photographs tilted by 35 degrees it found the face in 65, Haar in 7.
"""

import warnings
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.faces.crop import SIDE_OF_HEIGHT
from fer_lightning.faces.face import Face
from fer_lightning.faces.model_file import NoModel, find_model, sha256
from fer_lightning.faces.roll import CUT, measure_roll

# YuNet knows faces of about 10 to 300 pixels: so first this size, then smaller for a face that fills a large picture,
# then larger for small ones.
LONG_SIDES = (640, 320, 1280)
LEAST_SIDE = 64  # up to 32 pixels OpenCV 4.14 says something else about the same picture each time
SURE = 0.8  # score from which no further size is tried
WEAKEST = 0.5  # score below which a finding is no face
OVERLAP = 0.3  # share of a common area from which two findings are one face

HAAR_XML = "haarcascade_frontalface_default.xml"
WIDTH_OF_HEIGHT = 0.73  # of YuNet's boxes, in the median over 65 photographs


class Detector(Protocol):
    """Finds all faces of a picture, uint8 RGB (H, W, 3) or grey (H, W), in no order.

    name          which detector and which version of it
    model_sha256  of the file that it was loaded from; None where there is none
    """

    name: str
    model_sha256: str | None

    def __call__(self, picture: np.ndarray) -> list[Face]: ...

    def roll(self, picture: np.ndarray, face: Face) -> float | None:
        """How far the head leans to a shoulder: degrees, clockwise as one sees it; None: this detector cannot tell."""


def open_detector(model: str | None = None, *, kind: Literal["auto", "yunet", "haar", "whole"] = "auto") -> Detector:
    """YuNet from `model` or where `find_model` finds it; `auto` takes Haar, with a warning, where nobody named a file.

    `whole` is for pictures that somebody has cut out already: each counts as one face.

    UserError where the file is damaged or a named one missing, and where Haar is wanted and OpenCV has none. The number
    of threads is OpenCV's own: cv2.setNumThreads.
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
            f"faces are sought by OpenCV's Haar cascade, which loses tilted and half-covered ones. {error}",
            stacklevel=2,
        )
        return detector


class YuNetDetector:
    """YuNet of March 2023 through cv2.FaceDetectorYN."""

    name = "yunet-2023mar"

    def __init__(self, model: Path) -> None:
        self.model_sha256 = sha256(model.read_bytes())
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
        _, found = self._for_roll.detect(_bgr(cut))
        return 0.0 if found is None else float(found[:, 14].max())

    def _detect(self, colours: np.ndarray, size: tuple[int, int]) -> list[Face]:
        """The faces of a BGR picture looked at in another size (width, height), in its own pixels."""
        height, width = colours.shape[:2]
        seen = colours if size == (width, height) else cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
        below, beside = (max(0, LEAST_SIDE - side) for side in seen.shape[:2])
        seen = cv2.copyMakeBorder(seen, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        self._network.setInputSize(seen.shape[1::-1])
        _, found = self._network.detect(seen)
        scale = np.array((width / size[0], height / size[1]), np.float32)
        faces = [_face(row, scale) for row in ([] if found is None else found)]
        return [face for face in faces if _possible(face, width, height)]


def _bgr(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR)


def _sizes(picture: np.ndarray) -> list[tuple[int, int]]:
    """The sizes (width, height) to look at a picture in, each once, none larger than itself."""
    height, width = picture.shape[:2]
    scales = dict.fromkeys(min(1.0, long_side / max(height, width)) for long_side in LONG_SIDES)
    return [(max(1, round(width * scale)), max(1, round(height * scale))) for scale in scales]


def _face(row: np.ndarray, scale: np.ndarray) -> Face:
    """From YuNet's 15 numbers: box, five landmarks, score."""
    points = (row[:14].reshape(7, 2) * scale).tolist()
    (x, y), (width, height), *landmarks = points
    return Face((x, y, width, height), float(row[14]), tuple(map(tuple, landmarks)))


def _possible(face: Face, width: int, height: int) -> bool:
    """Whether the face is in a picture of this size, and does not take more memory than it to cut out."""
    x, y = face.centre
    return 0 <= x < width and 0 <= y < height and max(face.box[2:]) <= 2 * max(width, height)


def _best_score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


class HaarDetector:
    """OpenCV 4's frontal-face cascade (Viola and Jones 2001): no score, no landmarks, upright faces alone."""

    name = "haar-frontalface-default"

    def __init__(self, instead_of: str | None = None) -> None:
        xml = Path(cv2.data.haarcascades, HAAR_XML) if hasattr(cv2, "data") else None
        if not hasattr(cv2, "CascadeClassifier") or xml is None or not xml.is_file():
            why = f"{instead_of}. In its place " if instead_of else ""
            raise UserError(
                f"{why}OpenCV {cv2.__version__} has no Haar cascade: OpenCV 5 dropped them; "
                f"pip install 'opencv-python-headless<5', or make models for the better detector"
            )
        self.model_sha256 = sha256(xml.read_bytes())
        self._cascade = cv2.CascadeClassifier(str(xml))

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Boxes as YuNet would draw them around the same faces, so that they are cut alike; each has score 1."""
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        width, height = _sizes(picture)[0]
        seen = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        scale = picture.shape[1] / width
        squares = self._cascade.detectMultiScale(seen, scaleFactor=1.1, minNeighbors=5, minSize=(30, 30))
        return [_face_of_square(*(scale * number for number in map(float, square))) for square in squares]

    def roll(self, picture: np.ndarray, face: Face) -> None:
        return None


class WholePicture:
    """Looks for nothing: the largest square in the middle of a picture is the face that somebody has cut out."""

    name = "whole picture"
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
