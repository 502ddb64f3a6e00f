"""Reader of faces from images in <split>/<class>/ or in <class>/."""

import io
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_lightning.data.readers.faces import ALLOWED_SPLITS, ReadFaces, settle_plain_test, split_code
from fer_lightning.data.readers.files import File, Listing, OddFile, read_bounded
from fer_lightning.data.table import SIDE
from fer_lightning.errors import UserError
from fer_lightning.faces.pixels import eight_bits, opaque, upright
from fer_lightning.inputs import FACES, IMAGES, OTHER_IMAGES, has_suffix, is_read
from fer_lightning.labels import Taxonomy, canonical
from fer_lightning.terminal import Progress

MAX_FILE = 32 << 20  # bytes
MAX_SIDE = 8192  # pixels
MAX_PIXELS = 40_000_000
_TOO_LARGE = f"larger than {MAX_SIDE} pixels per side or {MAX_PIXELS:,} in total"
LOOKS_LIKE_A_PHOTOGRAPH = 256  # pixels of the shorter side; enlarged copies of 48 x 48 faces are seldom so large
_PHOTOGRAPHS = (
    f"are larger than {LOOKS_LIKE_A_PHOTOGRAPH} x {LOOKS_LIKE_A_PHOTOGRAPH}: if they are whole photographs, find "
    f"the face in each with make data FROM=... PHOTOS=yes or, for data.extra, with make collect PROVIDER=local FROM=..."
)
_GREY_MODES = ("L", "1", "LA", "I;16", "I")
_REPORT_EVERY = 64  # images

# Function of an image, its file name and the counts for the notes; returns uint8 (48, 48), or None to skip the image.
Cut = Callable[[Image.Image, str, Counter], np.ndarray | None]


@dataclass(frozen=True)
class Reading:
    """Choice of the images to read, and the function that makes a face of each.

    suffixes   suffixes of the files to read, in lower case
    formats    allowed formats, by their names in Pillow
    words      the same formats as text for messages
    leave_out  called for a file that cannot be used, instead of raising its error; None: the error is raised
    """

    cut: Cut
    suffixes: tuple[str, ...] = FACES
    formats: tuple[str, ...] = ("PNG", "JPEG")
    words: str = "PNG or JPEG"
    leave_out: Callable[[OddFile], None] | None = None


def read_folders(
    listing: Listing, taxonomy: Taxonomy, progress: Progress | None = None, reading: Reading | None = None
) -> ReadFaces:
    """Return every PNG and JPEG of the listing, grey and 48 x 48.

    These images are changed, and the notes count each kind:

    - Images of another size are resized by area.
    - Colours become grey (ITU-R BT.601 luma, as in Pillow).
    - Values of 16 bits lose their lower 8 bits.
    - Transparent parts become black.

    Raise UserError that names the file for animations, images of more than MAX_PIXELS, images of other formats, and
    for a class or split folder without an image. With a `reading` that has `leave_out`, unusable files raise no error,
    and the result may be empty.
    """
    reading = reading or Reading(_whole)
    images, odd = _images(listing, reading)
    folders = [_folder(file) for file in images]
    wrapped = _wrapper(folders, taxonomy)
    places = _places(images, folders, wrapped, taxonomy)
    if images:
        filled = {*folders, *map(_folder, odd)}
        _refuse_empty(listing.folders, filled, folders[0][:wrapped], taxonomy, reading.words)
    pixels, kept = np.empty((len(images), SIDE, SIDE), np.uint8), []
    changed = Counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # about metadata, and sizes, which `_decode` limits itself
        for row, file in enumerate(images):
            if (face := _decoded(file, reading, changed)) is not None:
                pixels[len(kept)] = face
                kept.append(row)
            if progress and row % _REPORT_EVERY == 0:
                progress(row, len(images))
    if 2 * changed[_PHOTOGRAPHS] <= len(images):
        del changed[_PHOTOGRAPHS]
    splits = [places[row][0] for row in kept]
    faces = ReadFaces(
        pixels=pixels[: len(kept)],
        labels=np.array([places[row][1] for row in kept], np.int64),
        usage=None if None in splits else np.array(splits, np.uint8),
        source=[images[row].name.encode("utf-8", "backslashreplace").decode() for row in kept],
        form="class folders",
        notes=[f"{count:,} images {what}" for what, count in changed.items()],
    )
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    return faces


def _images(listing: Listing, reading: Reading) -> tuple[list[File], list[File]]:
    """Return the images to read, and the images of other formats; other files are left out of the listing."""
    images, odd = [], []
    for file in listing.files:
        if has_suffix(file.name, (*IMAGES, *OTHER_IMAGES)) and not has_suffix(file.name, reading.suffixes):
            odd.append(file)
            trouble = "only PNG and JPEG images are read. Convert the file, or move it out of the folder."
            _leave_out(OddFile(file.name, trouble, f"not {reading.words}"), reading)
        elif is_read(file.name, reading.suffixes, listing.left_out):
            images.append(file)
    return images, odd


def _leave_out(odd: OddFile, reading: Reading) -> None:
    if reading.leave_out is None:
        raise odd
    reading.leave_out(odd)


def _folder(file: File) -> tuple[str, ...]:
    return tuple(file.name.split("/")[:-1])


def _refuse_empty(
    names: list[str], filled: set[tuple[str, ...]], wrapper: tuple[str, ...], taxonomy: Taxonomy, wanted: str
) -> None:
    """Raise UserError if the folder of a split or a class holds no image."""
    wrapped = len(wrapper)
    holding = {folder[:depth] for folder in filled for depth in range(1, len(folder) + 1)}
    for name in names:
        folder = tuple(name.split("/"))
        place = folder[wrapped:]
        if folder in holding or folder[:wrapped] != wrapper or len(place) not in (1, 2):
            continue
        *above, last = place
        if all(split_code(split) is not None for split in above) and (
            canonical(last) in taxonomy.classes or (not above and split_code(last) is not None)
        ):
            raise UserError(
                f"{name}: this folder holds no {wanted} image. Put the faces of the class into it, or remove it."
            )


def _places(
    images: list[File], folders: list[tuple[str, ...]], wrapped: int, taxonomy: Taxonomy
) -> list[tuple[int | None, int]]:
    """Return (split code or None, label) of each image from its folders, without the first `wrapped` folders."""
    found, known = [], {}
    for file, folder in zip(images, folders, strict=True):
        if folder not in known:
            known[folder] = _place(file.name, folder[wrapped:], taxonomy)
        found.append(known[folder])
    if len({split is None for split, _ in known.values()}) > 1:
        without = next(folder for folder, (split, _) in known.items() if split is None)
        raise UserError(
            f"{'/'.join(without)}: this class folder is next to split folders. Put all images into "
            f"train|val|test/<class>/, or all into <class>/."
        )
    return found


def _wrapper(folders: list[tuple[str, ...]], taxonomy: Taxonomy) -> int:
    """Return how many leading folders are common to all images and are neither a split nor a class."""
    depth = 0
    for names in zip(*folders, strict=False):
        name = names[0]
        if len(set(names)) > 1 or split_code(name) is not None or canonical(name) in taxonomy.classes:
            break
        depth += 1
    # At least one folder must remain for the class; else the innermost common folder is a class with an unknown name.
    return min(depth, min(map(len, folders)) - 1) if folders and min(map(len, folders)) else 0


def _place(name: str, folder: tuple[str, ...], taxonomy: Taxonomy) -> tuple[int | None, int]:
    if trouble := _misplaced(folder, taxonomy):
        raise UserError(f"{name}: {trouble}")
    if len(folder) not in (1, 2):
        raise UserError(f"{name}: images must be in train|val|test/<class>/ or in <class>/. Move this image.")
    split = split_code(folder[0]) if len(folder) == 2 else None
    if len(folder) == 2 and split is None:
        raise UserError(f"{name}: {folder[0]!r} is not the name of a split; allowed: {ALLOWED_SPLITS}")
    try:
        return split, taxonomy.index(folder[-1])
    except ValueError as error:
        raise UserError(f"{name}: {error}. Rename the folder, or remove it.") from None


def _misplaced(folder: tuple[str, ...], taxonomy: Taxonomy) -> str | None:
    """Return what is wrong with a folder of a form that other data sets have; None for any other folder."""
    last = folder[-1] if folder else ""
    if last.lower().startswith("fer2013") and split_code(last[7:]) is not None:
        return "this is a folder of FER+'s images. Use FER2013's fer2013.csv with FERPLUS=fer2013new.csv."
    if len(folder) == 1 and split_code(last) is not None:
        return (
            f"{last}/ is a split without class folders. Sort its images into {last}/<class>/; a table of labels beside "
            f"the images is not read."
        )
    if last.isdigit():
        return (
            f"the folder {last!r} is a number, and data sets number their classes differently: 1 is disgust in "
            f"FER2013, surprise in RAF-DB and happy in AffectNet. Rename the folders to "
            f"{', '.join(taxonomy.classes)}."
        )
    if len(folder) == 2 and canonical(folder[0]) in taxonomy.classes:
        if split_code(last) is not None:
            return f"split and class are in the wrong order. Move the images to {last}/{folder[0]}/."
        return f"{last}/ is a folder inside the class folder {folder[0]}/. Move its images into {folder[0]}/."
    if len(folder) == 3 and split_code(folder[1]) is not None:
        return f"{folder[0]}/ holds a second tree of splits. Use only {folder[0]}/, or remove it."
    return None


def _decoded(file: File, reading: Reading, changed: Counter) -> np.ndarray | None:
    try:
        return _decode(file, reading, changed)
    except OddFile as odd:
        _leave_out(odd, reading)
        return None


def _decode(file: File, reading: Reading, changed: Counter) -> np.ndarray | None:
    data = read_bounded(file, MAX_FILE)
    unreadable = f"not a readable {reading.words}"
    try:
        with Image.open(io.BytesIO(data), formats=reading.formats) as image:
            _refuse_by_header(image, file.name)
            if image.format == "PNG" and data[24] == 16:  # bits per channel, in the PNG's header
                changed["had 16 bits per channel and were reduced to 8"] += 1
            return reading.cut(image, file.name, changed)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise OddFile(file.name, f"{error}; the limit is {MAX_PIXELS:,} pixels", _TOO_LARGE) from error
    except UnidentifiedImageError as error:  # its text names a Python object, so it is not shown
        trouble = f"{unreadable} (it has another content, or its beginning is damaged). Replace or remove the file."
        raise OddFile(file.name, trouble, unreadable) from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more on damaged files
        raise OddFile(file.name, f"{unreadable} ({error}). Replace or remove the file.", unreadable) from error


def _whole(image: Image.Image, _: str, changed: Counter) -> np.ndarray:
    """Return the whole image, which is a face that is already cut out."""
    if image.format != "PNG":
        changed["are JPEG: their pixels and checksum differ from the challenge's files"] += 1
    if image.mode not in _GREY_MODES:
        changed["were not grey and were converted to grey"] += 1
    grey = plain(image, changed).convert("L")
    if image.size == (SIDE, SIDE):
        return np.asarray(grey)
    changed[f"were not {SIDE} x {SIDE} and were resized"] += 1
    changed[_PHOTOGRAPHS] += min(image.size) > LOOKS_LIKE_A_PHOTOGRAPH
    return cv2.resize(np.asarray(grey), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _refuse_by_header(image: Image.Image, name: str) -> None:
    """Raise OddFile for images that must not be decoded: too large ones and animations."""
    width, height = image.size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise OddFile(
            name,
            f"the image has {width} x {height} pixels; allowed are {MAX_SIDE} per side and {MAX_PIXELS:,} in total. "
            f"Crop the face, or scale the image down.",
            _TOO_LARGE,
        )
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise OddFile(
            name,
            f"the file is an animation of {image.n_frames} images. Keep one of them, as a plain PNG.",
            "an animation",
        )


def plain(image: Image.Image, changed: Counter) -> Image.Image:
    """Return the image upright, with 8 bits per channel and over black; count what is changed, for the notes."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        changed["were partly transparent; their transparent parts became black"] += 1
    turned = upright(image)
    if turned is not image:
        changed["were turned upright by their EXIF orientation"] += 1
    return opaque(eight_bits(turned), background="black")
