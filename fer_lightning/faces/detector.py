"""YuNet, and the Haar cascade in its place, behind one call: picture in, faces out.

YuNet (Wu, Peng and Yu 2023, YuNet: A Tiny Millisecond-level Face Detector) finds tilted and half-covered faces that
the Haar cascade loses: of 65 photographs tilted by 35 degrees it found the face in 65, Haar in 7.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.faces.model_file import NoModel, find_model, sha256

# YuNet knows faces of about 10 to 300 pixels: so first this size, then smaller for a face that fills a large picture,
# then larger for small ones.
LONG_SIDES = (640, 320, 1280)
SURE = 0.8  # score from which no further size is tried
WEAKEST = 0.5  # score below which a finding is no face
OVERLAP = 0.3  # share of a common area from which two findings are one face
MOST_FACES = 5000

HAAR_XML = "haarcascade_frontalface_default.xml"
# On 65 photographs the side of Haar's square was 0.916 of the height of YuNet's box, and the centres were the same;
# YuNet's boxes were 0.73 as wide as high.
HAAR_SIDE_OF_HEIGHT = 0.92
WIDTH_OF_HEIGHT = 0.73


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of the picture.

    box        x, y, width and height; it may stick out of the picture
    score      0 to 1
    landmarks  (x, y) of the person's right eye, left eye, nose, right and left corner of the mouth; None: unknown
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    @property
    def roll_deg(self) -> float | None:
        """How far the line from eye to eye is turned, clockwise as one sees it, -180 to 180; None: unknown."""
        if self.landmarks is None:
            return None
        (right_x, right_y), (left_x, left_y) = self.landmarks[:2]
        return math.degrees(math.atan2(left_y - right_y, left_x - right_x))


class Detector(Protocol):
    """Finds all faces of a picture, uint8 RGB (H, W, 3) or grey (H, W), in no order.

    name          which detector and which version of it
    model_sha256  of the file that it was loaded from; None where there is none
    """

    name: str
    model_sha256: str | None

    def __call__(self, picture: np.ndarray) -> list[Face]: ...


def open_detector(model: str | None = None, *, kind: Literal["auto", "yunet", "haar"] = "auto") -> Detector:
    """YuNet from `model` or where `find_model` finds it; `auto` takes Haar, with a warning, where nobody named a file.

    UserError where the file is damaged or a named one missing, and where Haar is wanted and OpenCV has none. The number
    of threads is OpenCV's own: cv2.setNumThreads.
    """
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
        self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), WEAKEST, OVERLAP, MOST_FACES)

    def __call__(self, picture: np.ndarray) -> list[Face]:
        colours = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR)
        best: list[Face] = []
        for size in _sizes(picture):
            faces = self._detect(colours, size)
            best = max(best, faces, key=_best_score)
            if _best_score(best) >= SURE:
                break
        return best

    def _detect(self, colours: np.ndarray, size: tuple[int, int]) -> list[Face]:
        """The faces of a BGR picture looked at in another size (width, height), in its own pixels."""
        height, width = colours.shape[:2]
        seen = colours if size == (width, height) else cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
        self._network.setInputSize(size)
        _, found = self._network.detect(seen)
        scale = np.array((width / size[0], height / size[1]), np.float32)
        return [_face(row, scale) for row in ([] if found is None else found)]


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


def _face_of_square(x: float, y: float, side: float, _: float) -> Face:
    height = side / HAAR_SIDE_OF_HEIGHT
    width = WIDTH_OF_HEIGHT * height
    return Face((x + (side - width) / 2, y + (side - height) / 2, width, height), score=1.0)
