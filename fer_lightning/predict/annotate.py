"""Boxes and labels drawn on a copy of an image, readable on light and dark images, small faces and small images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_lightning.faces.tracks import Box, overlap

LEAST_SIDE = 480  # minimum of a copy's longer side in pixels, so that labels have enough space
# Height of a letter, as a share of the face's height; limits as shares of the square root of the image's area.
TEXT_OF_FACE = 0.3
TEXT_OF_SIDE = (1 / 50, 1 / 30)
LEAST_TEXT = 14  # minimum height of a letter, in pixels
DASH = 4  # length of a dash around a doubtful face, in widths of the line
# YuNet's boxes end at the eyebrows and the chin. A line slightly outside the box does not hide the expression.
MARGIN = 0.03


@dataclass(frozen=True)
class Mark:
    """Drawing of one face.

    box    x, y, width, height in pixels of the image; it may extend beyond the image
    text   label next to the box
    color  "#RRGGBB"
    sure   False: the box is dashed, because the face is doubtful
    """

    box: Box
    text: str
    color: str
    sure: bool = True


def annotated(picture: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """Return a copy of uint8 RGB (H, W, 3) with the marks; a small image is enlarged."""
    scale = max(1.0, LEAST_SIDE / max(picture.shape[:2]))
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    image = Image.fromarray(picture)
    if not marks:
        return np.array(image)
    draw = ImageDraw.Draw(image)
    boxes = [_inside(_widened(mark.box, scale), image.size) for mark in marks]
    letters = [_letter(box, image.size) for box in boxes]
    for box, mark, letter in zip(boxes, marks, letters, strict=True):
        _draw_box(draw, box, mark, max(2, letter // 6))
    taken: list[Box] = []
    for box, mark, letter in zip(boxes, marks, letters, strict=True):
        others = [other for other in boxes if other is not box]
        taken.append(_draw_text(draw, box, mark, letter, image.size, [*others, *taken]))
    return np.array(image)


def _letter(box: Box, size: tuple[int, int]) -> int:
    """Return the height of a letter in pixels; larger faces have larger letters."""
    smallest, largest = (share * (size[0] * size[1]) ** 0.5 for share in TEXT_OF_SIDE)
    return max(LEAST_TEXT, round(min(max(smallest, TEXT_OF_FACE * box[3]), largest)))


def _widened(box: Box, scale: float) -> Box:
    x, y, width, height = (scale * number for number in box)
    more = MARGIN * height
    return x - more, y - more, width + 2 * more, height + 2 * more


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box inside the image, on whole pixels, with sides of at least one pixel."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    left, right = (int(np.clip(round(side), 0, size[0] - 1)) for side in (left, right))
    top, bottom = (int(np.clip(round(side), 0, size[1] - 1)) for side in (top, bottom))
    return left, top, max(1, right - left), max(1, bottom - top)


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, mark: Mark, line: int) -> None:
    """Draw a box in the class's colour between a black and a white line; one of them is visible on any background."""
    x, y, width, height = box
    edge = max(1, line // 3)
    corners = (x, y, x + width, y + height)
    draw.rectangle(_grown(corners, edge), outline="black", width=edge)
    draw.rectangle(corners, outline=mark.color if mark.sure else "white", width=line)
    draw.rectangle(_grown(corners, -line), outline="white" if mark.sure else "black", width=edge)
    if not mark.sure:
        _draw_dashes(draw, corners, mark.color, line)


def _grown(corners: tuple[float, ...], by: int) -> tuple[float, ...]:
    """Return the corners moved outwards by `by` pixels; left stays left of right, and top above bottom."""
    left, top, right, bottom = corners
    left, top = left - by, top - by
    return left, top, max(left, right + by), max(top, bottom + by)


def _draw_dashes(draw: ImageDraw.ImageDraw, corners: tuple[float, ...], color: str, line: int) -> None:
    left, top, right, bottom = corners
    step = DASH * line
    for x in np.arange(left, right, 2 * step):
        for y in (top, bottom - line + 1):
            draw.rectangle((x, y, min(x + step, right), y + line - 1), fill=color)
    for y in np.arange(top, bottom, 2 * step):
        for x in (left, right - line + 1):
            draw.rectangle((x, y, x + line - 1, min(y + step, bottom)), fill=color)


def _draw_text(
    draw: ImageDraw.ImageDraw, box: Box, mark: Mark, letter: int, size: tuple[int, int], taken: Sequence[Box]
) -> Box:
    """Draw the text on a plate in the class's colour, where it hides least of faces and plates; return the plate."""
    pad = max(2, letter // 4)
    room = size[0] - 2 * pad
    while letter > LEAST_TEXT // 2 and draw.textlength(mark.text, _font(letter)) > room:
        letter -= 1
    font = _font(letter)
    width = round(draw.textlength(mark.text, font)) + 2 * pad
    height = sum(font.getmetrics()) + pad
    x, y = _plate_position(box, (width, height), size, taken)
    draw.rounded_rectangle(
        (x, y, x + width - 1, y + height - 1), radius=pad, fill=mark.color, outline="black", width=max(1, letter // 16)
    )
    draw.text((x + pad, y + pad // 2), mark.text, fill=_ink(mark.color), font=font)
    return x, y, width, height


def _plate_position(
    box: Box, plate: tuple[int, int], size: tuple[int, int], taken: Sequence[Box]
) -> tuple[float, float]:
    """Return the best position of a plate: above, below, beside or inside the box; the first that hides least."""
    x, y, width, height = box
    across, down = plate
    gap = 4
    positions = [
        (x, y - down - gap),
        (x, y + height + gap),
        (x + width + gap, y),
        (x - across - gap, y),
        (x + width + gap, y + height - down),
        (x - across - gap, y + height - down),
        (x, y + height - down),
        (x, y),
    ]
    inside = [(min(max(0, x), max(0, size[0] - across)), min(max(0, y), max(0, size[1] - down))) for x, y in positions]
    return min(inside, key=lambda position: _hidden((*position, across, down), [box, *taken]))


def _hidden(plate: Box, boxes: Sequence[Box]) -> float:
    """Return the area of the boxes that a plate covers, rounded, so that equal positions compare as equal."""
    return round(sum(_common(plate, box) for box in boxes), 3)


def _common(one: Box, other: Box) -> float:
    """Return the common area in pixels."""
    shared = overlap(one, other)
    return shared / (1 + shared) * (one[2] * one[3] + other[2] * other[3])


def _ink(color: str) -> str:
    """Return black or white, whichever has the larger contrast to `color` (WCAG 2: relative luminance)."""
    levels = [level / 255 for level in ImageColor.getrgb(color)[:3]]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


@cache
def _font(letter: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(letter)
