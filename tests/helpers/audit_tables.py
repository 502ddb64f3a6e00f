"""A small table in which everything that an audit looks for was put on purpose."""

import numpy as np
from blobs import blobs, noisy

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.table import FaceTable

CLASSES = ("angry", "happy", "sad")
TRAIN, PUBLIC, PRIVATE = range(3)
ANGRY, HAPPY, SAD = range(3)


def full_of_findings(classes: tuple[str, ...] = CLASSES, votes: bool = True) -> FaceTable:
    """40 rows: 0 to 19 Training, 20 to 27 PublicTest, 28 to 39 PrivateTest; all angry unless said."""
    pixels = blobs(40, low=40, high=216)
    labels = np.zeros(40, np.int64)
    usage = np.repeat([TRAIN, PUBLIC, PRIVATE], [20, 8, 12]).astype(np.uint8)
    pixels[28] = pixels[0]  # a copy of Training under the same label
    pixels[29] = pixels[1]  # and under another one
    labels[29] = SAD
    pixels[30] = pixels[20]  # of PublicTest
    pixels[31] = noisy(pixels[2], 6)  # near, of Training, another label
    labels[31] = HAPPY
    pixels[32] = noisy(pixels[21][:, ::-1], 6)  # near and mirrored, of PublicTest
    pixels[33] = pixels[5] = 7  # blank
    pixels[4] = pixels[3]  # within Training
    pixels[6] = pixels[6] // 40  # dark and flat
    labels[35:38] = HAPPY
    return FaceTable(
        name="three",
        pixels=pixels,
        labels=labels,
        usage=usage,
        source=np.array([f"file {row}.png" for row in range(40)]),
        classes=classes,
        checksum="c0ffee" * 10,
        votes=_votes() if votes else None,
    )


def _votes() -> np.ndarray:
    """Ten for anger; row 34 shows no face, rows 35 to 37 are happy to 10, 6 and 0 people, row 10 has no votes."""
    votes = np.zeros((40, len(COLUMNS)), np.uint8)
    place = COLUMNS.index
    votes[:, place("anger")] = 10
    votes[34:38] = 0
    votes[34, [place("NF"), place("anger")]] = 5, 5
    votes[35, place("happiness")] = 10
    votes[36, [place("happiness"), place("neutral")]] = 6, 4
    votes[37, place("contempt")] = 10
    votes[10] = 0
    return votes
