"""Synthetic faces: a data set that needs no download and has the problems of a real one.

Every face is drawn from action units, an identity, a pose, a light and a camera. The action units are those of the
Facial Action Coding System (Ekman, Friesen and Hager 2002); their combinations per emotion follow its EMFACS tables.

The data set has these problems:

- The classes are as unbalanced as FER2013's (Goodfellow et al. 2013, arXiv:1307.0414).
- Weak expressions look almost neutral.
- A share of the labels is wrong, in every usage.
- A share of the rows are byte-identical copies, which may be in another usage than their original.

The wrong labels limit the accuracy of any model to about `1 - label_noise` on every usage, and weak expressions lower
it further. Pose causes most of the difficulty: the accuracy of a linear model on 4,000 faces is 43 %, and 90 % if no
head is turned, shifted or scaled.
"""

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

from fer_lightning.data.table import SIDE, FaceTable
from fer_lightning.errors import UserError
from fer_lightning.labels import taxonomy_of

NOTE = "synthetic faces, drawn by a program: no metric measured on them says anything about people"

# FER2013's Training counts by class. The counts of the other classes are invented.
COUNTS = {"angry": 3995, "disgust": 436, "fear": 4097, "happy": 7215, "sad": 4830, "surprise": 3171, "neutral": 4965}
COUNTS |= {"frustration": 436, "boredom": 4097}  # of the learning game, in the place of disgust and fear
OTHER_COUNT = 1000

# Variants of each class, of which a face shows one: action unit -> level at full intensity.
EXPRESSIONS = {
    "angry": (
        {4: 1.0, 5: 0.4, 7: 0.7, 17: 0.4, 23: 1.0},
        {4: 1.0, 5: 0.3, 7: 0.7, 10: 0.3, 16: 0.7, 23: 0.4, 25: 1.0, 26: 0.35},
    ),
    "disgust": (
        {4: 0.4, 7: 0.6, 9: 1.0, 10: 0.8, 15: 0.5, 17: 0.5},
        {4: 0.4, 6: 0.3, 7: 0.6, 9: 1.0, 10: 1.0, 16: 0.3, 25: 0.7},
    ),
    "fear": (
        {1: 1.0, 2: 0.5, 4: 0.7, 5: 0.9, 20: 1.0, 25: 1.0, 26: 0.3},
        {1: 1.0, 2: 0.5, 4: 0.8, 5: 1.0, 20: 1.0, 25: 0.6},
    ),
    "happy": ({6: 0.7, 12: 1.0}, {6: 0.8, 12: 1.0, 25: 1.0}, {6: 1.0, 7: 0.3, 12: 1.0, 25: 1.0, 26: 0.35}),
    "sad": ({1: 1.0, 4: 0.5, 15: 1.0, 17: 0.6, 43: 0.3}, {1: 1.0, 4: 0.4, 15: 0.9, 43: 0.5}),
    "surprise": ({1: 1.0, 2: 1.0, 5: 1.0, 25: 0.6, 26: 1.0}, {1: 0.9, 2: 1.0, 5: 0.8, 25: 0.5, 26: 0.6}),
    "neutral": ({},),
    "frustration": ({4: 0.7, 14: 1.0, 17: 0.7, 24: 1.0}, {1: 0.4, 2: 0.6, 14: 1.0, 24: 1.0}),
    "boredom": ({43: 0.9, 15: 0.3}, {43: 0.75, 2: 0.3, 26: 0.2}),
    "distracted": ({61: 1.0}, {62: 1.0}),
    "contempt": ({12: 0.4, 14: 1.0}, {1: 0.2, 2: 0.3, 14: 1.0}),
}
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 43, 61, 62)

COVERED = 3  # first rows of each class in each usage; the class frequencies apply only to later rows
CHUNK = 1024
CANVAS = 2 * SIDE
SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates


def load(
    rows: int = 6000,
    seed: int = 0,
    label_noise: float = 0.04,
    duplicates: float = 0.05,
    taxonomy: str = "fer2013",
    classes: list[str] | None = None,
) -> FaceTable:
    """Draw `rows` faces; for one seed, the first n rows do not depend on `rows`.

    rows         number of faces, at least 100; 80 % Training, 10 % PublicTest, 10 % PrivateTest within each class
    label_noise  share of rows with the label of another class, 0 to 0.5, in every usage
    duplicates   share of rows that are byte-identical copies of an earlier row, 0 to 0.5; the wrong labels of copies
                 are drawn again, so that some copies have different labels, as in FER2013
    taxonomy     name of a file of conf/taxonomy whose classes can all be drawn
    classes      names of the taxonomy's classes to keep; None: all
    Raise UserError that names the key if a value is out of range.
    """
    _check(rows, seed, label_noise, duplicates)
    names = taxonomy_of({"taxonomy": taxonomy, "classes": classes}).classes
    if unknown := [name for name in names if name not in EXPRESSIONS]:
        raise UserError(
            f"data.taxonomy={taxonomy}: no program draws {', '.join(unknown)} here. It draws {', '.join(EXPRESSIONS)}."
        )
    shown, labels, usage, original = _plan(rows, seed, label_noise, duplicates, names)
    pixels = draw([names[c] for c in shown], seed, original == np.arange(rows))[original]
    source = [f"synthetic-{row:06d}" for row in range(rows)]
    for row in np.flatnonzero(original != np.arange(rows)):
        source[row] += f" copy of {source[original[row]]}"
    checksum = hashlib.sha256(pixels.tobytes() + labels.tobytes() + usage.tobytes()).hexdigest()
    return FaceTable("synthetic", pixels, labels, usage, np.array(source), names, checksum, [NOTE])


def _check(rows: int, seed: int, label_noise: float, duplicates: float) -> None:
    if rows < 100:
        raise UserError(f"data.rows={rows}: must be 100 or more. Use for example data.rows=6000.")
    if seed < 0:
        raise UserError(f"data.seed={seed}: must be a whole number, 0 or more. Use for example data.seed=0.")
    for key, share in (("label_noise", label_noise), ("duplicates", duplicates)):
        if not 0 <= share <= 0.5:
            raise UserError(
                f"data.{key}={share}: must be a share of the rows from 0 to 0.5. Use for example data.{key}=0.05."
            )


class _Draws:
    """Independent random columns; the numbers in row i do not depend on the number of rows."""

    def __init__(self, seed: int, stream: int, rows: int, columns: int):
        self._columns = iter(np.random.default_rng([seed, stream]).random((rows, columns)).T)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return low + (high - low) * next(self._columns)

    def normal(self, deviation: float, mean: float = 0.0) -> np.ndarray:
        """Return normal numbers (Box and Muller 1958), clipped to 2.5 deviations."""
        radius = np.sqrt(-2 * np.log1p(-next(self._columns)))
        return mean + deviation * np.clip(radius * np.cos(2 * np.pi * next(self._columns)), -2.5, 2.5)

    def chance(self, share: float) -> np.ndarray:
        return next(self._columns) < share


def _plan(
    rows: int, seed: int, label_noise: float, duplicates: float, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for each row: the class shown, the label, the usage, and the row whose face it copies; all (rows,)."""
    draws, n = _Draws(seed, 0, rows, 5), len(names)
    covered = COVERED * 3 * n
    counts = [COUNTS.get(name, OTHER_COUNT) for name in names]
    frequency = np.cumsum(counts) / sum(counts)
    shown = np.searchsorted(frequency, draws.uniform(), side="right")
    shown[:covered] = np.arange(rows)[:covered] % n
    original = np.arange(rows)
    copies = draws.chance(duplicates) & (original >= covered)
    target = (draws.uniform() * original).astype(np.int64)
    for row in np.flatnonzero(copies):
        original[row] = original[target[row]]
    shown = shown[original]
    wrong = draws.chance(label_noise) & (np.arange(rows) >= covered)
    step = 1 + (draws.uniform() * (n - 1)).astype(np.int64)
    labels = np.where(wrong, (shown + step) % n, shown)
    usage = np.zeros(rows, np.uint8)
    for c in range(n):
        mine = np.flatnonzero(labels == c)
        nth = np.arange(len(mine))
        turn = np.where(nth < 3 * COVERED, nth % 3, nth % 10)
        usage[mine[turn == 1]] = 1
        usage[mine[turn == 2]] = 2
    return shown, labels.astype(np.int64), usage, original


def draw(shown: list[str], seed: int, wanted: np.ndarray | None = None) -> np.ndarray:
    """Return uint8 (N, 48, 48), one face per class of `shown`; rows that are not `wanted` are black."""
    rows = len(shown)
    wanted = np.ones(rows, bool) if wanted is None else wanted
    units = _action_units(shown, _Draws(seed, 1, rows, 120))
    who = _identity(_Draws(seed, 2, rows, 60))
    pose = _pose(_Draws(seed, 3, rows, 20))
    pose["yaw"] += 0.3 * (units["au61"] - units["au62"])  # the head follows the eyes
    noise = np.random.default_rng([seed, 4])
    pixels = np.zeros((rows, SIDE, SIDE), np.uint8)
    for start in range(0, rows, CHUNK):
        part = slice(start, min(start + CHUNK, rows))
        sub = [{key: value[part] for key, value in table.items()} for table in (units, who, pose)]
        drawn = _paint(_outlines(*sub), _tones(*sub[:2]), wanted[part])
        pixels[part] = _photograph(drawn, sub[2], noise)
    return pixels


def _action_units(shown: list[str], draws: _Draws) -> dict[str, np.ndarray]:
    """Return levels (N,) of about 0 to 1.2 per action unit ("au12"), from class, variant, intensity and chance."""
    levels = np.zeros((len(shown), len(ACTION_UNITS)))
    variant = draws.uniform()
    for row, name in enumerate(shown):
        variants = EXPRESSIONS[name]
        for unit, level in variants[int(variant[row] * len(variants))].items():
            levels[row, ACTION_UNITS.index(unit)] = level
    intensity = 0.4 + 0.6 * draws.uniform() ** 0.6
    levels *= intensity[:, None]
    for k in range(len(ACTION_UNITS)):
        levels[:, k] = levels[:, k] * draws.normal(0.2, mean=1.0) + np.abs(draws.normal(0.06))
    units = {f"au{unit}": levels[:, k] for k, unit in enumerate(ACTION_UNITS)}
    speaking = draws.chance(0.15)
    units["au25"] += speaking * 0.5
    units["au26"] += speaking * draws.uniform(0.0, 0.35)
    units["au43"] = np.clip(units["au43"] + draws.chance(0.03) * 0.9, 0, 1)
    units["lopsided"] = draws.normal(0.12)
    units["gaze_x"] = draws.normal(0.18) + 0.9 * (units["au61"] - units["au62"])
    units["gaze_y"] = draws.normal(0.15)
    return units


def _identity(draws: _Draws) -> dict[str, np.ndarray]:
    """Return the features that do not depend on the expression: bones, skin, hair, glasses.

    Lengths are in half sides of the image.
    """
    who = {
        "width": draws.normal(0.04, mean=0.69),
        "taper": draws.uniform(0.05, 0.22),
        "jaw": draws.uniform(0.7, 1.0),
        "chin": draws.normal(0.03, mean=0.86),
        "eye_x": draws.normal(0.015, mean=0.28),
        "eye_y": draws.normal(0.025, mean=-0.12),
        "eye_width": draws.normal(0.01, mean=0.145),
        "eye_height": draws.normal(0.12, mean=1.0),
        "tilt": draws.normal(0.012),
        "brow_y": draws.normal(0.02, mean=-0.315),
        "brow_slope": draws.normal(0.018),
        "brow_weight": draws.uniform(0.03, 0.06),
        "nose_y": draws.normal(0.02, mean=0.19),
        "nose_width": draws.normal(0.012, mean=0.115),
        "mouth_y": draws.normal(0.025, mean=0.48),
        "mouth_width": draws.normal(0.02, mean=0.245),
        "mouth_curve": draws.normal(0.015),
        "lips": draws.uniform(0.03, 0.065),
        "age": draws.uniform() ** 2,
        "skin": 90 + 130 * draws.uniform() ** 0.7,
        "hair": 20 + 170 * draws.uniform() ** 2.2,
        "hairline": draws.uniform(-0.82, -0.52),
        "parting": draws.normal(0.12),
        "volume": draws.uniform(1.03, 1.2),
        "iris": draws.uniform(25, 90),
        "backdrop": draws.uniform(15, 235),
        "clothes": draws.uniform(15, 220),
        "rim": draws.uniform(15, 90),
    }
    who["bald"] = draws.chance(0.08)
    who["long"] = draws.chance(0.4) & ~who["bald"]
    man = ~who["long"]
    who["beard"] = man & draws.chance(0.25)
    who["moustache"] = man & (draws.chance(0.1) | (who["beard"] & draws.chance(0.7)))
    who["glasses"] = draws.chance(0.15)
    return who


def _pose(draws: _Draws) -> dict[str, np.ndarray]:
    """Return the pose of the head, the light and the camera: radians, half sides of the image, grey levels to 255."""
    return {
        "roll": np.radians(draws.normal(10)),
        "yaw": np.radians(draws.normal(10)),
        "pitch": np.radians(draws.normal(5)),
        "scale": draws.uniform(0.85, 1.2),
        "x": draws.normal(0.07),
        "y": draws.normal(0.06),
        "light_x": draws.normal(0.15),
        "light_y": draws.normal(0.12, mean=-0.06),
        "blur": 0.3 + 0.7 * draws.uniform() ** 2,
        "contrast": draws.uniform(0.75, 1.2),
        "brightness": draws.normal(12),
        "noise": 1.5 + 6 * draws.uniform() ** 2,
    }


def _outlines(units: dict, who: dict, pose: dict) -> dict[str, np.ndarray]:
    """Return every polygon and line of the faces, int32 (N, points, 2) in OpenCV's fixed-point canvas pixels.

    The faces are first upright and frontal: x to the right and y down in half sides of the image, each (N, points).
    """
    units, who, pose = ({k: np.asarray(v, float)[:, None] for k, v in table.items()} for table in (units, who, pose))
    flat = _silhouette(units, who)
    surface = _skull(who) | _nose(units, who) | _mouth(units, who)
    for side in (-1, 1):
        parts = _eye(side, units, who) | _brow(side, units, who) | _cheek(side, units, who)
        surface |= {f"{name}{side:+d}": points for name, points in parts.items()}
    surface = {name: _turn(*np.broadcast_arrays(x, y), name, pose) for name, (x, y) in surface.items()}
    outlines = {name: _move(x, y, pose) for name, (x, y) in (flat | surface).items()}
    outlines["fringe"] = np.concatenate([outlines["crown"], outlines["hairline"]], axis=1)
    outlines["sheen"] = ((2 * outlines["crown"] + outlines["hairline"][:, ::-1]) // 3)[:, 3:-3]
    outlines["beard"] = np.concatenate([outlines["jaw"], outlines["beard_edge"]], axis=1)
    return outlines


def _turn(x: np.ndarray, y: np.ndarray, name: str, pose: dict) -> tuple[np.ndarray, np.ndarray]:
    """Turn points of the face's surface, an ellipsoid with a nose, by yaw and pitch."""
    depth = 0.6 * np.sqrt(np.clip(1 - (x / 0.85) ** 2 - (y / 1.1) ** 2, 0, 1)) + 0.1 * name.startswith("nose")
    yaw, pitch = pose["yaw"], pose["pitch"]
    return x * np.cos(yaw) + depth * np.sin(yaw), y * np.cos(pitch) + depth * np.sin(pitch)


def _move(x: np.ndarray, y: np.ndarray, pose: dict) -> np.ndarray:
    """Roll, scale and shift the points, and convert half sides of the image to fixed-point pixels of the canvas."""
    cos, sin = pose["scale"] * np.cos(pose["roll"]), pose["scale"] * np.sin(pose["roll"])
    points = np.stack([cos * x - sin * y + pose["x"], sin * x + cos * y + pose["y"]], axis=-1)
    return np.round(((points + 1) * CANVAS / 2 - 0.5) * (1 << SHIFT)).astype(np.int32)


def _ellipse(x: np.ndarray, y: np.ndarray, width: float, height: float, points: int = 14) -> tuple:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return x + width * np.cos(angle), y + height * np.sin(angle)


def _band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> tuple:
    """Return the closed outline between two curves over the same x."""
    return np.concatenate([x, x[:, ::-1]], axis=1), np.concatenate([top, bottom[:, ::-1]], axis=1)


def _silhouette(units: dict, who: dict) -> dict[str, tuple]:
    """Return face, hair, ears, neck and clothes: the outlines that do not depend on how the head is turned."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    chin = who["chin"] + 0.1 * units["au26"]
    below = np.clip(sin, 0, 1)

    def contour(cos: np.ndarray, sin: np.ndarray) -> tuple:
        bent = np.where(sin > 0, np.sign(cos) * np.abs(cos) ** who["jaw"], cos)
        return who["width"] * bent * (1 - who["taper"] * np.clip(sin, 0, 1) ** 2), sin * np.where(sin > 0, chin, 0.92)

    fall = np.where(who["long"] > 0, 1.3, 0.15)
    over, under = np.linspace(np.pi, 2 * np.pi, 16), np.linspace(0.1, np.pi - 0.1, 16)
    corner = np.array([[-1.0, 1.0, 1.0, -1.0]])
    crown_x, crown_y = contour(np.cos(over), np.sin(over))
    return {
        "face": contour(cos, sin),
        "hair_back": (
            (who["width"] + 0.03) * who["volume"] * cos * (1 + 0.1 * below),
            sin * np.where(sin > 0, fall, 0.95 * who["volume"]),
        ),
        "ear-1": _ellipse(-who["width"], 0.0, 0.08, 0.16),
        "ear+1": _ellipse(who["width"], 0.0, 0.08, 0.16),
        "neck": ((0.55 * who["width"]) * corner, np.array([[0.3, 0.3, 1.6, 1.6]]) + 0 * chin),
        "clothes": (
            np.array([[-0.35, 0.0, 0.35, 1.5, 2.0, -2.0, -1.5]]) + 0 * chin,
            np.array([[1.0, 1.2, 1.0, 1.25, 3.0, 3.0, 1.25]]) + 0 * chin,
        ),
        "crown": (1.03 * crown_x, 1.03 * crown_y * np.sqrt(who["volume"])),
        "jaw": contour(np.cos(under), np.sin(under)),
    }


def _skull(who: dict) -> dict[str, tuple]:
    """Return lines of the surface that no muscle moves: hairline, edge of the beard, glasses."""
    t = np.linspace(1, -1, 16)
    bend = np.abs(t + who["parting"] * (1 - t**2)) ** 5
    return {
        "hairline": (0.97 * who["width"] * t, who["hairline"] + (-0.2 - who["hairline"]) * bend),
        "beard_edge": (-0.93 * who["width"] * t, 0.12 + 0.5 * (1 - t**2) ** 0.7),
        "bridge": (
            np.array([[-1.0, -0.5, 0.5, 1.0]]) * (who["eye_x"] - 0.2) * 0.98,
            who["eye_y"] + np.array([[0.0, -0.03, -0.03, 0.0]]),
        ),
    }


def _eye(side: int, units: dict, who: dict) -> dict[str, tuple]:
    """Return the lids from AU5, 6, 7, 43 and 1, the iris between them, and the rim of the glasses around them."""
    t = np.linspace(-1, 1, 9)  # from the inner to the outer corner
    narrowed = 0.3 * units["au7"] + 0.25 * units["au6"] + 0.15 * units["au4"] + 0.15 * units["au9"]
    rise = np.clip(1 + 0.75 * units["au5"] - narrowed, 0.35, None) * (1 - 1.1 * np.clip(units["au43"], 0, 1))
    upper = 0.075 * who["eye_height"] * rise
    sink = 1 + 0.3 * units["au5"] - 0.5 * units["au7"] - 0.55 * units["au6"]
    lower = 0.042 * who["eye_height"] * np.clip(sink, 0.1, None)
    gaze_x = side * who["eye_x"] + 0.07 * units["gaze_x"]
    gaze_y = who["eye_y"] - 0.015 + 0.03 * units["gaze_y"]

    def lids(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        arch = 1 - np.clip(np.abs(t), 0, 1) ** 2.2
        base = who["eye_y"] - (who["tilt"] - 0.025 * units["au1"] * units["au15"]) * t
        inner = 0.02 * units["au1"] * np.clip(-t, 0, 1)
        return base - (upper + inner) * arch, base + np.maximum(lower, 0.012 - upper) * arch

    def disc(radius: float) -> tuple:
        x, y = _ellipse(gaze_x, gaze_y, radius, radius)
        return x, np.clip(y, *lids((side * x - who["eye_x"]) / who["eye_width"]))

    x = side * (who["eye_x"] + who["eye_width"] * t)
    top, bottom = lids(t)
    rim = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    squircle = [np.sign(f) * np.abs(f) ** 0.6 for f in (np.cos(rim), np.sin(rim))]
    return {
        "socket": _ellipse(side * who["eye_x"], who["eye_y"] - 0.03, 0.2, 0.13),
        "eye": _band(x, top, bottom),
        "iris": disc(0.068),
        "pupil": disc(0.032),
        "glint": _ellipse(gaze_x - 0.02, gaze_y - 0.025, 0.014, 0.014, 6),
        "lid": (x, top),
        "lower_lid": (x, bottom),
        "crease": (x, top - 0.035 - 0.02 * (1 - t**2)),
        "bag": (x, bottom + 0.045 + 0.03 * (1 - t**2)),
        "crow": (
            side * (who["eye_x"] + who["eye_width"] + np.array([[0.12, 0.03, 0.12]])),
            who["eye_y"] + np.array([[-0.05, 0.0, 0.05]]),
        ),
        "rim": (side * who["eye_x"] + 0.2 * squircle[0], who["eye_y"] + 0.01 + 0.15 * squircle[1]),
        "temple": (
            side * np.concatenate([who["eye_x"] + 0.2, 0.98 * who["width"]], axis=1),
            who["eye_y"] + np.array([[0.0, -0.02]]),
        ),
    }


def _brow(side: int, units: dict, who: dict) -> dict[str, tuple]:
    """Return a brow: AU1 lifts its inner end, AU2 its outer end, AU4 lowers it and moves it inwards, AU9 lowers it."""
    t = np.linspace(0, 1, 7)  # from the inner to the outer end
    lowered = units["au4"] * (1 - 0.75 * np.clip(units["au1"], 0, 1))
    inner = -0.13 * units["au1"] + 0.13 * lowered + 0.07 * units["au9"]
    middle = -0.05 * units["au1"] - 0.12 * units["au2"] + 0.06 * lowered + 0.05 * units["au9"]
    outer = -0.11 * units["au2"] + 0.05 * units["au1"] * (1 - np.clip(units["au2"], 0, 1)) - 0.01 * lowered
    x = side * (who["eye_x"] - 0.16 - 0.035 * units["au4"] + 0.34 * t)
    y = who["brow_y"] + who["brow_slope"] * t - 0.04 * np.sin(np.pi * t)
    y = y + inner * (1 - t) ** 2 + 2 * middle * t * (1 - t) + outer * t**2
    half = who["brow_weight"] * (1 - 0.65 * t)
    return {"brow": _band(x, y - half, y + half)}


def _cheek(side: int, units: dict, who: dict) -> dict[str, tuple]:
    """Return the furrow from nose to mouth (deepened by AU9, 10, 12), the cheek (lifted by AU6) and AU14's dimple."""
    corner = _mouth_half(units, who)
    t = np.linspace(0, 1, 6)
    start, end = who["nose_width"] + 0.02, corner + 0.07
    top, low = who["nose_y"] - 0.03 - 0.03 * units["au9"], who["mouth_y"] + 0.03 - 0.05 * units["au12"]
    return {
        "fold": (side * (start + (end - start) * t**0.8), top + (low - top) * t**1.3),
        "cheek": _ellipse(side * 0.4, 0.2 - 0.07 * units["au12"], 0.17, 0.13),
        "dimple": (
            side * (corner + np.array([[0.03, 0.055, 0.03]])),
            who["mouth_y"] + np.array([[-0.07, 0.0, 0.07]]),
        ),
    }


def _nose(units: dict, who: dict) -> dict[str, tuple]:
    """Return bridge, base and nostrils, which AU9 lifts and widens, and wrinkles, frown and forehead lines."""
    width, base = who["nose_width"] * (1 + 0.25 * units["au9"]), who["nose_y"] - 0.04 * units["au9"]
    t = np.linspace(-1, 1, 9)
    parts = {
        "nose_shade": (
            np.concatenate([0 * width + 0.03, 0.4 * width, width, 0.3 * width], axis=1),
            np.concatenate([0 * base - 0.2, base - 0.1, base, base], axis=1),
        ),
        "nose_tip": _ellipse(0.0, base - 0.05, 0.06, 0.06, 8),
        "nose_base": (width * t, base + 0.035 * np.cos(np.pi * t) * (1 - 0.3 * t**2) - 0.03 * t**8),
        "nose_hole-1": _ellipse(-0.5 * width, base + 0.005, 0.035, 0.02, 8),
        "nose_hole+1": _ellipse(0.5 * width, base + 0.005, 0.035, 0.02, 8),
    }
    for k, y in enumerate((-0.17, -0.1, -0.03)):
        parts[f"wrinkle{k}"] = (
            0.085 * np.array([[-1.0, 0.0, 1.0]]),
            y + np.array([[0.03, -0.01, 0.03]]) + 0 * base,
        )
    for k, side in enumerate((-1, 1)):
        x = side * (0.055 - 0.015 * units["au4"] + np.array([[0.012, 0.0, 0.012]]))
        parts[f"frown{k}"] = (x, who["brow_y"] + np.array([[-0.05, 0.02, 0.1]]))
    for k, y in enumerate((-0.58, -0.49)):
        parts[f"forehead{k}"] = (0.27 * t, y - 0.03 * units["au1"] + 0.03 * t**2)
    return parts


def _mouth_half(units: dict, who: dict) -> np.ndarray:
    """Return half the mouth's width: AU12, 14 and 20 widen it, AU23 and an open jaw narrow it."""
    wider = 0.09 * units["au12"] + 0.08 * units["au20"] + 0.03 * units["au14"] + 0.02 * units["au15"]
    narrower = 0.045 * units["au23"] + 0.07 * units["au26"] * (1 - np.clip(units["au12"] + units["au20"], 0, 1))
    return who["mouth_width"] + wider - narrower


def _mouth(units: dict, who: dict) -> dict[str, tuple]:
    """Return lips, opening and teeth: AU12 and 15 bend the lips, 25 parts them, 26 opens the jaw, 23 and 24 press."""
    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 13))
    apart = np.clip(units["au25"] + 2 * units["au26"], 0, 1)
    x = _mouth_half(units, who) * t
    bend = -0.13 * units["au12"] + 0.12 * units["au15"] + 0.02 * units["au20"] + who["mouth_curve"]
    bend = bend * (1 + units["lopsided"] * t) - 0.05 * units["au14"] * np.sign(units["lopsided"]) * t
    lens = 1 - np.abs(t) ** (2 + 2.5 * units["au16"] + 1.5 * units["au20"])
    raised = apart * (0.015 + 0.05 * units["au10"] + 0.02 * units["au12"]) + 0.02 * units["au10"]
    gap = apart * (0.035 + 0.06 * units["au12"] + 0.05 * units["au16"] + 0.025 * units["au20"] + 0.03 * units["au10"])
    top = who["mouth_y"] - 0.035 * units["au17"] + bend * np.abs(t) ** 1.8 - raised * lens
    bottom = top + gap * lens + 0.27 * units["au26"] * np.sqrt(lens)
    pressed = 1 - 0.75 * np.clip(np.maximum(units["au23"] * (1 - apart), units["au24"]), 0, 1)
    round_ = 1 - np.abs(t) ** 2.5
    upper = 0.8 * who["lips"] * pressed * (1 - 0.25 * units["au12"]) * (1 - 0.3 * np.exp(-((t / 0.15) ** 2))) * round_
    lower = 1.2 * who["lips"] * pressed * (1 + 0.4 * units["au17"]) * round_
    teeth = 0.03 + 0.05 * units["au12"] + 0.045 * units["au10"] + 0.02 * units["au16"]
    return {
        "lips": _band(x, top - upper, bottom + lower),
        "gape": _band(x, top, bottom),
        "teeth": _band(x, top, np.minimum(top + teeth * lens, bottom)),
        "lower_teeth": _band(x, np.maximum(bottom - 0.045 * lens, top), bottom),
        "lip_line": (x, top),
        "moustache": _band(0.95 * x, top - upper - 0.1 * (1 - t**4), top - upper),
        "chin": _ellipse(0.0, who["mouth_y"] + 0.2 + 0.1 * units["au26"] - 0.02 * units["au17"], 0.14, 0.035),
        "ball": _ellipse(0.0, who["mouth_y"] + 0.29 + 0.13 * units["au26"], 0.12, 0.07),
    }


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a + (b - a) * np.clip(share, 0, 1)


def _tones(units: dict, who: dict) -> dict[str, list[int]]:
    """Return each element's grey level per face; -1 if the element is not drawn."""
    skin, hair, age = who["skin"], who["hair"], who["age"]
    dark, light = 0.35 * skin, np.minimum(1.25 * skin + 12, 250)

    def crease(strength: np.ndarray) -> np.ndarray:
        return np.where(strength > 0.1, _mix(skin, dark, strength), -1)

    apart = units["au25"] + 2 * units["au26"]
    white = _mix(skin, 245.0, 0.75)
    furrow = 0.2 * age + 0.1 + 0.45 * units["au12"] + 0.45 * units["au9"] + 0.35 * units["au10"]
    tones = {
        "backdrop": who["backdrop"],
        "clothes": who["clothes"],
        "neck": 0.72 * skin,
        "skin": skin,
        "hair": np.where(who["bald"], -1, hair),
        "sheen": np.where(who["bald"], -1, hair + 14),
        "ear": 0.88 * skin,
        "socket": 0.87 * skin,
        "cheek": _mix(skin, light, 0.35 + 0.6 * units["au6"]),
        "nose_shade": 0.84 * skin,
        "nose_tip": _mix(skin, light, 0.6),
        "chin": _mix(skin, dark, 0.2 + 0.25 * units["au17"]),
        "ball": _mix(skin, light, 0.2 + 0.5 * units["au17"]),
        "beard": np.where(who["beard"], _mix(skin, hair, 0.75), -1),
        "moustache": np.where(who["moustache"], _mix(skin, hair, 0.75), -1),
        "fold": crease(furrow),
        "bag": crease(0.25 * age + 0.55 * units["au6"] + 0.2 * units["au7"]),
        "crow": crease(0.3 * age + 0.5 * units["au6"] - 0.15),
        "crease": crease(0.45 - 0.4 * units["au4"]),
        "dimple": crease(0.9 * units["au14"] - 0.1),
        "wrinkle": crease(0.85 * units["au9"] - 0.1),
        "frown": crease(0.2 * age + 0.75 * units["au4"] - 0.1),
        "forehead": crease(0.35 * age + 0.6 * units["au1"] * units["au2"] + 0.15 * units["au1"] - 0.1),
        "nose_base": _mix(skin, dark, 0.55),
        "hole": 0.35 * skin,
        "white": white,
        "iris": np.minimum(who["iris"], 0.6 * white),
        "pupil": np.full_like(skin, 8.0),
        "glint": np.where(units["au43"] < 0.5, 250, -1),
        "lid": 0.25 * skin,
        "lower_lid": 0.6 * skin,
        "brow": _mix(skin, np.minimum(hair, 0.6 * skin), 0.85),
        "lips": 0.68 * skin,
        "gape": np.where(apart > 0.15, 18, -1),
        "teeth": np.where(apart > 0.3, 225, -1),
        "lower_teeth": np.where((apart > 0.3) & (units["au16"] + 0.8 * units["au20"] > 0.4), 205, -1),
        "lip_line": np.where(apart > 0.3, -1, 0.3 * skin),
        "rim": np.where(who["glasses"], who["rim"], -1),
    }
    return {name: np.clip(np.round(tone), -1, 255).astype(int).tolist() for name, tone in tones.items()}


FILL, SOFTEN = -1, 0
# (outline, tone, line width or FILL) from back to front; "?" means one layer per side.
LAYERS = (
    ("hair_back", "hair", FILL),
    ("neck", "neck", FILL),
    ("clothes", "clothes", FILL),
    ("ear?", "ear", FILL),
    ("face", "skin", FILL),
    ("socket?", "socket", FILL),
    ("cheek?", "cheek", FILL),
    ("nose_shade", "nose_shade", FILL),
    ("nose_tip", "nose_tip", FILL),
    ("chin", "chin", FILL),
    ("ball", "ball", FILL),
    ("beard", "beard", FILL),
    ("", "", SOFTEN),
    ("forehead0", "forehead", 1),
    ("forehead1", "forehead", 1),
    ("frown0", "frown", 2),
    ("frown1", "frown", 2),
    ("wrinkle0", "wrinkle", 1),
    ("wrinkle1", "wrinkle", 1),
    ("wrinkle2", "wrinkle", 1),
    ("fold?", "fold", 1),
    ("dimple?", "dimple", 2),
    ("bag?", "bag", 1),
    ("crow?", "crow", 1),
    ("crease?", "crease", 1),
    ("eye?", "white", FILL),
    ("iris?", "iris", FILL),
    ("pupil?", "pupil", FILL),
    ("glint?", "glint", FILL),
    ("lower_lid?", "lower_lid", 1),
    ("lid?", "lid", 2),
    ("nose_base", "nose_base", 1),
    ("nose_hole?", "hole", FILL),
    ("moustache", "moustache", FILL),
    ("lips", "lips", FILL),
    ("gape", "gape", FILL),
    ("teeth", "teeth", FILL),
    ("lower_teeth", "lower_teeth", FILL),
    ("lip_line", "lip_line", 2),
    ("fringe", "hair", FILL),
    ("sheen", "sheen", 4),
    ("brow?", "brow", FILL),
    ("rim?", "rim", 2),
    ("bridge", "rim", 2),
    ("temple?", "rim", 2),
)
BOTH_SIDES = [
    (outline.replace("?", side), tone, width)
    for outline, tone, width in LAYERS
    for side in (("-1", "+1") if "?" in outline else ("",))
]
CLOSED = {"rim-1", "rim+1"}


def _paint(outlines: dict[str, np.ndarray], tones: dict[str, list[int]], wanted: np.ndarray) -> np.ndarray:
    """Return uint8 (N, 48, 48): the layers, drawn at twice the size with smooth edges and then scaled down by area."""
    images = np.zeros((len(wanted), SIDE, SIDE), np.uint8)
    canvas = np.empty((CANVAS, CANVAS), np.uint8)
    for row in np.flatnonzero(wanted):
        canvas[:] = tones["backdrop"][row]
        for outline, tone, width in BOTH_SIDES:
            if width == SOFTEN:
                cv2.GaussianBlur(canvas, (9, 9), 2.0, dst=canvas)
                continue
            level = tones[tone][row]
            if level < 0:
                continue
            points = [outlines[outline][row]]
            if width == FILL:
                cv2.fillPoly(canvas, points, level, cv2.LINE_AA, SHIFT)
            else:
                cv2.polylines(canvas, points, outline in CLOSED, level, width, cv2.LINE_AA, SHIFT)
        cv2.resize(canvas, (SIDE, SIDE), dst=images[row], interpolation=cv2.INTER_AREA)
    return images


def _photograph(drawn: np.ndarray, pose: dict, noise: np.random.Generator) -> np.ndarray:
    """Add light from one side, lens blur, contrast and sensor noise to uint8 (N, 48, 48)."""
    pose = {key: value.astype(np.float32)[:, None, None] for key, value in pose.items()}
    grid = (np.arange(SIDE, dtype=np.float32) + 0.5) * 2 / SIDE - 1
    x, y = (grid - pose["x"]) / pose["scale"], (grid[:, None] - pose["y"]) / pose["scale"]
    light = pose["light_x"] * np.tanh(1.5 * x) + pose["light_y"] * np.tanh(1.5 * y)
    images = drawn * (1 + light - 0.16 * np.tanh(x**2 + y**2 / 2))
    for image, sigma in zip(images, pose["blur"].ravel().tolist(), strict=True):
        cv2.GaussianBlur(image, (7, 7), sigma, dst=image)
    images = (images - 120) * pose["contrast"] + 120 + pose["brightness"]
    images += pose["noise"] * noise.standard_normal(images.shape, np.float32)
    return np.clip(np.round(images), 0, 255).astype(np.uint8)
