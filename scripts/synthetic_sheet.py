"""Draw a labelled contact sheet of synthetic faces: `python scripts/synthetic_sheet.py sheet.png`."""

import argparse

import cv2
import numpy as np

from fer_lightning.data import synthetic
from fer_lightning.data.table import SIDE
from fer_lightning.labels import TAXONOMIES

ZOOM = 2
MARGIN = 110


def sheet(per_class: int, seed: int, taxonomy: str) -> np.ndarray:
    """Return a uint8 grey image with one line of `per_class` faces per class, without wrong labels and copies."""
    rows = max(100, 80 * per_class)
    table = synthetic.load(rows=rows, seed=seed, label_noise=0, duplicates=0, taxonomy=taxonomy)
    lines = []
    for c, name in enumerate(table.classes):
        faces = table.pixels[table.labels == c][:per_class]
        line = np.full((SIDE, per_class * SIDE), 255, np.uint8)
        line[:, : len(faces) * SIDE] = np.concatenate(list(faces), axis=1)
        line = cv2.resize(line, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
        title = np.full((line.shape[0], MARGIN), 255, np.uint8)
        cv2.putText(title, name, (6, line.shape[0] // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
        lines.append(np.concatenate([title, line], axis=1))
    return np.concatenate(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="path of the PNG to write")
    parser.add_argument("--per-class", type=int, default=12, help="faces per class")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faces")
    parser.add_argument("--taxonomy", choices=TAXONOMIES, default="fer2013", help="classes of the faces")
    args = parser.parse_args()
    if not cv2.imwrite(args.path, sheet(args.per_class, args.seed, args.taxonomy)):
        parser.error(f"{args.path}: cannot be written. Use an existing folder and a name that ends in .png.")


if __name__ == "__main__":
    main()
