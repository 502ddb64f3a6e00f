"""Audit as one self-contained page without scripts or requests: counts, small charts and images of the worst cases.

Jinja escapes every name of a class, a file or a person. Names are never written into style attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_lightning.audit.findings import OUTLYING, Findings
from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.labels import COLORS, USAGES
from fer_lightning.pages.templates import environment
from fer_lightning.pages.thumbnails import address, own_column, tally
from fer_lightning.statistics.significance import margin

GROUPS, PAIRS, CONFLICTS, FACES, EXTREMES, PER_CLASS = 24, 25, 60, 36, 12, 5  # maximum images or cards of each kind
ROWS_OF_GROUP = 4
OTHER = "#8A8F98"
REASONS = {
    "training": "no exact copy in Training",
    "unseen": "unseen: also none in PublicTest, not blank",
    "distinct": "distinct: also no near copy in either",
    "clean": "clean: also a face",
}


@dataclass(frozen=True)
class ShownFace:
    """One image and its caption."""

    source: str  # a data: URL
    label: str
    usage: str
    title: str
    note: str = ""
    votes: tuple[tuple[str, int, bool], ...] = ()  # option, number of votes, True for the label


@dataclass(frozen=True)
class Card:
    """Images that belong together, and one line about them."""

    faces: list[ShownFace]
    note: str = ""
    conflict: bool = False  # True: the card is marked; False if all cards of the section have different labels


def render(findings: Findings, facts: dict[str, Any], description: dict[str, Any]) -> str:
    """Return the page as HTML; `description` is the first part of audit.json: what was audited, and how."""
    filters = {"n": _number, "pct": _percent, "color": lambda name: COLORS.get(name, OTHER)}
    return (
        environment(**filters)
        .get_template("audit.html")
        .render(
            about=description,
            facts=facts,
            classes=findings.table.classes,
            usages=[USAGES[code] for code in findings.usages],
            rows=len(findings.table),
            columns=COLUMNS,
            own_column={name: own_column(name) for name in findings.table.classes},
            summary=summary_paragraphs(facts, len(findings.table)),
            tiles=tiles(facts, len(findings.table)),
            steps=steps(facts),
            score_rows=score_rows(facts),
            near_chart=near_chart(findings),
            light_charts=light_charts(findings, facts),
            images=pictures(findings),
            interval=_interval(facts),
        )
    )


def summary_paragraphs(facts: dict[str, Any], rows: int) -> list[tuple[str, str]]:
    """Return the findings for a reader who reads nothing else: pairs of a title and one or two sentences.

    The findings that affect a metric most come first.
    """
    pairs = [
        ("Copies in the test set.", _about_test_copies(facts)),
        ("Clean rows.", _about_clean_rows(facts)),
        ("Selection.", _about_selection(facts)),
        ("Repetition.", _about_repetition(facts, rows)),
        ("Contradictions.", _about_conflicts(facts)),
        ("Labels.", _about_votes(facts)),
    ]
    paragraphs = [(lead, text) for lead, text in pairs if text]
    return paragraphs or [("No problem found.", "No copies and no conflicting labels distort a metric.")]


def _about_test_copies(facts: dict[str, Any]) -> str:
    scores = facts["scores"]
    if not scores:
        return ""
    copies, rows, same = (scores[key] for key in ("with_exact_training_copy", "test_rows", "with_the_same_label"))
    text = (
        f"{_number(copies)} of {_number(rows)} PrivateTest images ({_percent(copies / rows)}) are also Training "
        f"images, byte for byte; {_number(same)} of them have the same label."
    )
    after = scores["without_copies"].get("0.73")
    if after is None:
        return text
    return (
        f"{text} If a network memorised them and has an accuracy of 73.0 % on all rows, its accuracy on the other rows "
        f"is {_percent(after)}: {73 - 100 * after:.1f} points lower."
    )


def _about_clean_rows(facts: dict[str, Any]) -> str:
    if not facts["clean_rows"]:
        return ""
    near = facts["near_copies"]["looked_for"]
    copies = "no identical or nearly identical image" if near else "no identical image"
    face = "they are not blank and show a face" if facts["votes"] else "they are not blank"
    return (
        f"{_number(facts['clean_rows']['clean'])} PrivateTest rows are clean: {face}, and there is {copies} in "
        "Training or PublicTest. Report the accuracy on them next to the official accuracy, each with its interval."
    )


def _about_selection(facts: dict[str, Any]) -> str:
    across = facts["copies_across_usages"].get("PublicTest", {}).get("Training")
    if not across or not across["exact"]:
        return ""
    rows = sum(facts["class_counts"]["PublicTest"].values())
    return (
        f"PublicTest, on which the checkpoint is selected, has the same problem: {_number(across['exact'])} of "
        f"{_number(rows)} images ({_percent(across['exact'] / rows)}) are also in Training."
    )


def _about_repetition(facts: dict[str, Any], rows: int) -> str:
    redundant = facts["exact_copies"]["redundant_rows"]
    if not redundant:
        return ""
    return (
        f"{_number(redundant)} of {_number(rows)} rows ({_percent(redundant / rows)}) repeat the image of another "
        "row. A random split would put copies into both training and test rows."
    )


def _about_conflicts(facts: dict[str, Any]) -> str:
    conflicts, near = facts["label_conflicts"], facts["label_conflicts"]["near_pairs"]
    if not conflicts["conflicting_groups"] and not near["disagree"]:
        return ""
    also = f", and so do {_percent(near['share'])} of the pairs of nearly identical images" if near["pairs"] else ""
    return (
        f"{_number(conflicts['conflicting_groups'])} of {_number(facts['exact_copies']['groups_blanks_apart'])} groups "
        f"of identical images have different labels{also}. No network can be right on all of them."
    )


def _about_votes(facts: dict[str, Any]) -> str:
    if not facts["votes"]:
        return ""
    by_usage = facts["votes"]["by_usage"]
    usage = "PrivateTest" if "PrivateTest" in by_usage else next(iter(by_usage))
    return (
        f"When ten people labelled the images again (FER+), the label got the most votes for "
        f"{_percent(by_usage[usage]['agreement'])} of {usage}, and no vote for "
        f"{_percent(by_usage[usage]['label_without_votes'])}. A network with a far higher accuracy has learnt how "
        "this data set was labelled, not what people see."
    )


def tiles(facts: dict[str, Any], rows: int) -> list[tuple[str, str]]:
    """Return the most important counts: number and description."""
    near, across = facts["near_copies"], facts["copies_across_usages"]
    counts = [
        (rows, "rows"),
        (facts["exact_copies"]["redundant_rows"], "redundant rows"),
    ]
    for usage in ("PublicTest", "PrivateTest"):
        if "Training" in across.get(usage, {}):
            counts.append((across[usage]["Training"]["exact"], f"{usage} images with an exact copy in Training"))
    if near["looked_for"]:
        counts.append((sum(near["image_pairs"].values()), "pairs of nearly identical images"))
    counts.append((facts["label_conflicts"]["conflicting_groups"], "groups of identical images with several labels"))
    blanks, votes = sum(facts["blanks"].values()), facts["votes"]
    if votes:
        counts.append(
            (sum(usage["not_a_face"] for usage in votes["by_usage"].values()), "images without a face (FER+)")
        )
    counts.append((blanks, "blank images"))
    counts.append((sum(facts["light"]["outliers"].values()), "images with unusual brightness or contrast"))
    if facts["clean_rows"]:
        counts.append((facts["clean_rows"]["clean"], "clean PrivateTest rows"))
    return [(_number(count), text) for count, text in counts]


def steps(facts: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return the rows of PrivateTest that remain after each rule: description, rows, share."""
    clean = facts["clean_rows"]
    if clean is None:
        return []
    total = clean["test_rows"]
    across = facts["copies_across_usages"]["PrivateTest"]["Training"]
    remaining = [("all of PrivateTest", total), (REASONS["training"], total - across["exact"])]
    names = ["unseen", "distinct"] + (["clean"] if facts["votes"] else [])
    remaining += [(REASONS[name], clean[name]) for name in names]
    return [(text, count, count / total) for text, count in remaining]


def score_rows(facts: dict[str, Any]) -> list[tuple[float, float]]:
    scores = facts["scores"]
    return [(float(score), value) for score, value in scores["without_copies"].items()] if scores else []


def near_chart(findings: Findings) -> list[dict[str, Any]]:
    """Return bars of a histogram of near pairs by correlation, for pairs with equal and with different labels."""
    edges = np.linspace(0.95, 1.0, 11)
    labels = findings.table.labels[findings.near]
    differ = labels[:, 0] != labels[:, 1] if len(labels) else np.zeros(0, bool)
    bins = np.clip(np.digitize(findings.correlation, edges) - 1, 0, len(edges) - 2)
    same, other = (np.bincount(bins[which], minlength=len(edges) - 1) for which in (~differ, differ))
    most = max(int((same + other).max()), 1)
    return [
        {
            "from": f"{edges[i]:.3f}",
            "same": int(same[i]),
            "differ": int(other[i]),
            "same_height": round(100 * same[i] / most, 2),
            "differ_height": round(100 * other[i] / most, 2),
        }
        for i in range(len(edges) - 1)
    ]


def light_charts(findings: Findings, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return histograms of brightness and contrast of the rows that are not blank, with the limits for outliers."""
    charts = []
    for name, top, width in (("brightness", 256, 8), ("contrast", 128, 4)):
        values = getattr(findings, name)[~findings.blank]
        counts = np.bincount(np.minimum(values // width, top // width - 1).astype(int), minlength=top // width)
        limits = facts["light"][name]["limits"]
        most = max(int(counts.max()), 1)
        charts.append(
            {
                "name": name,
                "what": "mean grey value" if name == "brightness" else "standard deviation of grey values",
                "bars": [
                    (int(count), round(100 * count / most, 2), f"{i * width} to {(i + 1) * width}")
                    for i, count in enumerate(counts)
                ],
                "limits": [round(min(max(100 * limit / top, 0), 100), 2) for limit in limits] if limits else [],
                "text": f"usual: {max(limits[0], 0):.1f} to {limits[1]:.1f}" if limits else "no spread",
                "top": top,
            }
        )
    return charts


def pictures(findings: Findings) -> dict[str, Any]:
    """Return images of the worst cases by kind, each kind in a fixed order."""
    blanks, no_faces = np.flatnonzero(findings.blank), np.flatnonzero(findings.not_face & ~findings.blank)
    if findings.table.votes is not None:
        strength = findings.table.votes[no_faces, COLUMNS.index("NF")].astype(int)
        no_faces = no_faces[np.lexsort((-strength, -findings.table.usage[no_faces].astype(int)))]
    return {
        "across": across_cards(findings),
        "conflicts": conflict_cards(findings),
        "near": near_cards(findings, np.ones(len(findings.near), bool), 1),
        "near_conflicts": near_cards(findings, _differ(findings), -1, mark=False),
        "mirrored": near_cards(findings, findings.mirrored, 1),
        "blanks": [_face(findings, row) for row in blanks[:FACES]],
        "not_faces": [_face(findings, row, _nobody(findings, row)) for row in _once(findings, no_faces)[:FACES]],
        "dark": _extremes(findings, "brightness", 1),
        "bright": _extremes(findings, "brightness", -1),
        "flat": _extremes(findings, "contrast", 1),
        "harsh": _extremes(findings, "contrast", -1),
        "contradicted": contradicted(findings),
    }


def across_cards(findings: Findings) -> list[Card]:
    """Return identical images in several usages, those in the most usages and with the most labels first."""
    usage, labels = findings.table.usage, findings.table.labels
    groups = [group for group in findings.groups() if np.ptp(usage[group])]
    groups.sort(key=lambda g: (-len(np.unique(usage[g])), -len(np.unique(labels[g])), -len(g), int(g[0])))
    cards = []
    for group in groups[:GROUPS]:
        order = sorted(group.tolist(), key=lambda row: (usage[row], row))
        shown = _spread(order, usage)
        more = len(group) - len(shown)
        faces = [_face(findings, row) for row in shown]
        cards.append(Card(faces, f"and {more} more" if more else "", bool(np.ptp(labels[group]))))
    return cards


def conflict_cards(findings: Findings) -> list[Card]:
    """Return images with several labels, one card per image; its rows are counted by label and usage."""
    usage, labels = findings.table.usage, findings.table.labels
    groups = [group for group in findings.groups() if np.ptp(labels[group])]
    groups.sort(key=lambda g: (-len(np.unique(labels[g])), -len(g), int(g[0])))
    cards = []
    for group in groups[:CONFLICTS]:
        counted: dict[tuple[int, int], int] = {}
        for row in group.tolist():
            key = int(labels[row]), int(usage[row])
            counted[key] = counted.get(key, 0) + 1
        faces = []
        for (label, code), count in sorted(counted.items()):
            row = next(r for r in group.tolist() if labels[r] == label and usage[r] == code)
            faces.append(_face(findings, row, f"{count} rows" if count > 1 else ""))
        cards.append(Card(faces))
    return cards


def near_cards(findings: Findings, among: np.ndarray, direction: int, mark: bool = True) -> list[Card]:
    """Return near pairs, each pair of images once.

    direction  1: lowest correlation first; -1: highest first
    mark       True: pairs with two labels are marked
    """
    differ = _differ(findings) & mark
    seen: set[tuple[int, int]] = set()
    cards: list[Card] = []
    indices = np.flatnonzero(among)
    for index in indices[np.argsort(direction * findings.correlation[indices].round(6), kind="stable")].tolist():
        pair = findings.near[index]
        key = tuple(sorted(findings.images[pair].tolist()))
        if key in seen:
            continue
        seen.add(key)
        note = f"r = {findings.correlation[index]:.3f}" + (", mirrored" if findings.mirrored[index] else "")
        cards.append(Card([_face(findings, row) for row in pair.tolist()], note, bool(differ[index])))
        if len(cards) == PAIRS:
            break
    return cards


def contradicted(findings: Findings) -> list[tuple[str, list[ShownFace]]]:
    """Return, by class, faces whose label got no vote: strongest agreement on another option first, then test rows."""
    if findings.own_votes is None:
        return []
    table = findings.table
    most = table.votes.max(axis=1).astype(int)
    candidates = np.flatnonzero((findings.own_votes == 0) & ~findings.not_face)
    order = np.lexsort((candidates, -table.usage[candidates].astype(int), -most[candidates]))
    by_class = []
    for label, name in enumerate(table.classes):
        rows = _once(findings, candidates[order][table.labels[candidates[order]] == label])[:PER_CLASS]
        if len(rows):
            by_class.append((name, [_face(findings, row, votes=True) for row in rows]))
    return by_class


def _differ(findings: Findings) -> np.ndarray:
    labels = findings.table.labels[findings.near]
    return labels[:, 0] != labels[:, 1] if len(labels) else np.zeros(0, bool)


def _spread(rows: Sequence[int], usage: np.ndarray) -> list[int]:
    """Return at most four of the rows in the order of usages, with at least one of each usage."""
    first = {int(usage[row]): row for row in reversed(rows)}
    chosen = list(first.values())
    chosen += [row for row in rows if row not in chosen][: ROWS_OF_GROUP - len(chosen)]
    return sorted(chosen, key=lambda row: (usage[row], row))


def _extremes(findings: Findings, name: str, direction: int) -> list[ShownFace]:
    """Return the most extreme images, without blank ones, the most extreme first; a note marks outliers."""
    values, z = getattr(findings, name), getattr(findings, f"{name}_z")
    rows = np.flatnonzero(~findings.blank)
    rows = _once(findings, rows[np.argsort(direction * values[rows], kind="stable")][: 4 * EXTREMES])[:EXTREMES]
    return [_face(findings, row, f"{values[row]:.0f}" + (" *" if abs(z[row]) > OUTLYING else "")) for row in rows]


def _once(findings: Findings, rows: np.ndarray) -> list[int]:
    """Return the rows in their order, each image once."""
    _, first = np.unique(findings.images[rows], return_index=True)
    return rows[np.sort(first)].tolist()


def _nobody(findings: Findings, row: int) -> str:
    return f"{findings.table.votes[row, COLUMNS.index('NF')]} of {findings.table.votes[row].sum()}"


def _face(findings: Findings, row: int, note: str = "", votes: bool = False) -> ShownFace:
    table = findings.table
    label, usage = table.classes[table.labels[row]], USAGES[table.usage[row]]
    return ShownFace(
        source=address(table.pixels[row]),
        label=label,
        usage=usage,
        title=f"row {row}, {usage}, {label}, source {table.source[row]}, {table.digests[row].tobytes().hex()[:12]}",
        note=note,
        votes=tally(table.votes[row], label) if votes else (),
    )


def _interval(facts: dict[str, Any]) -> float | None:
    """Return half the width of the 95 % interval of an accuracy of 73 % on the clean rows, in points."""
    if not facts["clean_rows"] or not facts["clean_rows"]["clean"]:
        return None
    return 100 * margin(0.73, facts["clean_rows"]["clean"])


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"
