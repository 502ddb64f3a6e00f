"""Result of a detector for one face."""

from dataclasses import dataclass

SIDE = 48  # pixels of a face of FER2013


@dataclass(frozen=True)
class Face:
    """Position of a face, in pixels of the image.

    box        x, y, width and height; it may extend beyond the image
    score      0 to 1
    landmarks  (x, y) of the person's right eye, left eye, nose, right and left corner of the mouth; None: unknown.
               YuNet's landmarks are accurate to a few pixels in upright faces, but they do not turn with a tilted face:
               see `roll.py`
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    @property
    def centre(self) -> tuple[float, float]:
        x, y, width, height = self.box
        return x + width / 2, y + height / 2
