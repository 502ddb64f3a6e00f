"""Worst confident mistakes of a sweep's networks: images with FER+ votes. This module does not import torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lightning.data.store import Store, open_store, store_problem
from fer_lightning.errors import UserError
from fer_lightning.pages.thumbnails import address, tally
from fer_lightning.report.arms import Ablation
from fer_lightning.runs.run_folder import RunFolder

SHOWN = 24


@dataclass(frozen=True)
class Mistake:
    """Test row for which networks confidently predict another class than its label.

    probability  mean probability of `predicted` over the networks that predict it
    networks     number of networks that predict it
    source       the image as a data: URL
    votes        FER+ options: name, number of votes, True if the option means the label
    """

    label: str
    predicted: str
    probability: float
    networks: int
    image: str
    source: str = ""
    votes: tuple[tuple[str, int, bool], ...] = ()


def worst_mistakes(ablation: Ablation) -> list[Mistake]:
    """Return the mistakes with the highest confidence, averaged over all networks; each image once."""
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
    """Return the mistakes whose image is in the store that `config` names, and a sentence if something is missing.

    config  path of a run's config.yaml
    """
    root = _root(config)
    if root is None:
        return [], "The images of this data set are not stored on disk, so no images are shown."
    if store_problem(root):
        return [], f"{root} does not hold a store of faces, so no images are shown."
    store = open_store(Path(root))
    pictured = [_pictured(mistake, store) for mistake in mistakes]
    shown = [mistake for mistake in pictured if mistake is not None]
    if not shown:
        return [], f"The faces at {root} are not the faces of these runs, so no images are shown."
    return shown, "" if store.votes is not None else "The store has no FER+ votes."


def _root(config: Path) -> str | None:
    try:
        root = RunFolder(config.parent).config()["data"]["root"]
    except (OSError, UserError, LookupError, TypeError):
        return None
    return root if isinstance(root, str) else None


def _pictured(mistake: Mistake, store: Store) -> Mistake | None:
    digest = np.frombuffer(bytes.fromhex(mistake.image), np.uint8)
    places = np.flatnonzero((store.digests == digest).all(axis=1))
    if not len(places):
        return None
    row = places[0]
    votes = () if store.votes is None else tally(store.votes[row], mistake.label)
    return Mistake(**(vars(mistake) | {"source": address(store.pixels[row]), "votes": votes}))
