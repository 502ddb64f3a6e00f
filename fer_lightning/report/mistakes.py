"""The worst confident mistakes of a sweep's networks, as pictures beside people's votes. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from fer_lightning.data.store import Store, open_store, store_problem
from fer_lightning.pages.thumbnails import address, tally
from fer_lightning.report.ablation import Ablation

SHOWN = 24


@dataclass(frozen=True)
class Mistake:
    """A test row on which networks are sure of something else than its label.

    probability  of `predicted`, the mean over the networks that say so; `networks` of them do
    source       the picture as a data: address
    votes        FER+ options: name, votes, whether it is the label's
    """

    label: str
    predicted: str
    probability: float
    networks: int
    image: str
    source: str = ""
    votes: tuple[tuple[str, int, bool], ...] = ()


def worst_mistakes(ablation: Ablation) -> list[Mistake]:
    """By the wrong class's confidence, averaged over all networks; each picture once."""
    rows, runs = ablation.rows, [run for arm in ablation.arms for run in arm.runs]
    sums = np.zeros((len(rows.labels), len(rows.classes)))
    counts = np.zeros(sums.shape, int)
    for run in runs:
        wrong = np.flatnonzero(run.answers.predicted != rows.labels)
        cells = wrong, run.answers.predicted[wrong]
        sums[cells] += run.answers.confidence[wrong]
        counts[cells] += 1
    worst = sums.max(axis=1)
    order = np.argsort(-worst, kind="stable")
    order = order[worst[order] > 0]
    _, first = np.unique(rows.images[order], return_index=True)
    return [
        Mistake(
            label=rows.classes[rows.labels[row]],
            predicted=rows.classes[guess],
            probability=float(sums[row, guess] / counts[row, guess]),
            networks=int(counts[row, guess]),
            image=str(rows.images[row]),
        )
        for row in order[np.sort(first)][:SHOWN]
        for guess in [int(sums[row].argmax())]
    ]


def with_pictures(mistakes: list[Mistake], config: Path) -> tuple[list[Mistake], str]:
    """Those whose picture stands in the store that a run's config.yaml names, and a sentence where some do not."""
    root = _root(config)
    if root is None:
        return [], "The pictures of these data are not kept on disk, so none are shown."
    if store_problem(root):
        return [], f"There is no store of faces at {root}, so no pictures are shown."
    store = open_store(Path(root))
    found = [_pictured(mistake, store) for mistake in mistakes]
    shown = [mistake for mistake in found if mistake is not None]
    if not shown:
        return [], f"The faces at {root} are not those of these runs, so no pictures are shown."
    return shown, "" if store.votes is not None else "The store has no FER+ votes."


def _root(config: Path) -> str | None:
    try:
        return (yaml.safe_load(config.read_text()).get("data") or {}).get("root")
    except (OSError, yaml.YAMLError, AttributeError):
        return None


def _pictured(mistake: Mistake, store: Store) -> Mistake | None:
    digest = np.frombuffer(bytes.fromhex(mistake.image), np.uint8)
    places = np.flatnonzero((store.digests == digest).all(axis=1))
    if not len(places):
        return None
    row = places[0]
    votes = () if store.votes is None else tally(store.votes[row], mistake.label)
    return Mistake(**(vars(mistake) | {"source": address(store.pixels[row]), "votes": votes}))
