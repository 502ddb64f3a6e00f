"""Reader of class folders of whole photographs: it finds the face in each and crops it like FER2013's faces."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from fer_lightning.data.readers.faces import ReadFaces
from fer_lightning.data.readers.files import File, Listing, OddFile
from fer_lightning.data.readers.folder_faces import read_folders
from fer_lightning.data.readers.images import Reading, plain
from fer_lightning.data.readers.label_tables import read_label_tables
from fer_lightning.errors import UserError
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.find import find_face, recipe
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.settings import FaceRules
from fer_lightning.inputs import PHOTOGRAPHS
from fer_lightning.labels import Taxonomy
from fer_lightning.terminal import Progress

_NAMED = 3  # maximum number of file names in a note


class Photographs:
    """Reader of class folders of photographs, with one detector and one set of rules.

    recipe  text that changes whenever the same photograph could give another face
    """

    def __init__(self, detector: Detector, rules: FaceRules) -> None:
        self.recipe = recipe(detector, rules)
        self._detector, self._rules = detector, rules

    def read(
        self, listing: Listing, taxonomy: Taxonomy, progress: Progress | None, labels: Sequence[File], form: ImageForm
    ) -> ReadFaces:
        """Read the photographs like faces, also WebP; skip photographs without a usable face.

        labels  tables that give the labels; none: the folders do

        The notes name the skipped files and the reason. Raise UserError if no photograph remains.
        """
        refused: dict[str, list[str]] = defaultdict(list)
        unreadable: dict[str, list[str]] = defaultdict(list)
        ambiguous: list[str] = []

        def cut(image: Image.Image, name: str, changed: Counter) -> np.ndarray | None:
            picture = plain(image, changed).convert("RGB")
            face = find_face(np.asarray(picture), self._detector, self._rules, form)
            if face.reason:
                refused[face.reason].append(name)
            elif face.ambiguous:
                ambiguous.append(name)
            return face.crop

        def leave_out(odd: OddFile) -> None:
            unreadable[odd.reason].append(odd.name)

        reading = Reading(form, cut, PHOTOGRAPHS, ("PNG", "JPEG", "WEBP"), "PNG, JPEG or WebP", leave_out)
        if labels:
            faces = read_label_tables(labels, listing, taxonomy, progress, reading)
        else:
            faces = read_folders(listing, taxonomy, progress, reading)
        left_out = [f"{_counted(names)} skipped: {reason}" for reason, names in (refused | unreadable).items()]
        if not len(faces.labels):
            raise UserError(
                f"PHOTOS=yes: no photograph has a usable face. {'; '.join(left_out)}. If the images are faces that "
                f"are already cut out, omit PHOTOS."
            )
        if ambiguous:
            left_out.append(f"{_counted(ambiguous)} with a second face of nearly the same size; the larger one is used")
        faces.partly = bool(unreadable)
        faces.form = "photographs with tables of labels" if labels else "class folders of photographs"
        faces.notes += [f"the faces were found and cropped with {self._detector.name}", *left_out]
        return faces


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return (
        f"{len(names):,} photograph{'' if len(names) == 1 else 's'} ({shown}{', ...' if len(names) > _NAMED else ''})"
    )
