"""The step `merge`: turn the reviewers' decisions into a label and a split for each face.

A face is accepted only if all latest decisions accept it with the same label. One decision that it shows an apparent
minor, a drawing, a copy or a wrong expression rejects it. If one reviewer is unsure, or two labels differ, it stays
open.

Faces with similar images or crops form a cluster, and a cluster is never divided between splits. A cluster that is
similar to a row of FER2013 gets that row's split. A face keeps its split when more faces are collected, with one
exception: if a new face connects two clusters, all of their faces go to the stricter split (PrivateTest before
PublicTest before Training), so that a test row never becomes a training row.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lightning.collect.store.collection import Collection
from fer_lightning.labels import USAGES

# Actions that reject a face and their reasons; if there are several, the first one is reported.
REASONS = {
    "minor": "apparent minor",
    "illustration": "illustration",
    "reject": "rejected",
    "duplicate": "duplicate",
}
SHARES = (0.7, 0.15, 0.15)  # shares of Training, PublicTest, PrivateTest
# Splits from strictest to least strict: a model tested on FER2013's PrivateTest must not train on similar faces.
_STRICTEST = ("PrivateTest", "PublicTest", "Training")


@dataclass(frozen=True)
class MergeResult:
    """Number of faces that are accepted, rejected and open now, and number of faces that changed in this call."""

    accepted: int
    rejected: int
    open: int
    changed: int


@dataclass(frozen=True)
class MergeVerdict:
    """Outcome for one face: accepted (with its label), or rejected or open (with the reason)."""

    outcome: str
    label: str | None = None
    reason: str | None = None


def merge(collection: Collection, *, seed: int = 0) -> MergeResult:
    """Settle every decided face, and distribute new clusters 70/15/15 over the splits, per label."""
    outcomes = {face: settle(opinions) for face, opinions in _opinions(collection).items()}
    clusters = _clusters(collection)
    usages = _usages(collection, outcomes, clusters, seed)
    before = {row["face"]: row for row in collection.rows("SELECT * FROM current_settled")}
    unique = {row["id"] for row in collection.rows("SELECT id FROM unique_face")}
    changed = 0
    with collection.writing():
        for face in sorted(outcomes.keys() | before.keys()):
            outcome = outcomes.get(face) or _withdrawn(face, unique)
            row = {
                "outcome": outcome.outcome,
                "label": outcome.label,
                "reason": outcome.reason,
                "usage": usages.get(face),
                "cluster": clusters.get(face, face),
            }
            if face not in before or any(before[face][name] != value for name, value in row.items()):
                collection.add("settled", {"face": face, **row})
                changed += 1
    counts = Counter(outcome.outcome for outcome in outcomes.values())
    return MergeResult(counts["accepted"], counts["rejected"], counts["open"], changed)


def _withdrawn(face: int, unique: set[int]) -> MergeVerdict:
    """Return the outcome of a settled face whose decisions are all undone, or that has become a copy."""
    return (
        MergeVerdict("open", reason="undone")
        if face in unique
        else MergeVerdict("rejected", reason="found to be a copy")
    )


def settle(opinions: list[tuple[str, str | None]]) -> MergeVerdict:
    """Return the outcome of a face from the latest (action, label) of each annotator and pass."""
    actions = {action for action, _ in opinions}
    for action, reason in REASONS.items():
        if action in actions:
            return MergeVerdict("rejected", reason=reason)
    if "unsure" in actions:
        return MergeVerdict("open", reason="unsure")
    labels = {label for _, label in opinions}
    if len(labels) > 1:
        return MergeVerdict("open", reason="disputed")
    return MergeVerdict("accepted", label=labels.pop())


def images_of_minors(collection: Collection) -> set[str]:
    """Return the images with a face that a reviewer marked as an apparent minor."""
    rows = collection.rows(
        "SELECT DISTINCT image FROM standing_decision AS decision JOIN face ON face.id = decision.face "
        "WHERE action = 'minor'"
    )
    return {row["image"] for row in rows}


def _opinions(collection: Collection) -> dict[int, list[tuple[str, str | None]]]:
    """Return the current (action, label) of each annotator and pass, by face; copies are not included."""
    opinions = defaultdict(list)
    for row in collection.rows(_STANDING):
        opinions[row["face"]].append((row["action"], row["label"]))
    return opinions


_STANDING = """
SELECT decision.* FROM standing_decision AS decision JOIN unique_face ON unique_face.id = decision.face
ORDER BY decision.id
"""


def _clusters(collection: Collection) -> dict[int, int]:
    """Return {face: smallest face id of its cluster}; faces are connected directly or through other faces."""
    pairs = collection.rows("SELECT face, other_face FROM likeness WHERE other_face IS NOT NULL")
    pairs += [(group[0], other) for group in _alike_by_fer2013(collection) for other in group[1:]]
    if not pairs:
        return {}
    faces, indices = np.unique(np.array([tuple(pair) for pair in pairs], np.int64), return_inverse=True)
    starts, ends = indices.reshape(-1, 2).T
    links = coo_array((np.ones(len(starts), np.uint8), (starts, ends)), shape=(len(faces), len(faces)))
    numbers = connected_components(links, directed=False)[1]
    smallest: dict[int, int] = {}
    for face, number in zip(faces.tolist(), numbers.tolist(), strict=True):
        smallest.setdefault(number, face)
    return {face: smallest[number] for face, number in zip(faces.tolist(), numbers.tolist(), strict=True)}


def _alike_by_fer2013(collection: Collection) -> list[list[int]]:
    """Return the groups of faces that are similar to the same row of FER2013."""
    groups = defaultdict(list)
    for row in collection.rows("SELECT DISTINCT face, fer2013_digest FROM likeness WHERE fer2013_digest IS NOT NULL"):
        groups[row["fer2013_digest"]].append(row["face"])
    return list(groups.values())


def _usages(
    collection: Collection, outcomes: dict[int, MergeVerdict], clusters: dict[int, int], seed: int
) -> dict[int, str]:
    """Return {face: split} of each accepted face."""
    members = defaultdict(list)
    for face, outcome in outcomes.items():
        if outcome.outcome == "accepted":
            members[clusters.get(face, face)].append(face)
    fixed = _fixed(collection, clusters)
    counts = {outcome.label: Counter() for outcome in outcomes.values() if outcome.label}
    usages: dict[int, str] = {}

    def assign(cluster: int, usage: str) -> None:
        for face in members[cluster]:
            usages[face] = usage
            counts[outcomes[face].label][usage] += 1

    for cluster in members.keys() & fixed.keys():
        assign(cluster, fixed[cluster])
    crops = dict(collection.rows("SELECT id, crop_id FROM face WHERE status = 'face'"))
    free = members.keys() - fixed.keys()
    for cluster in sorted(free, key=lambda cluster: _draw(seed, [crops[face] for face in members[cluster]])):
        label = Counter(outcomes[face].label for face in members[cluster]).most_common(1)[0][0]
        assign(cluster, most_wanted(counts[label]))
    return usages


def _fixed(collection: Collection, clusters: dict[int, int]) -> dict[int, str]:
    """Return {cluster: split} if FER2013 or an earlier merge fixes it: FER2013 first, then the strictest split."""
    fixed: dict[int, str] = {}
    for query in (
        "SELECT face, fer2013_usage FROM likeness WHERE fer2013_usage IS NOT NULL",
        "SELECT face, usage FROM current_settled WHERE usage IS NOT NULL",
    ):
        for face, usage in sorted(map(tuple, collection.rows(query)), key=lambda pair: _STRICTEST.index(pair[1])):
            fixed.setdefault(clusters.get(face, face), usage)
    return fixed


def most_wanted(counts: Counter) -> str:
    """Return the split that is furthest below its share, counting one more face."""
    total = counts.total() + 1
    return max(USAGES, key=lambda usage: SHARES[USAGES.index(usage)] * total - counts[usage])


def _draw(seed: int, crops: list[str]) -> str:
    """Return a sort key for a random order that depends only on the faces and the seed."""
    return hashlib.sha256(f"{seed} {min(crops)}".encode()).hexdigest()
