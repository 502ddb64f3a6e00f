"""Size and color of stored faces. FER2013's are 48 x 48 grey."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fer_lightning.faces.face import SIDE

SMALLEST, LARGEST = 32, 512  # pixels per side


@dataclass(frozen=True)
class ImageForm:
    """Form of the faces of a store: `size` pixels per side, grey or RGB."""

    size: int = SIDE
    color: bool = False

    @classmethod
    def of_shape(cls, shape: tuple[int, ...] | list[int]) -> "ImageForm":
        """Return the form of one face with the shape (S, S) or (S, S, 3)."""
        return cls(shape[0], len(shape) == 3)

    @classmethod
    def of_values(cls, count: int) -> "ImageForm | None":
        """Return the form of a face of so many values; no two forms have the same number. None: no face has so many."""
        forms = (cls(math.isqrt(count)), cls(math.isqrt(count // 3), color=True))
        return next((form for form in forms if form.values == count and SMALLEST <= form.size <= LARGEST), None)

    @property
    def values(self) -> int:
        return math.prod(self.shape)

    @property
    def make_variables(self) -> str:
        """Return the variables of `make data` and `make collect` for this form."""
        return f"SIZE={self.size} COLOR={'yes' if self.color else 'no'}"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size, self.size, 3) if self.color else (self.size, self.size)

    @property
    def description(self) -> str:
        return f"{self.size} x {self.size} {'RGB' if self.color else 'grey'}"

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Return an image, uint8 (H, W) grey or (H, W, 3) RGB, in this form: scaled by area, grey by ITU-R BT.601."""
        if image.ndim == 3 and not self.color:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        elif image.ndim == 2 and self.color:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        if image.shape[:2] == (self.size, self.size):
            return image
        return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def fit_all(self, images: np.ndarray) -> np.ndarray:
        """Return images (n, H, W) or (n, H, W, 3) in this form; the same array if they have it."""
        if images.shape[1:] == self.shape:
            return images
        return np.stack([self.fit(image) for image in images]) if len(images) else np.empty((0, *self.shape), np.uint8)


FER2013_FORM = ImageForm()
