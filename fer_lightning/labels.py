"""Sets of classes and their order; all readers, losses, plots and reports use these.

`conf/taxonomy/NAME.yaml` describes one set; a new file there is a new set. `conf/labels/NAME.yaml` names the class of
each number that a data set uses as a label; a new file there is a new map.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from fer_lightning.errors import UserError
from fer_lightning.paths import CONF


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of classes; the index of a class is its index in `classes`.

    sources  for each class, the data that its faces come from: fer2013, ferplus (its labels), or own
    codes    map of the numbers that a data set uses as labels; None: numbers are refused
    """

    name: str
    classes: tuple[str, ...]
    sources: tuple[str, ...] = ()
    codes: "LabelMap | None" = None

    def index(self, label: str) -> int:
        """Return the class index of a name, in any letter case, or of a common synonym.

        Raise ValueError if it is not a class of this taxonomy.
        """
        name = canonical(label)
        if name not in self.classes:
            others = ", ".join(one.name for one in TAXONOMIES.values() if name in one.classes)
            hint = f"; this is a class of {others}: data.taxonomy=NAME, or make data TAXONOMY=NAME" if others else ""
            raise ValueError(f"unknown label {label!r}: the classes of {self.name} are {', '.join(self.classes)}{hint}")
        return self.classes.index(name)

    def read(self, label: str) -> int:
        """Return the class index of a label of a data set: a name, or a number of `codes`.

        Return NO_CLASS for a number that `codes` gives to no class. Raise ValueError for other labels.
        """
        text = without_fraction(label.strip())
        if not text.isdecimal():
            return self.index(label)
        if self.codes is None:
            raise ValueError(_needs_map(int(text)))
        name = self.codes.name_of(int(text))
        if name is None:
            return NO_CLASS
        if name not in self.classes:
            raise ValueError(
                f"label {text} is {name} (labels={self.codes.name}), which is not a class of {self.name}. "
                f"{self.codes.advice(name)}"
            )
        return self.classes.index(name)

    def numbered(self, name: str | None) -> "Taxonomy":
        """Return the same taxonomy with the map `name` of conf/labels; None: no map. Raise UserError for others."""
        if name is None:
            return self
        if name not in label_maps():
            raise UserError(f"labels={name}: must be one of {', '.join(label_maps())}.")
        return replace(self, codes=label_maps()[name])

    def only(self, classes: Sequence[str] | None) -> "Taxonomy":
        """Return the same taxonomy with some of its classes, in its order; None: all. Raise UserError for others."""
        if classes is None:
            return self
        wanted = [canonical(str(name)) for name in classes]
        if unknown := [name for name in wanted if name not in self.classes]:
            raise UserError(f"data.classes: {', '.join(unknown)}: must be classes of {self.name}: {_listed(self)}.")
        if len(set(wanted)) < 2:
            raise UserError(f"data.classes=[{','.join(wanted)}]: must be two classes or more of {_listed(self)}.")
        kept = [index for index, name in enumerate(self.classes) if name in wanted]
        return replace(self, classes=tuple(self.classes[i] for i in kept), sources=tuple(self.sources[i] for i in kept))

    def extended(self) -> "Taxonomy":
        """Return the largest taxonomy that begins with these classes: all that can be trained together with them."""
        longer = [other for other in TAXONOMIES.values() if other.classes[: len(self.classes)] == self.classes]
        return max(longer, key=lambda other: len(other.classes), default=self)

    @property
    def checksum(self) -> str:
        """SHA-256 of the classes in their order and of the map of numbers: the meaning of the labels of a source."""
        numbers = self.codes and self.codes.names
        return hashlib.sha256(json.dumps([self.classes, numbers]).encode()).hexdigest()

    @property
    def colors(self) -> tuple[str, ...]:
        return tuple(COLORS.get(name, OTHER_COLOR) for name in self.classes)


@dataclass(frozen=True)
class LabelMap:
    """Map from the numbers that a data set uses as labels to names of classes, or to None for no class."""

    name: str
    names: tuple[tuple[int, str | None], ...]

    def name_of(self, code: int) -> str | None:
        names = dict(self.names)
        if code not in names:
            raise ValueError(f"label {code}: labels={self.name} has {', '.join(map(str, names))}")
        return names[code]

    def advice(self, name: str) -> str:
        wanted = {other for _, other in self.names if other}
        matches = [other.name for other in TAXONOMIES.values() if wanted <= set(other.classes)]
        return f"Use taxonomy={matches[0]}, or remove these images." if matches else f"Remove the images of {name}."


SOURCES = ("fer2013", "ferplus", "own")
NO_CLASS = -1  # index of an image whose label is not a class
OTHER_COLOR = "#777777"  # of a class that no taxonomy gives a color
NOT_SURE = "not sure"  # label of a face whose highest probability is below `min_confidence`
NOT_SURE_COLOR = "#FFFFFF"

USAGES = ("Training", "PublicTest", "PrivateTest")


class _Read(Mapping):
    """A part of all taxonomies, which are read at the first use, so that errors in a file come when it is used."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __getitem__(self, key: str) -> object:
        return getattr(_read_all(), self._part)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(_read_all(), self._part))

    def __len__(self) -> int:
        return len(getattr(_read_all(), self._part))


TAXONOMIES: Mapping[str, Taxonomy] = _Read("taxonomies")  # by name
CLASSES: Mapping[str, str] = _Read("classes")  # first taxonomy that has a class, by the class
SYNONYMS: Mapping[str, str] = _Read("synonyms")  # standard spelling of a class by its other names
COLORS: Mapping[str, str] = _Read("colors")  # hexadecimal color of a class


def canonical(label: str) -> str:
    """Return the standard spelling of a label: lower case, without synonyms (`Happiness` -> `happy`)."""
    name = label.strip().lower()
    return SYNONYMS.get(name, name)


def without_fraction(text: str) -> str:
    """Return a whole number without its fraction of zeros, which programs add to a column of numbers; else the text."""
    return re.sub(r"\.0*$", "", text) if re.fullmatch(r"\d+\.0*", text) else text


def _needs_map(code: int) -> str:
    meanings = {one.name: dict(one.names).get(code) for one in label_maps().values()}
    readings = (
        ", ".join(f"{meaning} in {name}" for name, meaning in meanings.items() if meaning) or "unknown in all maps"
    )
    return (
        f"the label {code} is a number, and data sets number their classes differently: {code} is {readings}. "
        f"Use names instead of numbers, or for make data a map: LABELS=NAME (one of {', '.join(meanings)})"
    )


@cache
def label_maps(folder: Path = CONF / "labels") -> dict[str, LabelMap]:
    """Return all maps of a folder, by their names. Raise UserError with the file and the line that is wrong."""
    return {path.stem: _label_map(path) for path in sorted(folder.glob("*.yaml"))}


def _label_map(path: Path) -> LabelMap:
    content = _yaml(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: must be lines such as: 3: happy.")
    for code, name in content.items():
        if type(code) is not int or code < 0:
            raise UserError(f"{path}: {code!r}: the label must be a number, 0 or more.")
        if name is not None and (not isinstance(name, str) or canonical(name) not in CLASSES):
            raise UserError(f"{path}: {code}: {name!r}: must be null or a class of conf/taxonomy.")
    return LabelMap(path.stem, tuple((code, name and canonical(name)) for code, name in content.items()))


def taxonomy_of(data: Mapping[str, object], key: str = "data.taxonomy") -> Taxonomy:
    """Return the classes that a config's `data` names. Raise UserError, with this key, for an unknown taxonomy."""
    name = data.get("taxonomy") or "fer2013"
    if name not in TAXONOMIES:
        raise UserError(f"{key}={name}: must be one of {', '.join(TAXONOMIES)}.")
    return TAXONOMIES[name].only(data.get("classes"))


@dataclass(frozen=True)
class _All:
    taxonomies: dict[str, Taxonomy]
    classes: dict[str, str]
    synonyms: dict[str, str]
    colors: dict[str, str]


@cache
def _read_all(folder: Path = CONF / "taxonomy") -> _All:
    """Read all files of a folder, FER2013's first. Raise UserError with the file and the class."""
    collected = _All({}, {}, {}, {})
    for path in sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "fer2013", path.stem)):
        content = _content(path)
        collected.taxonomies[path.stem] = Taxonomy(
            path.stem, tuple(content), tuple(facts["source"] for facts in content.values())
        )
        for name, facts in content.items():
            collected.classes.setdefault(name, path.stem)
            _add(collected.colors, name, facts.get("color"), f"{path}: {name}: color")
            for other in facts.get("synonyms", ()):
                _add(collected.synonyms, str(other).lower(), name, f"{path}: {name}: synonym {other}")
    _refuse_ambiguous_names(folder, collected)
    return collected


def _refuse_ambiguous_names(folder: Path, collected: _All) -> None:
    """Raise UserError if a class is also a synonym of another class: no label could be read as this class."""
    for name, other in collected.synonyms.items():
        if name in collected.classes and name != other:
            raise UserError(
                f"{folder / collected.classes[name]}.yaml: {name}: is also a synonym of {other} in "
                f"{folder / collected.classes[other]}.yaml. Use another name for the class, or drop the synonym."
            )


def _add(table: dict[str, str], key: str, value: str | None, where: str) -> None:
    if value is not None and table.setdefault(key, value) != value:
        raise UserError(f"{where}: another line says {table[key]}. Keep one of them.")


def _yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}. Fix this file.") from None


def _content(path: Path) -> dict[str, dict]:
    content = _yaml(path)
    if not isinstance(content, dict) or len(content) < 2:
        raise UserError(f"{path}: must be two lines or more such as: happy: {{source: fer2013}}.")
    for name, facts in content.items():
        if not isinstance(name, str) or name != name.strip().lower() or not name.isprintable():
            raise UserError(f"{path}: {name!r}: the name of a class must be text in lower case.")
        _check_facts(f"{path}: {name}", facts)
    return content


def _check_facts(where: str, facts: object) -> None:
    if not isinstance(facts, dict) or facts.get("source") not in SOURCES:
        raise UserError(f"{where}: needs source: one of {', '.join(SOURCES)}.")
    if unknown := facts.keys() - {"color", "synonyms", "source"}:
        raise UserError(f"{where}: {', '.join(map(str, unknown))}: no such key. Allowed: color, synonyms, source.")
    color = facts.get("color", OTHER_COLOR)
    if not (isinstance(color, str) and len(color) == 7 and color[0] == "#" and _is_hexadecimal(color[1:])):
        raise UserError(f'{where}: color: {color}: must be six hexadecimal digits in quotes, such as "#0072B2".')
    if not isinstance(facts.get("synonyms", []), list):
        raise UserError(f"{where}: synonyms: must be a list, such as [joy].")


def _is_hexadecimal(text: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in text)


def _listed(taxonomy: Taxonomy) -> str:
    return ", ".join(taxonomy.classes)
