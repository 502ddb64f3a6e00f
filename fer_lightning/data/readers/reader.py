"""Reader for every form of FER2013: it chooses what to read in a path, and reads it."""

from pathlib import Path

from fer_lightning.data.readers.csv_faces import read_csv
from fer_lightning.data.readers.faces import ReadFaces
from fer_lightning.data.readers.files import File, Listing, file_fingerprint, fingerprint, open_files
from fer_lightning.data.readers.folder_faces import OTHER_IMAGES, SUFFIXES, has_suffix, read_folders
from fer_lightning.data.readers.photographs import Photographs
from fer_lightning.errors import UserError
from fer_lightning.labels import Taxonomy
from fer_lightning.terminal import Progress

# Names in order of preference: the first two files hold all labels, train.csv only those of Training.
KNOWN_CSV = ("fer2013.csv", "icml_face_data.csv", "train.csv")


def read_faces(
    path: Path, taxonomy: Taxonomy, progress: Progress | None = None, photographs: Photographs | None = None
) -> ReadFaces:
    """Read a CSV, a folder or an archive; raise UserError that names file and row.

    In a folder or archive, the first of these is read: fer2013.csv, icml_face_data.csv, train.csv, images, the only
    other CSV. With `photographs`, the images are whole photographs, and the faces in them are found.
    """
    with open_files(_existing(path)) as listing:
        table = _table(path, listing, _suffixes(photographs is not None))
        if table and photographs:
            raise UserError(
                f"PHOTOS=yes: FROM={path} has its faces in {table.name}, where they are already cut out. Omit PHOTOS, "
                f"or use class folders of photographs without a CSV."
            )
        if table:
            faces = read_csv(table, taxonomy, progress)
        elif photographs:
            faces = photographs.read(listing, taxonomy, progress)
        else:
            faces = read_folders(listing, taxonomy, progress)
    if table and _is_competition(table, listing.files):
        faces.form = "competition folder (train.csv)"
        faces.notes.append(
            "test.csv of the competition has no labels, so its rows are not used and the official test score is unknown"
        )
    if listing.kind in ("zip", "tar"):
        faces.form += f" in a {listing.kind}"
    return faces


def source_fingerprint(path: Path, photographs: bool = False) -> list[int]:
    """Return count, bytes and newest time of the files that `read_faces` would use; an archive counts as one file."""
    if not _existing(path).is_dir():
        return file_fingerprint(path)
    with open_files(path) as listing:
        suffixes = _suffixes(photographs)
        table = _table(path, listing, suffixes)
        return fingerprint([table] if table else [file for file in listing.files if has_suffix(file, suffixes)])


def _suffixes(photographs: bool) -> tuple[str, ...]:
    """Return the suffixes of images; with photographs also those of formats that are skipped with a note."""
    return (*SUFFIXES, *OTHER_IMAGES) if photographs else SUFFIXES


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder. Use FER2013's CSV, class folders, or a zip or tar of them.")
    return path


def _table(path: Path, listing: Listing, suffixes: tuple[str, ...]) -> File | None:
    """Return the CSV to read, or None to read the images."""
    files = listing.files
    if listing.kind == "file":
        if path.name.lower().endswith(SUFFIXES):
            raise UserError(f"{path}: this is a single image. Use the folder that holds the class folders.")
        return files[0]
    tables = {}
    for file in sorted(files, key=lambda file: file.name.count("/")):
        tables.setdefault(file.name.rsplit("/", 1)[-1].lower(), file)
    for name in KNOWN_CSV:
        if name in tables:
            return tables[name]
    if any(has_suffix(file, suffixes) for file in files):
        return None
    others = [file for file in files if file.name.lower().endswith(".csv")]
    if len(others) == 1:
        return others[0]
    shown = ", ".join(file.name for file in files[:5]) or "nothing"
    raise UserError(
        f"{path}: there must be {', '.join(KNOWN_CSV)}, exactly one other CSV, or class folders with png or jpg "
        f"images; it holds {shown}{', ...' if len(files) > 5 else ''}."
    )


def _is_competition(table: File, files: list[File]) -> bool:
    beside = table.name[: -len("train.csv")] + "test.csv"
    return table.name.lower().endswith("train.csv") and any(file.name.lower() == beside.lower() for file in files)
