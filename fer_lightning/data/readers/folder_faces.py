"""Faces from images in <split>/<class>/ or in <class>/ alone."""

import io
import warnings
from collections import Counter

import cv2
import numpy as np
from PIL import Image, ImageOps

from fer_lightning.data.readers.faces import ALLOWED_SPLITS, Faces, Progress, settle_plain_test, split_code
from fer_lightning.data.readers.files import File, read_bounded
from fer_lightning.data.table import SIDE
from fer_lightning.errors import UserError
from fer_lightning.labels import Taxonomy, canonical

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_FILE = 32 << 20  # bytes
MAX_SIDE = 8192  # pixels
_GREY_MODES = ("L", "1", "LA", "I;16", "I")
_REPORT_EVERY = 64  # images


def is_image(file: File) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def read_folders(images: list[File], taxonomy: Taxonomy, progress: Progress | None = None) -> Faces:
    """Every image of the list, grey and 48 x 48, or UserError naming the file.

    Images of another size are resized by area, colours become grey (ITU-R BT.601 luma, as Pillow has it), and
    the notes count both.
    """
    places = _places(images, taxonomy)
    pixels = np.empty((len(images), SIDE, SIDE), np.uint8)
    changed = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_decode` has its own limit
        for row, file in enumerate(images):
            pixels[row] = _decode(file, changed)
            if progress and row % _REPORT_EVERY == 0:
                progress(row, len(images))
    splits = [split for split, _ in places]
    faces = Faces(
        pixels=pixels,
        labels=np.array([label for _, label in places], np.int64),
        usage=None if splits[0] is None else np.array(splits, np.uint8),
        source=[file.name for file in images],
        form="class folders",
        notes=[f"{count:,} images {what}" for what, count in changed.items()],
    )
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    return faces


def _places(images: list[File], taxonomy: Taxonomy) -> list[tuple[int | None, int]]:
    """(split code or None, label) of each image by its folders; folders around all of them do not count."""
    folders = [tuple(file.name.split("/")[:-1]) for file in images]
    wrapped = _wrapper(folders, taxonomy)
    found, known = [], {}
    for file, folder in zip(images, folders, strict=True):
        if folder not in known:
            known[folder] = _place(file.name, folder[wrapped:], taxonomy)
        found.append(known[folder])
    if len({split is None for split, _ in known.values()}) > 1:
        without = next(folder for folder, (split, _) in known.items() if split is None)
        raise UserError(
            f"{'/'.join(without)}: a class folder beside split folders; all of them stand in "
            f"train|val|test/<class>/, or all in <class>/"
        )
    return found


def _wrapper(folders: list[tuple[str, ...]], taxonomy: Taxonomy) -> int:
    """How many leading folders are common to all images and neither a split nor a class."""
    depth = 0
    for names in zip(*folders, strict=False):
        name = names[0]
        if len(set(names)) > 1 or split_code(name) is not None or canonical(name) in taxonomy.classes:
            break
        depth += 1
    # What is left must hold a class; else the innermost common folder is a class with an unknown name.
    return min(depth, min(map(len, folders)) - 1) if folders and min(map(len, folders)) else 0


def _place(name: str, folder: tuple[str, ...], taxonomy: Taxonomy) -> tuple[int | None, int]:
    if len(folder) not in (1, 2):
        raise UserError(f"{name}: images stand in train|val|test/<class>/ or in <class>/, not here")
    split = split_code(folder[0]) if len(folder) == 2 else None
    if len(folder) == 2 and split is None:
        raise UserError(f"{name}: {folder[0]!r} names no split; allowed: {ALLOWED_SPLITS}")
    try:
        return split, taxonomy.index(folder[-1])
    except ValueError as error:
        raise UserError(f"{name}: {error}; rename the folder or take it away") from None


def _decode(file: File, changed: Counter) -> np.ndarray:
    data = read_bounded(file, MAX_FILE)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if max(image.size) > MAX_SIDE:
                raise UserError(f"{file.name}: {image.width} x {image.height} pixels; at most {MAX_SIDE} a side")
            if image.format == "JPEG":
                changed["are JPEG, lossy copies whose pixels and checksum differ from the challenge's"] += 1
            if image.mode not in _GREY_MODES:
                changed["were not grey and have been made so"] += 1
            if image.size == (SIDE, SIDE):
                return _grey(image)
            changed[f"were not {SIDE} x {SIDE} and have been resized"] += 1
            grey = _grey(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more on damaged files
        raise UserError(f"{file.name}: not a readable PNG or JPEG ({error}); replace it or take it away") from error
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _grey(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip instead of scale
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L"))
