"""Reader of NumPy arrays: an .npz file, or a folder or archive of .npy files, with images and labels.

    images.npy, labels.npy                          also pixels and emotion, x and y; usage and source are optional
    x_train.npy, y_train.npy, x_test.npy, ...       also train_images, train_labels

Images are whole numbers from 0 to 255, or fractions from 0 to 1, in the shapes (N, H, W), (N, H, W, C), (N, C, H, W) or
(N, H * W), with C = 1 or 3.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from fer_lightning.data.readers.faces import (
    ALLOWED_SPLITS,
    ReadFaces,
    settle_plain_test,
    split_code,
    without_others,
)
from fer_lightning.data.readers.files import File, Listing, read_bounded
from fer_lightning.data.readers.images import fitted
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.files import numpy_reason
from fer_lightning.inputs import OTHER_KIND, has_suffix
from fer_lightning.labels import Taxonomy

MAX_ARRAY = 2 << 30  # bytes; FER2013 has 83 MB
SUFFIX = (".npy",)
UNKNOWN_ARRAY = "array whose name states neither images nor labels"
_KINDS = {
    "images": ("images", "image", "pixels", "x", "faces", "data", "imgs"),
    "labels": ("labels", "label", "emotion", "emotions", "y", "targets", "target"),
    "usage": ("usage", "split"),
    "source": ("source", "person", "subject"),
}
_WANTED = "the arrays must be images and labels, or x_train and y_train, x_test and y_test"


def array_files(files: Sequence[File]) -> list[File]:
    return [file for file in files if has_suffix(file.name, SUFFIX)]


def read_arrays(listing: Listing, taxonomy: Taxonomy, form: ImageForm = FER2013_FORM) -> ReadFaces:
    """Return the faces of all arrays. Raise UserError for arrays that do not fit to each other."""
    faces = [_part(split, arrays, taxonomy, form) for split, arrays in _arrays(listing).items()]
    without = [part for part in faces if part.usage is None]
    if without and len(without) < len(faces):
        raise UserError(f"{without[0].source[0]}: this array has no split, but others have one. {_WANTED}.")
    joined = ReadFaces(
        pixels=np.concatenate([part.pixels for part in faces]),
        labels=np.concatenate([part.labels for part in faces]),
        usage=None if without else np.concatenate([part.usage for part in faces]),
        source=[source for part in faces for source in part.source],
        form="arrays of NumPy",
        notes=list(dict.fromkeys(note for part in faces for note in part.notes)),
    )
    if joined.usage is not None:
        joined.notes += settle_plain_test(joined.usage)
    return without_others(joined)


def array_faces(images: np.ndarray, name: str, changed: Counter, form: ImageForm) -> np.ndarray:
    """Return the images (N, ...) of an array as uint8 faces in this form; raise UserError if they are not images."""
    images = _levels(_upright(images, name), name, changed)
    if images.shape[1:] == form.shape:
        return images
    return np.stack([fitted(Image.fromarray(image), changed, form) for image in images])


def label_indices(name: str, labels: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Return int64 (N,), the index of each label, which is a name or a number; raise UserError for other labels."""
    texts, inverse = np.unique(_texts(labels), return_inverse=True)
    try:
        codes = [taxonomy.read(text) for text in texts.tolist()]
    except ValueError as error:
        raise UserError(f"{name}: {error}.") from None
    return np.array(codes, np.int64)[inverse]


def split_codes(name: str, splits: np.ndarray) -> np.ndarray:
    """Return uint8 (N,), the code of each split; raise UserError for other names."""
    texts, inverse = np.unique(_texts(splits), return_inverse=True)
    codes = [split_code(text) for text in texts.tolist()]
    if None in codes:
        raise UserError(f"{name}: {texts[codes.index(None)][:40]!r} is not a split; allowed: {ALLOWED_SPLITS}.")
    return np.array(codes, np.uint8)[inverse]


def _texts(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    return np.array([one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in flat])


def _arrays(listing: Listing) -> dict[int | None, dict[str, tuple[str, np.ndarray]]]:
    """Return {split: {kind: (file name, array)}}; other files are left out of the listing."""
    by_split: dict[int | None, dict[str, tuple[str, np.ndarray]]] = {}
    for file in listing.files:
        split, kind = _meaning(file)
        if kind is None:
            listing.left_out.add(UNKNOWN_ARRAY if has_suffix(file.name, SUFFIX) else OTHER_KIND, file.name)
            continue
        arrays = by_split.setdefault(split, {})
        if kind in arrays:
            raise UserError(f"{arrays[kind][0]} and {file.name}: both are {kind} of one split. Keep one of them.")
        arrays[kind] = (file.name, _array(file))
    for arrays in by_split.values():
        if missing := {"images", "labels"} - arrays.keys():
            name = next(iter(arrays.values()))[0]
            raise UserError(f"{name}: its array of {' and '.join(sorted(missing))} is missing; {_WANTED}.")
    if not by_split:
        names = ", ".join(file.name for file in listing.files[:5])
        raise UserError(f"{names}: these names of arrays are not known; {_WANTED}.")
    return by_split


def _meaning(file: File) -> tuple[int | None, str | None]:
    """Return the split and the kind that the name of an array states; None for each that it does not state."""
    if not has_suffix(file.name, SUFFIX):
        return None, None
    words = re.split(r"[^a-z]+", file.name.rpartition("/")[2].lower().removesuffix(".npy"))
    splits = [code for code in map(split_code, words) if code is not None]
    kinds = [kind for kind, names in _KINDS.items() if any(word in names for word in words)]
    return (splits[0] if splits else None), (kinds[0] if len(kinds) == 1 else None)


def _array(file: File) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(read_bounded(file, MAX_ARRAY)), allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # numpy raises errors of many classes for damaged files and for objects
        reason = numpy_reason(error)
        raise UserError(f"{file.name}: this array cannot be read ({reason}). Save it again with numpy.savez.") from None
    if array.ndim == 0 or array.size == 0:
        raise UserError(f"{file.name}: this array is empty (its shape is {array.shape}). Remove it, or fill it.")
    return array


def _part(
    split: int | None, arrays: dict[str, tuple[str, np.ndarray]], taxonomy: Taxonomy, form: ImageForm
) -> ReadFaces:
    name, images = arrays["images"]
    columns = {kind: (other, values.reshape(len(values), -1)) for kind, (other, values) in arrays.items()}
    for other, values in (columns[kind] for kind in columns if kind != "images"):
        if values.shape != (len(images), 1):
            raise UserError(
                f"{other}: the array has {len(values):,} x {values.shape[1]} values; it must have one for each of the "
                f"{len(images):,} images of {name}."
            )
    changed = Counter()
    pixels = array_faces(images, name, changed, form)
    source = (
        _texts(columns["source"][1]).tolist() if "source" in columns else [f"{name}:{n}" for n in range(len(images))]
    )
    usage = None if split is None else np.full(len(images), split, np.uint8)
    return ReadFaces(
        pixels=pixels,
        labels=label_indices(*columns["labels"], taxonomy),
        usage=split_codes(*columns["usage"]) if "usage" in columns else usage,
        source=list(map(str, source)),
        form="",
        notes=[f"{count:,} images of {name} {change}" for change, count in changed.items()],
    )


def _upright(images: np.ndarray, name: str) -> np.ndarray:
    """Return images (N, H, W) or (N, H, W, 3) of an array of any of the usual shapes."""
    if images.ndim == 2 and (side := round(images.shape[1] ** 0.5)) ** 2 == images.shape[1]:
        return images.reshape(-1, side, side)
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise UserError(f"{name}: the shape is {images.shape}; it must be (N, H, W) or (N, H, W, 3).")
    return images


def _levels(images: np.ndarray, name: str, changed: Counter) -> np.ndarray:
    """Return the images as uint8; raise UserError for values that are not grey levels."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf" or not np.isfinite(images).all() or images.min() < 0 or images.max() > 255:
        raise UserError(f"{name}: images must be whole numbers from 0 to 255, or fractions from 0 to 1.")
    if images.dtype.kind == "f" and images.max() <= 1:
        changed["had fractions, which were multiplied by 255"] += len(images)
        images = images * 255
    return np.rint(images).astype(np.uint8)
