"""Rows of a collection as the steps would write them, for tests that begin behind those steps."""

import hashlib
import io
import itertools
import uuid

import numpy as np
from PIL import Image

from fer_lightning.collect.images.hashes import as_signed, both_hashes
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.files import write_atomically

LICENCE = ("licence", "licence_version", "licence_url", "creator", "creator_url", "attribution", "restrictions")
_numbers = itertools.count(1)


def drawn(seed: int) -> np.ndarray:
    """uint8 (48, 48): smooth blobs, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC))


def add_page(collection: Collection, *, query: str = "frustrated person", language: str = "en", **columns) -> int:
    row = {"provider": "local", "emotion": "frustration", "query": query, "language": language}
    with collection.writing():
        return collection.add("page", {**row, "status": "answered", "version": "0", **columns})


def add_candidate(collection: Collection, page: int, **columns) -> int:
    number = next(_numbers)
    row = {
        "provider": "local",
        "provider_id": f"id-{number}",
        "image_url": f"https://pictures.example/{number}.jpg",
        "landing_url": f"https://pictures.example/{number}",
        "title": f"Picture {number}",
        "creator": f"Creator {number}",
        "licence": "by",
        "licence_version": "4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    }
    row |= columns
    with collection.writing():
        candidate = collection.add("candidate", row)
        collection.add("licence", {"candidate": candidate, **{name: row.get(name) for name in LICENCE}})
        collection.add("finding", {"page": page, "candidate": candidate, "rank": number})
    return candidate


def add_fetch(collection: Collection, candidate: int, image: str | None, status: str = "stored", **columns) -> None:
    row = {"candidate": candidate, "status": status, "stage": "fetch", "image": image, "http_status": 200}
    with collection.writing():
        collection.add("fetch", {**row, **columns})


def add_picture(collection: Collection, pixels: np.ndarray, image: str | None = None) -> str:
    """An image that shows `pixels`, 8 times as large; returns the SHA-256 of the downloaded bytes."""
    stored = io.BytesIO()
    Image.fromarray(np.kron(pixels, np.ones((8, 8), np.uint8))).save(stored, "JPEG", quality=95)
    name = hashlib.sha256(stored.getvalue()).hexdigest() + ".jpg"
    write_atomically(collection.file(name), stored.getvalue())
    image = image or hashlib.sha256(f"{next(_numbers)}".encode()).hexdigest()
    height, width = (8 * side for side in pixels.shape)
    phash, mirrored = map(as_signed, both_hashes(pixels))
    size = {"width": width, "height": height, "stored_width": width, "stored_height": height}
    hashes = {"phash": phash, "phash_mirrored": mirrored}
    with collection.writing():
        collection.add("picture", {"image": image, "file": name, "format": "JPEG", **size, **hashes})
    return image


def add_detected(
    collection: Collection, image: str, crop: np.ndarray | None, reason: str | None = None, **columns
) -> int:
    row = {"image": image, "rules": "rules", "detector": "drawn", "opencv_version": "4", "n_faces": 1, "score": 0.9}
    row["status"], row["reason"] = ("face", None) if reason is None else ("refused", reason)
    if reason is None:
        phash, mirrored = map(as_signed, both_hashes(crop))
        data = crop.tobytes()
        row |= {"crop": data, "crop_id": hashlib.sha256(data).hexdigest(), "phash": phash, "phash_mirrored": mirrored}
        row |= {"box": "[8, 8, 300, 360]", "crop_box": "[0, 0, 384, 384]", "face_px": 384, "ambiguous": 0}
    with collection.writing():
        return collection.add("face", row | columns)


def add_face(
    collection: Collection,
    page: int,
    crop: np.ndarray,
    *,
    picture: np.ndarray | None = None,
    face: dict | None = None,
    **candidate,
) -> int:
    """A face behind `detect`, whose image shows the crop or another drawing."""
    offered = add_candidate(collection, page, **candidate)
    image = add_picture(collection, crop if picture is None else picture)
    add_fetch(collection, offered, image)
    return add_detected(collection, image, crop, **(face or {}))


def decide(
    collection: Collection, face: int, action: str = "accept", label: str | None = "frustration", **columns
) -> str:
    """A decision of the first annotator; returns its event."""
    row = {"event": str(uuid.uuid4()), "received": now(), "face": face, "pass": 1, "annotator": "first"}
    label = label if action == "accept" else None
    with collection.writing():
        collection.add("decision", {**row, "action": action, "label": label, **columns})
    return columns.get("event", row["event"])
