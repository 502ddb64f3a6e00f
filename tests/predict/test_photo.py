"""Photos of every form become the same upright RGB; too large and damaged photographs are rejected with a message."""

import io
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from collect_portraits import encoded, lying, portrait, shrunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lightning.predict import photo
from fer_lightning.predict.photo import Unreadable, read_photo

PICTURE = shrunk(portrait(), 128)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def near(picture, expected, tolerance):
    assert picture.dtype == np.uint8
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).mean() <= tolerance


@pytest.mark.parametrize(
    ("name", "mode", "tolerance"),
    [
        ("a.png", "RGB", 0),
        ("a.bmp", "RGB", 0),
        ("a.tif", "RGB", 0),
        ("a.webp", "RGB", 6),
        ("a.jpg", "RGB", 6),
        ("a.jpg", "CMYK", 8),
        ("a.png", "P", 25),
        ("a.gif", "P", 25),
        ("a.png", "RGBA", 0),
        ("a.tif", "CMYK", 3),
    ],
)
def test_a_photo_of_any_form_is_rgb(name, mode, tolerance, tmp_path):
    near(read_photo(saved(tmp_path / name, Image.fromarray(PICTURE).convert(mode))), PICTURE, tolerance)


def test_grey_of_8_and_16_bits_has_three_equal_channels(tmp_path):
    grey = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
    expected = np.repeat(grey[..., None], 3, axis=2)
    for name, levels in (
        ("8.png", grey),
        ("16.png", grey.astype(np.uint16) * 256 + 255),
        ("16.tif", grey * np.uint16(257)),
    ):
        near(read_photo(saved(tmp_path / name, Image.fromarray(levels))), expected, 0)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("12.png", np.linspace(0, 4095, 4096).astype(np.uint16)),
        ("8.tif", np.linspace(0, 255, 4096).astype(np.int32)),
        ("share.tif", np.linspace(0, 1, 4096).astype(np.float32)),
        ("above.tif", np.linspace(0, 300, 4096).astype(np.float32)),
        ("below.tif", np.linspace(-5, 200, 4096).astype(np.float32)),
    ],
)
def test_values_of_an_unclear_range_are_rejected_with_the_range(name, pixels, tmp_path):
    with pytest.raises(Unreadable, match=f"values from {pixels[0]:g} to {pixels[-1]:g}, whose range is unclear"):
        read_photo(saved(tmp_path / name, Image.fromarray(pixels.reshape(64, 64))))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_a_black_image_stays_black(kind, tmp_path):
    assert not read_photo(saved(tmp_path / "a.tif", Image.fromarray(np.zeros((64, 64), kind)))).any()


def test_what_is_see_through_lies_on_white(tmp_path):
    clear = np.zeros((64, 64, 4), np.uint8)
    assert (read_photo(saved(tmp_path / "a.png", Image.fromarray(clear))) == 255).all()


def test_a_phone_held_sideways_gives_an_upright_photo(tmp_path):
    (tmp_path / "a.jpg").write_bytes(lying(PICTURE))
    near(read_photo(tmp_path / "a.jpg"), PICTURE, 6)


def test_of_several_frames_the_first(tmp_path):
    first, second = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    path = saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])
    assert read_photo(path)[0, 0].tolist() == [255, 0, 0]


def bomb(width, height):
    """A PNG of a few bytes that says it is as large as this."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 1000))]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(12_000, 10_001), (60_000, 60_000)])
def test_a_bomb_is_refused_before_a_pixel_is_read(size, tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(*size))
    with pytest.raises(Unreadable, match=r"the limit is 120 million pixels; scale the image down"):
        read_photo(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not one of JPEG, PNG"),
        (b"no picture", "save it as JPEG or PNG"),
        (encoded(PICTURE)[:2000], "damaged: .*truncated"),
        (encoded(PICTURE, "JPEG")[:2000], "damaged: .*truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not one of"),
    ],
)
def test_what_is_no_whole_picture_is_told(data, words, tmp_path):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(Unreadable, match=words):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.filterwarnings("ignore")  # Pillow has its say about damaged files
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@given(data=st.data())
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_a_picture_or_unreadable_and_nothing_else(form, data, tmp_path):
    whole = io.BytesIO()
    Image.fromarray(shrunk(PICTURE, 64)).save(whole, form)
    content = bytearray(whole.getvalue())
    for place in data.draw(st.lists(st.integers(0, min(len(content) - 1, 400)), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content)
    with suppress(Unreadable):
        picture = read_photo(tmp_path / "damaged")
        assert picture.shape[2:] == (3,)
        assert picture.size <= 3 * photo.MAX_PIXELS
