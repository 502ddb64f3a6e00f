"""Findings of an audit: facts about each row of a table of faces, and the counts that audit.json holds."""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fer_lightning.data import duplicates as copies_module
from fer_lightning.data.duplicates import Duplicates, blank, copies_of, near_were_searched
from fer_lightning.data.ferplus import COLUMNS, NOT_A_FACE_VOTES, not_a_face, plurality
from fer_lightning.data.judged_rows import JudgedRows, judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.labels import USAGES, canonical
from fer_lightning.terminal import Progress

OUTLYING = 3.5  # robust z, as Iglewicz and Hoaglin (1993, How to Detect and Handle Outliers) advise
CLEAR_MAJORITY = 6  # minimum number of votes for one option, of ten
SCORES = (0.65, 0.70, 0.73, 0.76, 0.80)
STRICTNESS = ("unseen", "distinct", "clean")
_CHUNK = 4096


@dataclass(frozen=True)
class Findings:
    """Facts about the N rows of a table.

    images      int64 (N,), the same number for the same pixels
    near        int64 (M, 2), pairs of rows whose images are near copies; every row of one image is paired with every
                row of the other; correlation (M,), mirrored bool (M,)
    blank       bool (N,): all pixels have one grey value
    not_face    bool (N,): five or more FER+ votes for "not a face"; all False without votes
    plurality   int64 (N,): as `ferplus.plurality`; None without votes
    own_votes   float (N,): votes for the row's label; NaN if the row has no votes or FER+ has no such option;
                None without votes
    brightness, contrast  float64 (N,): mean and standard deviation of the pixels, 0 to 255
    brightness_z, contrast_z  float64 (N,): their robust z over the rows that are not blank; 0 for blank rows
    test        test rows of the official split, as the evaluation judges them; None without an official split
    distinct    bool (T,): unseen, and no near copy in training or validation; None without an official split
    """

    table: FaceTable
    copies: Duplicates
    near: np.ndarray
    correlation: np.ndarray
    mirrored: np.ndarray
    blank: np.ndarray
    not_face: np.ndarray
    plurality: np.ndarray | None
    own_votes: np.ndarray | None
    brightness: np.ndarray
    contrast: np.ndarray
    brightness_z: np.ndarray
    contrast_z: np.ndarray
    test: JudgedRows | None
    distinct: np.ndarray | None

    @property
    def images(self) -> np.ndarray:
        return self.copies.images

    @property
    def usages(self) -> list[int]:
        """Return the codes of the usages that have rows."""
        return np.unique(self.table.usage).tolist()

    def in_usage(self, code: int) -> np.ndarray:
        """Return the rows of a usage, including blank ones."""
        return np.flatnonzero(self.table.usage == code)

    def groups(self) -> list[np.ndarray]:
        """Return the rows of each non-blank image that is in two or more rows, in the order of first rows."""
        rows = np.flatnonzero(~self.blank)
        order = rows[np.argsort(self.images[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.images[order])) + 1
        repeated = [group for group in np.split(order, cuts) if len(group) > 1]
        return sorted(repeated, key=lambda group: int(group[0]))

    def listed(self, strictness: str) -> np.ndarray:
        """Return the `unseen` test rows; `distinct`: only those without a near copy; `clean`: also only faces."""
        kept = self.distinct if strictness == "distinct" else getattr(self.test, strictness)
        return self.test.rows[kept]


def find(table: FaceTable, progress: Progress | None = None) -> Findings:
    """Return the findings about every row.

    The search for near copies takes longest. It reports to `progress`, and its result is kept in the table's cache.
    """
    copies = copies_of(table, progress)
    is_blank = blank(table.pixels, np.arange(len(table)))
    near = _row_pairs(copies)
    brightness, contrast = _light(table.pixels)
    test = distinct = None
    if all((table.usage == code).any() for code in range(len(USAGES))):
        split = make_split(table, "official")
        test = judge_test_rows(table, split, copies)
        distinct = test.unseen & ~copies.has_copy_in(test.rows, np.concatenate([split.train, split.val]))
    votes = table.votes
    return Findings(
        table=table,
        copies=copies,
        near=near[0],
        correlation=near[1],
        mirrored=near[2],
        blank=is_blank,
        not_face=np.zeros(len(table), bool) if votes is None else not_a_face(votes),
        plurality=None if votes is None else plurality(votes, table.classes),
        own_votes=None if votes is None else _own_votes(table),
        brightness=brightness,
        contrast=contrast,
        brightness_z=robust_z(brightness, ~is_blank),
        contrast_z=robust_z(contrast, ~is_blank),
        test=test,
        distinct=distinct,
    )


def robust_z(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the distance from the median in units of 1.4826 MAD; 0 for other rows, or without spread.

    among  bool (N,), the rows that count for the median and the MAD
    """
    if not among.any():
        return np.zeros(len(values))
    median = np.median(values[among])
    spread = np.median(np.abs(values[among] - median)) / 0.6745
    return np.where(among, (values - median) / spread, 0.0) if spread else np.zeros(len(values))


def score_without_copies(score: float, rows: int, copies: int, same_label: int) -> float:
    """Return the accuracy on the rows without a copy, for a model that has memorised the label of every copy.

    score       accuracy on all test rows
    rows        number of test rows
    copies      number of test rows with a copy in training
    same_label  number of test rows whose copy has the same label, so that the memorised label is right
    """
    return (score * rows - same_label) / (rows - copies)


def facts(findings: Findings) -> dict[str, Any]:
    """Return all counts that audit.json holds."""
    return {
        "thresholds": thresholds(),
        "class_counts": class_counts(findings.table),
        "exact_copies": exact_copies(findings),
        "near_copies": near_copies(findings),
        "copies_across_usages": copies_across(findings),
        "label_conflicts": label_conflicts(findings),
        "blanks": by_usage(findings, findings.blank),
        "light": light(findings),
        "votes": votes(findings),
        "clean_rows": clean_rows(findings),
        "scores": scores(findings),
    }


def thresholds() -> dict[str, Any]:
    return {
        "near_correlation": copies_module.NEAR,
        "near_most_images": copies_module.MAX_IMAGES,
        "not_a_face_votes": NOT_A_FACE_VOTES,
        "outlying_robust_z": OUTLYING,
        "clear_majority_votes": CLEAR_MAJORITY,
    }


def class_counts(table: FaceTable) -> dict[str, dict[str, int]]:
    counts = {}
    for code in np.unique(table.usage):
        by_class = np.bincount(table.labels[table.usage == code], minlength=len(table.classes))
        counts[USAGES[code]] = dict(zip(table.classes, by_class.tolist(), strict=True))
    return counts


def exact_copies(findings: Findings) -> dict[str, Any]:
    """Return the counts of exact copies; redundant rows include blank images, groups do not."""
    images, usage, groups = findings.images, findings.table.usage, findings.groups()
    inside = {}
    for code in findings.usages:
        rows = findings.in_usage(code)
        rows = rows[~findings.blank[rows]]
        inside[USAGES[code]] = len(rows) - len(np.unique(images[rows]))
    combined = Counter("+".join(USAGES[code] for code in np.unique(usage[group])) for group in groups)
    distinct = len(np.unique(images))
    return {
        "distinct_images": distinct,
        "redundant_rows": len(images) - distinct,
        "redundant_inside_usage_blanks_apart": inside,
        "groups_blanks_apart": len(groups),
        "groups_by_usages": {key: combined[key] for key in _combinations(findings) if combined[key]},
    }


def near_copies(findings: Findings) -> dict[str, Any]:
    """Return the counts of near copies that are not byte-identical.

    `image_pairs` counts pairs of distinct images, `row_pairs` pairs of their rows.
    """
    usage, mirrored = findings.table.usage, findings.copies.near.mirrored
    by_usages: Counter = Counter()
    for (first, second), flipped in zip(usage[findings.near], findings.mirrored, strict=True):
        key = "+".join(USAGES[code] for code in sorted({int(first), int(second)}))
        by_usages[key, "mirrored" if flipped else "as_it_is"] += 1
    kinds = ("as_it_is", "mirrored")
    return {
        "looked_for": bool(near_were_searched(findings.copies)),
        "image_pairs": {"as_it_is": int((~mirrored).sum()), "mirrored": int(mirrored.sum())},
        "row_pairs": {
            "as_it_is": int((~findings.mirrored).sum()),
            "mirrored": int(findings.mirrored.sum()),
        },
        "row_pairs_by_usages": {
            key: {kind: by_usages[key, kind] for kind in kinds}
            for key in _combinations(findings, most=2)
            if any(by_usages[key, kind] for kind in kinds)
        },
    }


def copies_across(findings: Findings) -> dict[str, dict[str, dict[str, int]]]:
    """Return, for each usage, the number of non-blank rows that have a copy in each other usage, by kind of copy."""
    table, images = findings.table, findings.images
    labelled = images * len(table.classes) + table.labels
    across: dict[str, dict[str, dict[str, int]]] = {}
    for code in findings.usages:
        rows = findings.in_usage(code)
        rows = rows[~findings.blank[rows]]
        across[USAGES[code]] = {}
        for other in findings.usages:
            if other == code:
                continue
            others = findings.in_usage(other)
            exact = np.isin(images[rows], images[others])
            unmirrored = exact | np.isin(rows, _near_in(findings, others, ~findings.mirrored))
            either = exact | np.isin(rows, _near_in(findings, others, np.ones(len(findings.near), bool)))
            across[USAGES[code]][USAGES[other]] = {
                "exact": int(exact.sum()),
                "exact_same_label": int(np.isin(labelled[rows], labelled[others]).sum()),
                "exact_or_near": int(unmirrored.sum()),
                "exact_or_near_or_mirrored": int(either.sum()),
            }
    return across


def label_conflicts(findings: Findings) -> dict[str, Any]:
    """Return the counts of identical and nearly identical rows that have different labels."""
    labels, classes = findings.table.labels, findings.table.classes
    groups = findings.groups()
    counts = np.zeros((len(groups), len(classes)), np.int64)
    for index, group in enumerate(groups):
        counts[index] = np.bincount(labels[group], minlength=len(classes))
    sizes = counts.sum(axis=1)
    near = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(near, tuple(labels[findings.near].T), 1)
    return {
        "conflicting_groups": int((counts.max(axis=1, initial=0) < sizes).sum()),
        "exact_pairs": _disagreement(classes, int((sizes * (sizes - 1) // 2).sum()), counts.T @ counts),
        "near_pairs": _disagreement(classes, len(findings.near), near + near.T),
    }


def by_usage(findings: Findings, which: np.ndarray) -> dict[str, int]:
    return {USAGES[code]: int(which[findings.in_usage(code)].sum()) for code in findings.usages}


def light(findings: Findings) -> dict[str, Any]:
    """Return median and limits of brightness and contrast over the non-blank rows, and the number of outliers."""
    odd = (np.abs(findings.brightness_z) > OUTLYING) | (np.abs(findings.contrast_z) > OUTLYING)
    result: dict[str, Any] = {"outliers": by_usage(findings, odd)}
    for name, low, high in (("brightness", "dark", "bright"), ("contrast", "flat", "harsh")):
        values, z = getattr(findings, name)[~findings.blank], getattr(findings, f"{name}_z")
        result[name] = {
            "median": round(float(np.median(values)), 2) if len(values) else None,
            "limits": outlying_limits(findings, name),
            low: by_usage(findings, z < -OUTLYING),
            high: by_usage(findings, z > OUTLYING),
        }
    return result


def outlying_limits(findings: Findings, name: str) -> list[float] | None:
    """Return the values of `brightness` or `contrast` beyond which an image is an outlier; None without spread."""
    values = getattr(findings, name)[~findings.blank]
    if not len(values):
        return None
    median = np.median(values)
    reach = OUTLYING * np.median(np.abs(values - median)) / 0.6745
    return [round(float(median - reach), 2), round(float(median + reach), 2)] if reach else None


def votes(findings: Findings) -> dict[str, Any] | None:
    """Return the agreement of FER+ votes with the labels; None without votes."""
    if findings.plurality is None:
        return None
    table = findings.table
    voted = table.votes.any(axis=1)
    strong = voted & (table.votes.max(axis=1) >= CLEAR_MAJORITY)
    hit = findings.plurality == table.labels
    return {
        "rows": int(voted.sum()),
        "by_usage": {USAGES[code]: _agreement(findings, findings.in_usage(code), voted) for code in findings.usages},
        "agreement_by_class": {
            USAGES[code]: {
                name: _share(hit[voted & (table.usage == code) & (table.labels == label)])
                for label, name in enumerate(table.classes)
            }
            for code in findings.usages
        },
        "clear_majority": {"share": _share(strong[voted]), "agreement": _share(hit[strong])},
        "share_of_votes": {
            name: dict(zip(COLUMNS, _vote_shares(table, voted & (table.labels == label)), strict=True))
            for label, name in enumerate(table.classes)
        },
    }


def clean_rows(findings: Findings) -> dict[str, Any] | None:
    """Return the number of test rows at each strictness, by class; None without an official split."""
    if findings.test is None:
        return None
    labels, classes = findings.table.labels, findings.table.classes
    counts = {
        strictness: dict(
            zip(classes, np.bincount(labels[findings.listed(strictness)], minlength=len(classes)).tolist(), strict=True)
        )
        for strictness in STRICTNESS
    }
    excluded = Counter(reason for reasons in exclusion_reasons(findings) for reason in reasons)
    return {
        "test_rows": len(findings.test.rows),
        **{strictness: sum(by_class.values()) for strictness, by_class in counts.items()},
        "by_class": counts,
        "excluded_rows_by_reason": dict(excluded.most_common()),
    }


def exclusion_reasons(findings: Findings) -> list[list[str]]:
    """Return, for each test row of the official split, all reasons why it is not clean."""
    test, table = findings.test, findings.table
    checks = [("blank", findings.blank[test.rows])]
    for code in (0, 1):
        others = findings.in_usage(code)
        exact = findings.copies.exact_in(test.rows, others) & ~findings.blank[test.rows]
        near = findings.copies.has_copy_in(test.rows, others) & ~findings.copies.exact_in(test.rows, others)
        checks += [(f"exact copy in {USAGES[code]}", exact), (f"near copy in {USAGES[code]}", near)]
    if table.votes is not None:
        checks.append(("not a face", findings.not_face[test.rows]))
    return [[reason for reason, holds in checks if holds[index]] for index in range(len(test.rows))]


def scores(findings: Findings) -> dict[str, Any] | None:
    """Return how much memorised exact copies raise the accuracy on the official test rows.

    The result is None without an official split, without copies, or if every test row is a copy.
    """
    across = copies_across(findings).get("PrivateTest", {}).get("Training")
    rows = int((findings.table.usage == USAGES.index("PrivateTest")).sum())
    if findings.test is None or not across["exact"] or across["exact"] == rows:
        return None
    copies, same = across["exact"], across["exact_same_label"]
    possible = [score for score in SCORES if score * rows >= same]
    return {
        "test_rows": rows,
        "with_exact_training_copy": copies,
        "with_the_same_label": same,
        "without_copies": {f"{score:.2f}": score_without_copies(score, rows, copies, same) for score in possible},
    }


def _row_pairs(copies: Duplicates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the near pairs of images as pairs of their rows (M, 2), first < second, with correlation and mirrored."""
    order = np.argsort(copies.images, kind="stable")
    starts = np.searchsorted(copies.images[order], np.arange(len(copies.images) + 1))
    pairs, indices = [], []
    for index, (first, second) in enumerate(copies.images[copies.near.rows].tolist()):
        for a in order[starts[first] : starts[first + 1]].tolist():
            for b in order[starts[second] : starts[second + 1]].tolist():
                pairs.append((min(a, b), max(a, b)))
                indices.append(index)
    rows, origin = np.array(pairs, np.int64).reshape(-1, 2), np.array(indices, np.int64)
    sorting = np.lexsort((rows[:, 1], rows[:, 0]))
    origin = origin[sorting]
    return rows[sorting], copies.near.correlation[origin], copies.near.mirrored[origin]


def _light(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each image, float64 (N,), computed in chunks of rows."""
    mean, deviation = np.empty(len(pixels)), np.empty(len(pixels))
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK].reshape(-1, pixels[0].size).astype(np.float32)
        mean[start : start + _CHUNK] = chunk.mean(axis=1, dtype=np.float64)
        deviation[start : start + _CHUNK] = chunk.std(axis=1, dtype=np.float64)
    return mean, deviation


def _own_votes(table: FaceTable) -> np.ndarray:
    options = [canonical(column) for column in COLUMNS]
    position = np.array([options.index(name) if name in options else -1 for name in table.classes])[table.labels]
    has_votes = (position >= 0) & table.votes.any(axis=1)
    return np.where(has_votes, table.votes[np.arange(len(table)), np.maximum(position, 0)], np.nan)


def _near_in(findings: Findings, others: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the rows that are in a near pair with one of the rows `others`; `among` bool (M,) selects the pairs."""
    pairs = findings.near[among]
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return pairs[np.isin(pairs[:, 1], others), 0]


def _combinations(findings: Findings, most: int = len(USAGES)) -> list[str]:
    names = [USAGES[code] for code in findings.usages]
    return ["+".join(chosen) for size in range(1, most + 1) for chosen in combinations(names, size)]


def _disagreement(classes: tuple[str, ...], pairs: int, together: np.ndarray) -> dict[str, Any]:
    """Return how many of `pairs` have two labels; together[a, b], for a < b, counts those with labels a and b."""
    by_labels = [(classes[a], classes[b], int(together[a, b])) for a, b in combinations(range(len(classes)), 2)]
    disagree = sum(count for _, _, count in by_labels)
    return {
        "pairs": pairs,
        "disagree": disagree,
        "share": round(disagree / pairs, 4) if pairs else None,
        "by_labels": [[a, b, count] for a, b, count in sorted(by_labels, key=lambda item: -item[2]) if count],
    }


def _agreement(findings: Findings, rows: np.ndarray, voted: np.ndarray) -> dict[str, Any]:
    rows = rows[voted[rows]]
    hit = findings.plurality[rows] == findings.table.labels[rows]
    comparable = rows[~np.isnan(findings.own_votes[rows])]
    own, total = findings.own_votes[comparable], findings.table.votes[comparable].sum(axis=1)
    return {
        "agreement": _share(hit),
        "agreement_where_votes_name_a_class": _share(hit[findings.plurality[rows] >= 0]),
        "share_of_votes_on_label": _share(own / total),
        "label_without_votes": _share(own == 0),
        "not_a_face": int(findings.not_face[rows].sum()),
    }


def _vote_shares(table: FaceTable, rows: np.ndarray) -> list[float]:
    total = table.votes[rows].sum(axis=0, dtype=np.int64)
    return [round(value, 4) for value in (total / max(total.sum(), 1)).tolist()]


def _share(values: np.ndarray) -> float | None:
    """Return the mean to four digits; None for an empty array."""
    return round(float(np.mean(values)), 4) if len(values) else None
