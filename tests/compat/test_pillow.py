"""Images that are cut short are recognised by Pillow's errors."""

import io

import pytest
from PIL import Image, UnidentifiedImageError

from fer_lightning.compat.pillow import is_cut_short


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_an_image_that_is_cut_short_is_recognised(form):
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, form)
    image = Image.open(io.BytesIO(file.getvalue()[: file.tell() // 2] if form != "TIFF" else file.getvalue()[:2000]))
    with pytest.raises((OSError, SyntaxError)) as error:
        image.load()
    assert is_cut_short(error.value)


def test_another_error_is_not_a_short_file():
    with pytest.raises(UnidentifiedImageError) as error:
        Image.open(io.BytesIO(b"text"))
    assert not is_cut_short(error.value)
