"""Frames of unknown clients: which are decoded, and which are refused because of their headers."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_frames import busy_jpeg, claims, jpeg, many_scans, two_sizes
from PIL import Image

from fer_lightning.live.frames import BadFrame, decode_frame, frame_size

BASELINE, PROGRESSIVE = busy_jpeg(), busy_jpeg(progressive=True)
CAPS = {"most_bytes": 512 * 1024, "most_side": 1280}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 40}, {"mode": "L"}, {"subsampling": 0}])
def test_what_cameras_and_browsers_send(options):
    data = jpeg(90, size=(64, 48), **options)
    assert frame_size(data, **CAPS) == (64, 48)
    picture = decode_frame(data)
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
    assert abs(float(picture.mean()) - 90) < 2


def test_colours_are_rgb():
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (255, 0, 0)).save(file, "JPEG")
    seen = decode_frame(file.getvalue())
    assert seen[..., 0].mean() > 240 > 20 > seen[..., 2].mean()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a JPEG"),
        (b"\xff\xd8\xff\xd9", "it has no size"),
        (busy_jpeg()[:2000], "the JPEG is incomplete"),
        (jpeg(size=(1281, 100)), "1281 x 100 pixels; each side must be 16 to 1280"),
        (jpeg(size=(8, 100)), "each side must be 16"),
        (claims(65_000, 65_000), "65000 x 65000 pixels"),
        (claims(0, 0), "each side must be 16"),
        (many_scans(100), "scans; the maximum is 30"),
        (jpeg() + bytes(600_000), "bytes; the maximum is"),
        (jpeg(mode="CMYK"), "4 components"),
        (jpeg().replace(b"\xff\xc0", b"\xff\xc9"), "process is not supported"),
        (b"\xff\xd8" + bytes(50) + b"\xff\xd9", "a marker is missing"),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xd9", "its header is incomplete"),
        (two_sizes(13_000, 13_000), "it has two sizes"),
        (jpeg()[:2] + b"\xff\x00" + (19).to_bytes(2) + bytes(17) + jpeg()[2:], "a marker is missing"),
        (jpeg()[:2] + b"\xff\xe5\x00\x02" * 100_000 + jpeg()[2:], "more than 100 segments"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_by_its_header_alone(data, words):
    with pytest.raises(BadFrame, match=words):
        frame_size(data, **CAPS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 4000), st.integers(0, 255)), min_size=1, max_size=12), st.booleans())
def test_whatever_is_damaged_gives_a_picture_or_words(changes, progressive):
    data = bytearray(PROGRESSIVE if progressive else BASELINE)
    for place, value in changes:
        data[place % (len(data) - 2)] = value
    with suppress(BadFrame):
        size = frame_size(bytes(data), **CAPS)
        assert decode_frame(bytes(data)).shape == (size[1], size[0], 3)
