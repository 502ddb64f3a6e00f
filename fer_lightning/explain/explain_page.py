"""Page of an explanation: one self-contained HTML file without scripts or requests. This module imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_lightning.explain.rows import ChosenRows
from fer_lightning.labels import COLORS
from fer_lightning.pages.templates import environment
from fer_lightning.pages.thumbnails import address, shaded

FOR, AGAINST = "#0072b2", "#c2410c"  # colours of the pages for evidence for a class and against it
OTHER = "#8A8F98"
WHITE = 255


@dataclass(frozen=True)
class FaceMaps:
    """Maps of the explained faces, in the order of `rows` of their choices.

    pixels         uint8 (F, S, S) or (F, S, S, 3)
    probabilities  float32 (F, K)
    occlusion      float32 (F, S, S): fall of the predicted class's probability if a square is hidden
    activation     float32 (F, S, S), 0 or more; None without class activation maps
    """

    pixels: np.ndarray
    probabilities: np.ndarray
    occlusion: np.ndarray
    activation: np.ndarray | None

    def part(self, start: int, stop: int) -> "FaceMaps":
        activation = None if self.activation is None else self.activation[start:stop]
        return FaceMaps(
            *(values[start:stop] for values in (self.pixels, self.probabilities, self.occlusion)), activation
        )


@dataclass(frozen=True)
class ExplainedFace:
    """Images of one face, or of the mean over several, and the lines below them.

    images  pairs of an image as a data: URL and its caption
    """

    title: str
    note: str
    images: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ExplainedClass:
    """Explained faces of one class, right or wrong."""

    name: str
    right: bool
    faces: list[ExplainedFace]


def render(choices: Sequence[ChosenRows], maps: FaceMaps, classes: Sequence[str], facts: dict[str, Any]) -> str:
    """Return the page as HTML.

    facts  values of the template: what was explained, how, and the checks of the maps; `pictures` False: no faces
    """
    show = _each_face if facts["pictures"] else _mean
    groups, start = [], 0
    for choice in choices:
        part = maps.part(start, start + len(choice.rows))
        groups.append(ExplainedClass(classes[choice.label], choice.right, show(choice, part, classes)))
        start += len(choice.rows)
    filters = {"color": lambda name: COLORS.get(name, OTHER), "pct": lambda share: f"{100 * share:.0f} %"}
    return (
        environment(**filters)
        .get_template("explain.html")
        .render(facts, groups=groups, classes=classes, faces=start, colours=(FOR, AGAINST))
    )


def _each_face(choice: ChosenRows, maps: FaceMaps, classes: Sequence[str]) -> list[ExplainedFace]:
    return [_face(choice.label, maps.part(index, index + 1), classes) for index in range(len(choice.rows))]


def _face(label: int, maps: FaceMaps, classes: Sequence[str]) -> ExplainedFace:
    pixels, probabilities = maps.pixels[0], maps.probabilities[0]
    predicted = int(probabilities.argmax())
    title = f"{classes[predicted]} {100 * probabilities[predicted]:.0f} %"
    own = "" if predicted == label else f", {classes[label]} {100 * probabilities[label]:.0f} %"
    fall = round(100 * float(maps.occlusion[0].max()))
    return ExplainedFace(title + own, _fall(fall), ((address(pixels), "face"), *_maps(pixels, maps)))


def _fall(points: int) -> str:
    if points < 1:
        return "hiding any pixels costs nothing"
    return f"hiding the strongest pixels costs {points} point{'s' if points > 1 else ''}"


def _mean(choice: ChosenRows, maps: FaceMaps, classes: Sequence[str]) -> list[ExplainedFace]:
    """Return the mean of the maps over a white square, so that nobody can be recognised."""
    white = np.full(maps.pixels.shape[1:], WHITE, np.uint8)
    return [ExplainedFace(f"mean of {len(choice.rows)}", "", tuple(_maps(white, maps)))]


def _maps(background: np.ndarray, maps: FaceMaps) -> list[tuple[str, str]]:
    named = [("class activation", maps.activation), ("occlusion", maps.occlusion)]
    return [
        (shaded(background, _relative(values.mean(axis=0)), FOR, AGAINST), name)
        for name, values in named
        if values is not None
    ]


def _relative(values: np.ndarray) -> np.ndarray:
    """Return the map divided by its largest absolute value; zeros if it has no other values."""
    largest = float(np.abs(values).max())
    return values / largest if largest else values
