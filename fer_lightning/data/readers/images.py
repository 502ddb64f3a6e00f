"""Decoder of labelled image files: each becomes one face, and the notes count what was changed."""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_lightning.data.readers.faces import ReadFaces, others_note, settle_plain_test
from fer_lightning.data.readers.files import File, OddFile, read_bounded
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.faces.pixels import UnclearRange, eight_bits, opaque, upright
from fer_lightning.inputs import FACES
from fer_lightning.labels import NO_CLASS
from fer_lightning.terminal import Progress

MAX_FILE = 32 << 20  # bytes
MAX_SIDE = 8192  # pixels
MAX_PIXELS = 40_000_000
_TOO_LARGE = f"larger than {MAX_SIDE} pixels per side or {MAX_PIXELS:,} in total"
LOOKS_LIKE_A_PHOTOGRAPH = 256  # pixels of the shorter side; enlarged copies of 48 x 48 faces are seldom so large
_UNCLEAR_RANGE = "values of 16 bits or floats that do not fill their range"
_PHOTOGRAPHS = (
    f"are larger than {LOOKS_LIKE_A_PHOTOGRAPH} x {LOOKS_LIKE_A_PHOTOGRAPH}: if they are whole photographs, find "
    f"the face in each with make data FROM=... PHOTOS=yes or, for data.extra, with make collect PROVIDER=local FROM=..."
)
_GREY_MODES = ("L", "1", "LA", "I;16", "I")
_REPORT_EVERY = 64  # images

# Function of an image, its file name and the counts for the notes; returns a face, or None to skip the image.
Cut = Callable[[Image.Image, str, Counter], np.ndarray | None]


def fitted(image: Image.Image, changed: Counter, form: ImageForm) -> np.ndarray:
    """Return a whole image, which is a face that is already cut out, in this form; count what is changed."""
    is_grey = image.mode in _GREY_MODES
    if not is_grey and not form.color:
        changed["were not grey and were converted to grey"] += 1
    if is_grey and form.color:
        changed["were grey: their three channels are equal"] += 1
    face = np.asarray(plain(image, changed).convert("RGB" if form.color else "L"))
    if face.shape[:2] != form.shape[:2]:
        changed[f"were not {form.size} x {form.size} and were resized"] += 1
        changed[_PHOTOGRAPHS] += min(image.size) > max(LOOKS_LIKE_A_PHOTOGRAPH, 2 * form.size)
    return form.fit(face)


@dataclass(frozen=True)
class Reading:
    """Choice of the images to read, and the function that makes a face of each.

    form       size and color of the faces
    cut        function that makes a face of an image; None: the whole image is the face
    suffixes   suffixes of the files to read, in lower case
    formats    allowed formats, by their names in Pillow
    words      the same formats as text for messages
    leave_out  called for a file that cannot be used, instead of raising its error; None: the error is raised
    """

    form: ImageForm = FER2013_FORM
    cut: Cut | None = None
    suffixes: tuple[str, ...] = FACES
    formats: tuple[str, ...] = ("PNG", "JPEG")
    words: str = "PNG or JPEG"
    leave_out: Callable[[OddFile], None] | None = None

    def face(self, image: Image.Image, name: str, changed: Counter) -> np.ndarray | None:
        """Return the face in an image; None to skip the image."""
        if self.cut is not None:
            return self.cut(image, name, changed)
        if image.format != "PNG":
            changed["are JPEG: their pixels and checksum differ from the challenge's files"] += 1
        return fitted(image, changed, self.form)

    def refuse(self, odd: OddFile) -> None:
        """Raise the error of a file that cannot be used, or leave the file out."""
        if self.leave_out is None:
            raise odd
        self.leave_out(odd)


@dataclass(frozen=True)
class LabelledImage:
    """Image file with its label.

    label   index of the class, or NO_CLASS
    split   code of its split; None: unknown
    source  name of the person or image; None: the file's name
    votes   uint8 (10,), votes of FER+; None: unknown
    """

    file: File
    label: int
    split: int | None = None
    source: str | None = None
    votes: np.ndarray | None = None


def read_images(
    images: Sequence[LabelledImage], form: str, reading: Reading, progress: Progress | None = None
) -> ReadFaces:
    """Return the faces of all images that have a class.

    These images are changed, and the notes count each kind:

    - Images of another size are resized by area.
    - Colours become grey (ITU-R BT.601 luma, as in Pillow), unless the faces are RGB.
    - Values of 16 bits lose their lower 8 bits.
    - Transparent parts become black.

    Raise UserError that names the file for animations, images of more than MAX_PIXELS, images of other formats, and
    values of 16 bits that do not fill their range. With a `reading` that has `leave_out`, unusable files raise no
    error, and the result may be empty.
    """
    wanted = [image for image in images if image.label != NO_CLASS]
    pixels, kept = np.empty((len(wanted), *reading.form.shape), np.uint8), []
    changed = Counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # about metadata, and sizes, which `_decode` limits itself
        for row, image in enumerate(wanted):
            if (face := _decoded(image.file, reading, changed)) is not None:
                pixels[len(kept)] = face
                kept.append(image)
            if progress and row % _REPORT_EVERY == 0:
                progress(row, len(wanted))
    if 2 * changed[_PHOTOGRAPHS] <= len(wanted):
        del changed[_PHOTOGRAPHS]
    splits = [image.split for image in kept]
    faces = ReadFaces(
        pixels=pixels[: len(kept)],
        labels=np.array([image.label for image in kept], np.int64),
        usage=None if None in splits else np.array(splits, np.uint8),
        source=[_text(image.source or image.file.name) for image in kept],
        form=form,
        votes=np.stack([image.votes for image in kept]) if kept and kept[0].votes is not None else None,
        notes=[f"{count:,} images {change}" for change, count in changed.items()],
    )
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    if others := [image.file.name for image in images if image.label == NO_CLASS]:
        faces.notes.append(others_note(len(others), _text(others[0])))
    return faces


def _text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _decoded(file: File, reading: Reading, changed: Counter) -> np.ndarray | None:
    try:
        return _decode(file, reading, changed)
    except OddFile as odd:
        reading.refuse(odd)
        return None


def _decode(file: File, reading: Reading, changed: Counter) -> np.ndarray | None:
    data = read_bounded(file, MAX_FILE)
    unreadable = f"not a readable {reading.words}"
    try:
        with Image.open(io.BytesIO(data), formats=reading.formats) as image:
            _refuse_by_header(image, file.name)
            if image.format == "PNG" and data[24] == 16:  # bits per channel, in the PNG's header
                changed["had 16 bits per channel and were reduced to 8"] += 1
            return reading.face(image, file.name, changed)
    except UnclearRange as error:
        raise OddFile(file.name, str(error), _UNCLEAR_RANGE) from error
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise OddFile(file.name, f"{error}; the limit is {MAX_PIXELS:,} pixels", _TOO_LARGE) from error
    except UnidentifiedImageError as error:  # its text names a Python object, so it is not shown
        trouble = f"{unreadable} (it has another content, or its beginning is damaged). Replace or remove the file."
        raise OddFile(file.name, trouble, unreadable) from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more on damaged files
        raise OddFile(file.name, f"{unreadable} ({error}). Replace or remove the file.", unreadable) from error


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
