"""Boxes and labels drawn on a copy of a picture: readable on light and dark, for small faces and small pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_lightning.faces.tracks import Box, overlap

LEAST_SIDE = 480  # pixels of a copy's longer side, so that there is room for words
# A letter's height: this share of the face's, within these shares of the square root of the picture's area.
TEXT_OF_FACE = 0.3
TEXT_OF_SIDE = (1 / 50, 1 / 30)
LEAST_TEXT = 14  # pixels
DASH = 4  # widths of the line, of a dash around a face in doubt
# YuNet's boxes end at the eyebrows and chin: a line a little outside hides nothing of an expression.
MARGIN = 0.03


@dataclass(frozen=True)
class Mark:
    """What is drawn for a face.

    box    x, y, width, height in pixels of the picture; it may stick out
    text   beside it
    color  "#RRGGBB"
    sure   False: a dashed box, since the face is in doubt
    """

    box: Box
    text: str
    color: str
    sure: bool = True


def annotated(picture: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """A copy of uint8 RGB (H, W, 3) with the marks on it; a small one is enlarged."""
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
    """Its height in pixels, by the face's: those in the front are written large."""
    smallest, largest = (share * (size[0] * size[1]) ** 0.5 for share in TEXT_OF_SIDE)
    return max(LEAST_TEXT, round(min(max(smallest, TEXT_OF_FACE * box[3]), largest)))


def _widened(box: Box, scale: float) -> Box:
    x, y, width, height = (scale * number for number in box)
    more = MARGIN * height
    return x - more, y - more, width + 2 * more, height + 2 * more


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """What of a box is in the picture, on whole pixels and no smaller than one."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    left, right = (int(np.clip(round(side), 0, size[0] - 1)) for side in (left, right))
    top, bottom = (int(np.clip(round(side), 0, size[1] - 1)) for side in (top, bottom))
    return left, top, max(1, right - left), max(1, bottom - top)


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, mark: Mark, line: int) -> None:
    """In the class's colour between a black and a white line, of which one stands out on any ground."""
    x, y, width, height = box
    edge = max(1, line // 3)
    corners = (x, y, x + width, y + height)
    draw.rectangle(_grown(corners, edge), outline="black", width=edge)
    draw.rectangle(corners, outline=mark.color if mark.sure else "white", width=line)
    draw.rectangle(_grown(corners, -line), outline="white" if mark.sure else "black", width=edge)
    if not mark.sure:
        _draw_dashes(draw, corners, mark.color, line)


def _grown(corners: tuple[float, ...], by: int) -> tuple[float, ...]:
    """Never turned inside out."""
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
    """On a plate of the class's colour, where it hides the least of the faces and of the other plates; -> the plate."""
    pad = max(2, letter // 4)
    room = size[0] - 2 * pad
    while letter > LEAST_TEXT // 2 and draw.textlength(mark.text, _font(letter)) > room:
        letter -= 1
    font = _font(letter)
    width = round(draw.textlength(mark.text, font)) + 2 * pad
    height = sum(font.getmetrics()) + pad
    x, y = _place(box, (width, height), size, taken)
    draw.rounded_rectangle(
        (x, y, x + width - 1, y + height - 1), radius=pad, fill=mark.color, outline="black", width=max(1, letter // 16)
    )
    draw.text((x + pad, y + pad // 2), mark.text, fill=_ink(mark.color), font=font)
    return x, y, width, height


def _place(box: Box, plate: tuple[int, int], size: tuple[int, int], taken: Sequence[Box]) -> tuple[float, float]:
    """Above the box, else below, beside it or along its inner edge: the first place that hides nothing, or least."""
    x, y, width, height = box
    across, down = plate
    gap = 4
    places = [
        (x, y - down - gap),
        (x, y + height + gap),
        (x + width + gap, y),
        (x - across - gap, y),
        (x + width + gap, y + height - down),
        (x - across - gap, y + height - down),
        (x, y + height - down),
        (x, y),
    ]
    inside = [(min(max(0, x), max(0, size[0] - across)), min(max(0, y), max(0, size[1] - down))) for x, y in places]
    return min(inside, key=lambda place: _hidden((*place, across, down), [box, *taken]))


def _hidden(plate: Box, boxes: Sequence[Box]) -> float:
    """How much of the boxes a plate lies on; the first of equal places is taken."""
    return round(sum(_common(plate, box) for box in boxes), 3)


def _common(one: Box, other: Box) -> float:
    """The common area in pixels."""
    shared = overlap(one, other)
    return shared / (1 + shared) * (one[2] * one[3] + other[2] * other[3])


def _ink(color: str) -> str:
    """Black or white, whichever has the larger contrast (WCAG 2: relative luminance)."""
    levels = [level / 255 for level in ImageColor.getrgb(color)[:3]]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


@cache
def _font(letter: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(letter)
