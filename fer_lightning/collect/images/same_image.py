"""Comparison of two images with nearly the same hash: do they show the same face, or only the same background?

The background can decide the hash. Images of different people in front of one camera then have nearly the same hash.
So the area of the face in one image is compared with the same area of the other image.
"""

import json

import cv2
import numpy as np

from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.duplicates import NEAR
from fer_lightning.data.table import SIDE


def shows_the_same(collection: Collection, image: str, other: str, *, mirrored: bool) -> bool:
    """Return True if the area of the face in `image` looks the same in `other`: a correlation of 0.95 or more.

    If `image` has no face, the whole images are compared. Return False if a file is missing.
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
    """Return Pearson's correlation of the pixels; 0 if one image is blank."""
    one, other = one.astype(np.float64) - one.mean(), other.astype(np.float64) - other.mean()
    length = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / length) if length else 0.0


def _grey(collection: Collection, image: str) -> np.ndarray | None:
    name = collection.value("SELECT file FROM picture WHERE image = ?", image)
    return cv2.imread(str(collection.file(name)), cv2.IMREAD_GRAYSCALE)


def _part(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return uint8 (48, 48) of a rectangle whose corners (2, 2) are given as shares of the image's sides."""
    (left, top), (right, bottom) = np.round(shares * image.shape[::-1]).astype(int)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
