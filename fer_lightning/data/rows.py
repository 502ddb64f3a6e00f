"""Order of stored rows and the checksum over them; both depend only on the faces, not on their source."""

import hashlib

import numpy as np


def pixel_digests(pixels: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image: (N, S, S) or (N, S, S, 3) uint8 -> (N, 32) uint8."""
    digests = np.empty((len(pixels), 32), np.uint8)
    for row, image in enumerate(pixels):
        digests[row] = np.frombuffer(hashlib.sha256(np.ascontiguousarray(image)).digest(), np.uint8)
    return digests


def image_numbers(digests: np.ndarray) -> np.ndarray:
    """Return int64 (N,), the same number for rows with the same pixels, in the order of the digests."""
    keys = np.ascontiguousarray(digests).view(">u8")
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def stored_order(usage: np.ndarray, labels: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Return the row numbers sorted by (usage, label, digest); equal rows keep their order."""
    keys = np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
    return np.lexsort((*keys.T[::-1], labels, usage))


def rows_checksum(classes: tuple[str, ...], usage: np.ndarray, labels: np.ndarray, digests: np.ndarray) -> str:
    """Return the SHA-256, in hex, of the class names and of (usage, label, digest) of rows in `stored_order`."""
    table = np.column_stack([usage.astype(np.uint8), labels.astype(np.uint8), digests])
    return hashlib.sha256(",".join(classes).encode() + b"\n" + table.tobytes()).hexdigest()
