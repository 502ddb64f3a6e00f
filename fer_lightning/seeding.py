"""Seeds that depend only on their purpose and step, so that any step can be repeated by itself.

Order, augmentation, mixing and dropout each use `derive_seed(seed, purpose, epoch, step, rank)`. So a run that is
resumed in the middle of an epoch draws the same numbers as a run without interruption.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed from a sequence of integers and strings; similar inputs give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
