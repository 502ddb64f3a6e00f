"""Whether two pictures with nearly the same hash show the same face, or only the same place.

Who records people before one camera gets pictures whose hashes agree and whose faces do not: the background decides the
hash. So of two such pictures the place of the face in one is looked at in the other.
"""

import json

import cv2
import numpy as np

from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.duplicates import NEAR
from fer_lightning.data.table import SIDE


def shows_the_same(collection: Collection, image: str, other: str, *, mirrored: bool) -> bool:
    """Whether the pixels around the face of `image` stand at the same place of `other`: correlation 0.95 or more.

    Without a face the whole pictures are compared. False where a file is lost.
    """
    box = collection.value("SELECT crop_box FROM current_face WHERE image = ?", image)
    pictures = [_grey(collection, name) for name in (image, other)]
    if any(picture is None for picture in pictures):
        return False
    one, two = pictures[0], pictures[1][:, ::-1] if mirrored else pictures[1]
    x, y, width, height = json.loads(box) if box else (0, 0, one.shape[1], one.shape[0])
    shares = np.clip(np.array([[x, y], [x + width, y + height]]) / one.shape[::-1], 0, 1)
    return correlation(_part(one, shares), _part(two, shares)) >= NEAR


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of the pixels; 0 where one of them is blank."""
    one, other = one.astype(np.float64) - one.mean(), other.astype(np.float64) - other.mean()
    length = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / length) if length else 0.0


def _grey(collection: Collection, image: str) -> np.ndarray | None:
    name = collection.value("SELECT file FROM picture WHERE image = ?", image)
    return cv2.imread(str(collection.file(name)), cv2.IMREAD_GRAYSCALE)


def _part(picture: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """uint8 (48, 48) of the rectangle whose corners (2, 2) are given as shares of the sides."""
    (left, top), (right, bottom) = np.round(shares * picture.shape[::-1]).astype(int)
    part = picture[top : max(bottom, top + 1), left : max(right, left + 1)]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
