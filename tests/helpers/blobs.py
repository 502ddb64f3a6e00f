"""Stand-ins for faces: soft blobs, no two of which correlate."""

import cv2
import numpy as np


def blobs(count: int, seed: int = 0, low: int = 0, high: int = 256) -> np.ndarray:
    """uint8 (count, 48, 48), drawn from grey levels low to high - 1."""
    random = np.random.default_rng(seed)
    coarse = random.integers(low, high, (count, 8, 8)).astype(np.float32)
    soft = np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in coarse])
    return np.clip(soft, 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """The image with normal noise of this deviation, in grey levels."""
    noise = np.random.default_rng(seed).normal(0, strength, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
