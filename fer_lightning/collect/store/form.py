"""Form of a collection's faces. All have one size, and all are grey or all are RGB."""

import numpy as np

from fer_lightning.collect.store.collection import Collection
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.wording import typed_for_make


def pixels_of(crop: bytes) -> np.ndarray:
    """Return a stored crop as uint8 (S, S) grey or (S, S, 3) RGB."""
    return np.frombuffer(crop, np.uint8).reshape(form_of(crop).shape)


def form_of(crop: bytes) -> ImageForm:
    """Return the form of a stored crop. Raise UserError if its length is not that of a face."""
    form = ImageForm.of_values(len(crop))
    if form is None:
        raise UserError(
            f"a stored face has {len(crop):,} bytes, as no face has, so the collection is damaged. List all faults: "
            f"python -m fer_lightning.collect verify"
        )
    return form


def chosen_form(collection: Collection, *, size: int | None, color: bool | None) -> ImageForm:
    """Return the form of the collection's faces, or the form of those that a new collection will have.

    size, color  values that the user has set; None: those of the collection, or of FER2013 for a new collection

    Raise UserError if the collection has faces of another form.
    """
    stored = _stored_form(collection)
    like = stored or FER2013_FORM
    form = ImageForm(like.size if size is None else size, like.color if color is None else color)
    if stored is not None and stored != form:
        other = f"root={collection.root}-{form.size}"
        raise UserError(
            f"faces.size={form.size} faces.color={'yes' if form.color else 'no'}: the collection {collection.root} "
            f"holds faces of {stored.description} pixels, and all its faces have one form. Omit both keys to add faces "
            f"of this form. Or collect faces of {form.description} pixels in another folder: make "
            f"collect {form.make_variables} "
            f"{typed_for_make('STEPS', other)}"
        )
    return form


def _stored_form(collection: Collection) -> ImageForm | None:
    """Return the form of the stored faces; None without any, and if the first is damaged, which `verify` reports."""
    values = collection.value("SELECT length(crop) FROM face WHERE crop IS NOT NULL LIMIT 1")
    return None if values is None else ImageForm.of_values(values)
