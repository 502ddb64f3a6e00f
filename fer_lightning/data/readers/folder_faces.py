"""Reader of faces from images in <split>/<class>/ or in <class>/; a folder inside a class is a person."""

from typing import NamedTuple

from fer_lightning.data.readers.faces import ALLOWED_SPLITS, ReadFaces, split_code
from fer_lightning.data.readers.files import File, Listing, OddFile
from fer_lightning.data.readers.images import LabelledImage, Reading, read_images
from fer_lightning.errors import UserError
from fer_lightning.inputs import ARRAY_BESIDE, ARRAYS, IMAGES, OTHER_IMAGES, has_suffix, is_read
from fer_lightning.labels import Taxonomy, canonical
from fer_lightning.terminal import Progress
from fer_lightning.wording import terminal


def read_folders(
    listing: Listing, taxonomy: Taxonomy, progress: Progress | None = None, reading: Reading | None = None
) -> ReadFaces:
    """Return every PNG and JPEG of the listing, grey and 48 x 48, with the changes of `read_images`.

    Raise UserError that names the file for images that `read_images` refuses, and for a class or split folder without
    an image. With a `reading` that has `leave_out`, unusable files raise no error, and the result may be empty.
    """
    reading = reading or Reading()
    files, odd = listed_images(listing, reading)
    folders = [_folder(file) for file in files]
    wrapped = _wrapper(folders, taxonomy)
    meanings = _folder_meanings(files, folders, wrapped, taxonomy)
    if files:
        filled = {*folders, *map(_folder, odd)}
        _refuse_empty(listing.folders, filled, folders[0][:wrapped], taxonomy, reading.words)
    images = [LabelledImage(file, *meaning) for file, meaning in zip(files, meanings, strict=True)]
    faces = read_images(images, "class folders", reading, progress)
    if persons := sorted({meaning.person for meaning in meanings if meaning.person is not None}):
        faces.notes.append(
            f"{len(persons):,} folders inside the class folders are persons, e.g. {terminal(persons[0])}; "
            f"data.split=clean and fold keep the images of a person together"
        )
    return faces


class _FolderMeaning(NamedTuple):
    """Label, split code or None, and person or None of the images in a folder."""

    label: int
    split: int | None
    person: str | None


def listed_images(listing: Listing, reading: Reading) -> tuple[list[File], list[File]]:
    """Return the images to read, and the images of other formats; other files are left out of the listing."""
    images, odd = [], []
    for file in listing.files:
        if has_suffix(file.name, (*IMAGES, *OTHER_IMAGES)) and not has_suffix(file.name, reading.suffixes):
            odd.append(file)
            trouble = "only PNG and JPEG images are read. Convert the file, or move it out of the folder."
            reading.refuse(OddFile(file.name, trouble, f"not {reading.words}"))
        elif has_suffix(file.name, ARRAYS):
            listing.left_out.add(ARRAY_BESIDE, file.name)
        elif is_read(file.name, reading.suffixes, listing.left_out):
            images.append(file)
    return images, odd


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
        inner = folder[wrapped:]
        if folder in holding or folder[:wrapped] != wrapper or len(inner) not in (1, 2):
            continue
        *above, last = inner
        if all(split_code(split) is not None for split in above) and (
            _is_class(last, taxonomy) or (not above and split_code(last) is not None)
        ):
            raise UserError(
                f"{name}: this folder holds no {wanted} image. Put the faces of the class into it, or remove it."
            )


def _folder_meanings(
    images: list[File], folders: list[tuple[str, ...]], wrapped: int, taxonomy: Taxonomy
) -> list[_FolderMeaning]:
    """Return what the folders of each image mean, without the first `wrapped` folders."""
    meanings, by_folder = [], {}
    for file, folder in zip(images, folders, strict=True):
        if folder not in by_folder:
            by_folder[folder] = _folder_meaning(file.name, folder[wrapped:], taxonomy)
        meanings.append(by_folder[folder])
    if len({meaning.split is None for meaning in by_folder.values()}) > 1:
        without = next(folder for folder, meaning in by_folder.items() if meaning.split is None)
        raise UserError(
            f"{'/'.join(without)}: this class folder is next to split folders. Put all images into "
            f"train|val|test/<class>/, or all into <class>/."
        )
    return meanings


def _wrapper(folders: list[tuple[str, ...]], taxonomy: Taxonomy) -> int:
    """Return how many leading folders are common to all images and are neither a split nor a class."""
    depth = 0
    for names in zip(*folders, strict=False):
        name = names[0]
        if len(set(names)) > 1 or split_code(name) is not None or _is_class(name, taxonomy):
            break
        depth += 1
    # At least one folder must remain for the class; else the innermost common folder is a class with an unknown name.
    return min(depth, min(map(len, folders)) - 1) if folders and min(map(len, folders)) else 0


def _folder_meaning(name: str, folder: tuple[str, ...], taxonomy: Taxonomy) -> _FolderMeaning:
    if trouble := _misplaced(folder, taxonomy):
        raise UserError(f"{name}: {trouble}")
    person = folder[-1] if len(folder) > 1 and _is_class(folder[-2], taxonomy) else None
    *split, last = (folder if person is None else folder[:-1]) or [""]
    if len(split) > 1 or not last:
        raise UserError(
            f"{name}: images must be in train|val|test/<class>/ or in <class>/, or in folders of persons inside a "
            f"class. Move this image."
        )
    if split and split_code(split[0]) is None:
        raise UserError(f"{name}: {split[0]!r} is not the name of a split; allowed: {ALLOWED_SPLITS}")
    try:
        return _FolderMeaning(taxonomy.read(last), split_code(split[0]) if split else None, person)
    except ValueError as error:
        raise UserError(f"{name}: {error}. Rename the folder, or remove it.") from None


def in_class_folder(file: File, taxonomy: Taxonomy) -> bool:
    """Return True if a folder above the file has the name of a class."""
    return any(_is_class(folder, taxonomy) for folder in _folder(file))


def _is_class(folder: str, taxonomy: Taxonomy) -> bool:
    return canonical(folder) in taxonomy.classes or (taxonomy.codes is not None and folder.isdecimal())


def _misplaced(folder: tuple[str, ...], taxonomy: Taxonomy) -> str | None:
    """Return what is wrong with a folder of a form that other data sets have; None for any other folder."""
    last = folder[-1] if folder else ""
    if last.lower().startswith("fer2013") and split_code(last[7:]) is not None:
        return (
            "this is a folder of FER+'s images without its label.csv. Put that file into the folder, or use FER2013's "
            "fer2013.csv with FERPLUS=fer2013new.csv."
        )
    if len(folder) == 1 and split_code(last) is not None:
        return (
            f"{last}/ is a split without class folders. Sort its images into {last}/<class>/, or put a CSV with the "
            f"columns filename and label beside them."
        )
    if len(folder) > 1 and _is_class(folder[0], taxonomy) and split_code(folder[1]) is not None:
        return f"split and class are in the wrong order. Move the images to {folder[1]}/{folder[0]}/."
    if len(folder) == 3 and split_code(folder[1]) is not None:
        return f"{folder[0]}/ holds a second tree of splits. Use only {folder[0]}/, or remove it."
    return None
