"""Seeds that depend on nothing but their name and place, so that any step can be repeated alone.

Order, augmentation, mixing and dropout each take `derive_seed(seed, purpose, epoch, step, rank)`: a run that is
resumed in the middle of an epoch then draws what it would have drawn undisturbed.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any sequence of integers and words; neighbouring inputs give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
