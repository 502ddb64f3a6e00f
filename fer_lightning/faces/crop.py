"""Crop rule of a face, shared by the collector, folders of photographs and predictions.

FER2013's faces were cropped with OpenCV's Haar cascade (Goodfellow et al. 2013). On 65 photographs, its square had
0.916 times the height of YuNet's box (quartiles 0.887 and 0.956) and the same centre. The crop of a YuNet box is such a
square, so that a network receives faces of the same size as in its training data.
"""

import numpy as np

from fer_lightning.faces.face import Face
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm

SIDE_OF_HEIGHT = 0.92
FILTER = "area"

Square = tuple[int, int, int, int]


def crop_side(face: Face) -> float:
    """Return the side of the square to crop, in pixels of the image."""
    return SIDE_OF_HEIGHT * face.box[3]


def crop_face(picture: np.ndarray, face: Face, form: ImageForm = FER2013_FORM) -> tuple[np.ndarray, Square]:
    """Return the face as uint8 in this form, and its square (x, y, side, side) in the image.

    The image is uint8 RGB (H, W, 3) or grey (H, W). Parts of the square outside it repeat the pixels of its edge.
    """
    return cut_square(picture, face.centre, crop_side(face), form)


def cut_square(
    picture: np.ndarray, centre: tuple[float, float], side: float, form: ImageForm
) -> tuple[np.ndarray, Square]:
    """Return a square of an image, on whole pixels, in this form."""
    side = max(1, round(side))
    x, y = (round(middle - side / 2) for middle in centre)
    rows = np.clip(np.arange(y, y + side), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(x, x + side), 0, picture.shape[1] - 1)
    return form.fit(picture[rows[:, None], columns]), (x, y, side, side)
