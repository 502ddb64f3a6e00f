"""Perceptual hashes: 64 bits that change little when an image is scaled, brightened or saved again.

pHash (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, 3.2.1): the image is scaled to
32 x 32. Each bit says whether one of its lowest 8 x 8 frequencies is above their median. A mirrored image has another
hash, so both hashes are stored. Measured on 2,080 pairs of different photographs, hashes of whole images differed in
18 bits or more, and hashes of 48 x 48 crops in 10 or more. Hashes of altered copies differed in 10 bits or fewer.
"""

import cv2
import numpy as np

SIDE = 32
LOWEST = 8
SAME_IMAGE = 10  # maximum distance in bits between the hashes of two copies of one image


def phash(grey: np.ndarray) -> int:
    """Return the hash, 0 to 2^64 - 1, of uint8 (H, W)."""
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:LOWEST, :LOWEST]
    return int(np.packbits(low > np.median(low)).view(">u8")[0])


def both_hashes(grey: np.ndarray) -> tuple[int, int]:
    """Return the hashes of an image and of its mirror image."""
    return phash(grey), phash(np.ascontiguousarray(grey[:, ::-1]))


def distances(one: int, many: np.ndarray) -> np.ndarray:
    """Return int64 (N,): the number of bits in which a hash differs from each hash of uint64 (N,)."""
    return np.bitwise_count(many ^ np.uint64(one)).astype(np.int64)


def same_image(hashes: np.ndarray, plain: int, mirrored: int) -> np.ndarray:
    """Return bool (N,): True for each hash of uint64 (N,) that belongs to the same image, as it is or mirrored."""
    return np.minimum(distances(plain, hashes), distances(mirrored, hashes)) <= SAME_IMAGE


def as_signed(value: int) -> int:
    """Return a hash as the signed 64-bit integer that SQLite stores."""
    return value - (1 << 64) if value >= 1 << 63 else value


def as_hash(value: int) -> int:
    """Return the hash of a signed 64-bit integer; the inverse of `as_signed`."""
    return value % (1 << 64)
