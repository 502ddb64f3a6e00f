import io
import json
import os
import signal
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from collect_server import BAD_PICTURES, GOOD, drawn, encoded, picture, png_header, with_place
from PIL import Image

from fer_lightning.collect.images import decoding_process
from fer_lightning.collect.images.decode import Decoder, NotAnImage
from fer_lightning.collect.images.decoding_process import MAX_PIXELS, MEMORY, DecodeReason
from fer_lightning.errors import UserError

SOON = 10.0


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


def refusal(decoder, data) -> NotAnImage:
    with pytest.raises(NotAnImage) as caught:
        decoder.decode(data)
    return caught.value


def difference(pixels, expected) -> float:
    """The mean, of 255."""
    return float(np.abs(pixels.astype(int) - np.asarray(expected).astype(int)).mean())


def process_of(decoder) -> Path:
    return Path(f"/proc/{decoder._process.pid}")


# -- images


@pytest.mark.parametrize("path", GOOD)
def test_good_pictures_come_as_eight_bits_of_colour_or_grey(path, decoder):
    decoded = decoder.decode(picture(path))
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape[2:] == (() if path in ("/grey.jpg", "/sixteen-bit.png") else (3,))
    assert max(decoded.pixels.shape) <= 1280


@pytest.mark.parametrize(
    ("path", "number", "form"),
    [
        ("/png.png", 11, "PNG"),
        ("/webp.webp", 12, "WEBP"),
        ("/named-wrongly.png", 13, "JPEG"),
        ("/progressive.jpg", 14, "JPEG"),
        ("/cmyk.jpg", 18, "JPEG"),
        ("/two-in-one.jpg", 21, "JPEG"),
    ],
)
def test_the_picture_is_the_one_that_was_sent(path, number, form, decoder):
    decoded = decoder.decode(picture(path))
    assert (decoded.format, decoded.width, decoded.height) == (form, 640, 480)
    assert difference(decoded.pixels, drawn(number)) < 6


def test_a_large_picture_is_made_smaller_and_a_small_one_is_not_enlarged(decoder):
    large = decoder.decode(picture("/large.jpg"))
    assert (large.width, large.height, large.pixels.shape) == (4000, 3000, (960, 1280, 3))
    assert difference(large.pixels, drawn(15, 1280, 960)) < 3
    assert decoder.decode(encoded(drawn(1, 48, 90))).pixels.shape == (90, 48, 3)
    assert decoder.decode(encoded(drawn(1, 300, 1281))).pixels.shape == (1280, 300, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(orientation, decoder):
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Image.Transpose by EXIF's number
    upright = drawn(5, 200, 100)
    decoded = decoder.decode(with_place(upright, orientation))
    turned = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    assert difference(decoded.pixels, turned) < 3
    assert (decoded.width, decoded.height) == (200, 100)


def test_damaged_exif_loses_neither_the_picture_nor_its_turn(decoder):
    data = with_place(drawn(5), orientation=6)
    camera, as_fractions = b"\x01\x0f\x00\x02", b"\x01\x0f\x00\x05"
    assert camera in data
    assert decoder.decode(data.replace(camera, as_fractions)).pixels.shape == (640, 480, 3)
    assert decoder.decode(data.replace(b"MM\x00\x2a", b"MM\x00\xff")).pixels.shape == (480, 640, 3)


def test_sixteen_bits_keep_their_upper_eight(decoder):
    ramp = np.linspace(0, 255, 320)
    pixels = decoder.decode(picture("/sixteen-bit.png")).pixels
    assert np.abs(pixels - ramp).max() <= 1


def test_what_is_see_through_lies_on_white(decoder):
    assert (decoder.decode(picture("/see-through.png")).pixels == 255).all()
    half = Image.new("RGBA", (100, 100), (0, 0, 0, 128))
    assert np.abs(decoder.decode(encoded(half, "PNG")).pixels.astype(int) - 127).max() <= 1
    palette = drawn(3).quantize(16)
    index = palette.getpixel((0, 0))
    shown = decoder.decode(encoded(palette, "PNG", transparency=index)).pixels
    assert (shown[np.asarray(palette) == index] == 255).all()


def test_a_palette_is_looked_up(decoder):
    assert difference(decoder.decode(picture("/palette.png")).pixels, drawn(17).quantize(64).convert("RGB")) == 0


def test_a_picture_of_two_colours(decoder):
    black_and_white = Image.fromarray(np.tile([[0, 255]], (100, 50)).astype(np.uint8)).convert("1")
    assert set(np.unique(decoder.decode(encoded(black_and_white, "PNG")).pixels)) == {0, 255}


def test_the_first_of_several_pictures_in_a_jpeg_is_taken(decoder):
    several = encoded(drawn(61), "MPO", save_all=True, append_images=[drawn(62)])
    assert difference(decoder.decode(several).pixels, drawn(61)) < 6


# -- files that are not images


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/html.jpg", DecodeReason.NOT_AN_IMAGE),
        ("/svg.jpg", DecodeReason.NOT_AN_IMAGE),
        ("/eps.jpg", DecodeReason.NOT_AN_IMAGE),
        ("/bmp.jpg", DecodeReason.NOT_AN_IMAGE),
        ("/tiff.jpg", DecodeReason.NOT_AN_IMAGE),
        ("/moving.gif", DecodeReason.NOT_AN_IMAGE),
        ("/moving.png", DecodeReason.ANIMATED),
        ("/moving.webp", DecodeReason.ANIMATED),
        ("/cut.jpg", DecodeReason.TRUNCATED),
        ("/cut.png", DecodeReason.TRUNCATED),
        ("/cut.webp", DecodeReason.TRUNCATED),
        ("/noise.jpg", DecodeReason.UNREADABLE),
        ("/pixel-bomb.png", DecodeReason.TOO_MANY_PIXELS),
        ("/pixel-claim.png", DecodeReason.TOO_MANY_PIXELS),
        ("/wide.png", DecodeReason.TOO_MANY_PIXELS),
        ("/icon.png", DecodeReason.TOO_SMALL),
    ],
)
def test_each_attack_has_its_reason(path, reason, decoder):
    refused = refusal(decoder, picture(path))
    assert refused.reason is reason
    assert refused.final


def test_every_bad_picture_of_the_server_is_tried_above():
    tried = test_each_attack_has_its_reason.pytestmark[0].args[1]
    assert {path for path, _ in tried} == set(BAD_PICTURES)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP"])
def test_a_head_alone_is_no_picture(data, decoder):
    assert refusal(decoder, data).final


@pytest.mark.parametrize("more", [0, 1])
def test_the_cap_on_pixels_is_met_to_the_row(more, decoder):
    """An image of 40 million pixels is decoded, one row more is not: Pillow itself would only warn."""
    width, height = 8000, MAX_PIXELS // 8000 + more
    data = png_header(width, height, data=zlib.compress(bytes((width // 8 + 1) * height)))
    if more:
        assert refusal(decoder, data).reason is DecodeReason.TOO_MANY_PIXELS
    else:
        assert decoder.decode(data).pixels.shape == (800, 1280)


def test_what_would_be_too_thin_to_hold_a_face_is_too_small(decoder):
    assert refusal(decoder, encoded(Image.new("L", (4000, 145)), "PNG")).reason is DecodeReason.TOO_SMALL


def _webp_claim(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _jpeg_claim(width: int, height: int) -> bytes:
    return encoded(drawn(1)).replace(struct.pack(">HH", 480, 640), struct.pack(">HH", height, width), 1)


@pytest.mark.parametrize("data", [_webp_claim(16_000, 16_000), _jpeg_claim(65_000, 65_000)])
def test_a_header_that_claims_more_than_there_is_takes_no_memory(data, decoder):
    assert refusal(decoder, data).reason in (DecodeReason.TOO_MANY_PIXELS, DecodeReason.UNREADABLE)
    assert _peak(decoder) < 400 << 20


def _peak(decoder) -> int:
    """Bytes that its process has had at once."""
    status = (process_of(decoder) / "status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pictures_end_in_a_picture_or_a_reason(seed, decoder):
    random, reasons = np.random.default_rng(seed), set()
    for form in ("JPEG", "PNG", "WEBP"):
        data = bytearray(encoded(drawn(seed, 120, 90), form))
        for place in random.integers(12, len(data), 10):
            data[place] = random.integers(256)
        try:
            assert decoder.decode(bytes(data)).pixels.size
        except NotAnImage as refused:
            reasons.add(refused.reason)
    assert reasons.isdisjoint({DecodeReason.DECODER_DIED, DecodeReason.TOO_SLOW})
    assert decoder.decode(encoded(drawn(1))).pixels.shape == (480, 640, 3)


# -- the process


def test_one_process_serves_all_pictures_and_no_picture_leaves_a_trace(decoder):
    before = decoder.decode(encoded(drawn(1))).pixels
    process = decoder._process
    for path in ("/pixel-bomb.png", "/cut.jpg", "/html.jpg"):
        refusal(decoder, picture(path))
    assert (decoder.decode(encoded(drawn(1))).pixels == before).all()
    assert decoder._process is process


def test_it_may_use_little(decoder):
    limits = {
        line[:25].strip(): line[26:].split()[0] for line in (process_of(decoder) / "limits").read_text().splitlines()
    }
    assert limits["Max address space"] == str(MEMORY)
    assert limits["Max file size"] == "0"
    assert limits["Max processes"] == "0"
    assert limits["Max core file size"] == "0"
    assert int(limits["Max open files"]) <= 16
    loaded = (process_of(decoder) / "maps").read_text()
    assert "PIL" in loaded
    assert "numpy" not in loaded


def test_it_knows_no_secret_and_no_ctrl_c(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "AIzaSecret")
    with Decoder() as decoder:
        assert b"AIzaSecret" not in (process_of(decoder) / "environ").read_bytes()
        assert os.getpgid(decoder._process.pid) != os.getpgid(0)


@pytest.mark.slow
def test_it_has_a_picture_take_no_more_memory_than_it_may():
    resource = pytest.importorskip("resource")
    with Decoder() as decoder:
        decoder.decode(encoded(drawn(1)))
        resource.prlimit(decoder._process.pid, resource.RLIMIT_AS, (150 << 20, 150 << 20))
        large = encoded(Image.new("RGB", (8000, 5000)), "PNG")
        assert refusal(decoder, large).reason is DecodeReason.TOO_MUCH_MEMORY
        assert decoder.decode(encoded(drawn(1))).pixels.shape == (480, 640, 3)


def test_a_picture_that_takes_too_long_is_given_up():
    with Decoder(seconds=0.5) as decoder:
        first = decoder._process
        os.kill(first.pid, signal.SIGSTOP)
        began = time.monotonic()
        refused = refusal(decoder, encoded(drawn(1)))
        assert refused.reason is DecodeReason.TOO_SLOW
        assert not refused.final
        assert time.monotonic() - began < SOON
        assert first.returncode == -signal.SIGKILL
        decoder._seconds = 20
        assert decoder.decode(encoded(drawn(1))).pixels.shape == (480, 640, 3)


def test_a_process_that_has_worked_too_long_is_ended_by_the_system(monkeypatch, tmp_path):
    script = tmp_path / "busy.py"
    text = Path(decoding_process.__file__).read_text()
    text = text.replace("SECONDS = 10", "SECONDS = 1").replace(
        "    form = form_of(data)\n", "    while True: pass\n", 1
    )
    assert text.count("while True: pass") == 1
    script.write_text(text)
    monkeypatch.setattr(decoding_process, "__file__", str(script))
    with Decoder() as decoder:
        assert refusal(decoder, encoded(drawn(1))).reason is DecodeReason.TOO_SLOW


def test_a_process_that_dies_takes_one_picture_with_it():
    with Decoder() as decoder:
        os.kill(decoder._process.pid, signal.SIGKILL)
        refused = refusal(decoder, encoded(drawn(1)))
        assert refused.reason is DecodeReason.DECODER_DIED
        assert not refused.final
        assert decoder.decode(encoded(drawn(1))).pixels.shape == (480, 640, 3)


HEAD = {"format": "JPEG", "width": 2, "height": 2, "shape": [2, 2]}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x03{}}",
        b"\x00\x00\x00\x02[]",
        HEAD | {"shape": [100, 100]},
        HEAD | {"shape": [1 << 20, 1 << 20]},
        HEAD | {"shape": [-1, -1]},
        HEAD | {"shape": [2.0, 2]},
        HEAD | {"shape": [2, 2, 4]},
        HEAD | {"shape": []},
        HEAD | {"shape": "22"},
        HEAD | {"format": "EXE"},
        HEAD | {"width": 10**9},
        HEAD | {"width": "2"},
        {"reason": "no such reason", "detail": ""},
        {"reason": "too small"},
    ],
)
def test_a_process_that_was_taken_over_is_not_believed(answer, monkeypatch, tmp_path):
    if isinstance(answer, dict):
        packed = json.dumps(answer).encode()
        answer = len(packed).to_bytes(4, "big") + packed + bytes(64)
    script = tmp_path / "hostile.py"
    script.write_text(f"import sys\nsys.stdout.buffer.write(b'ready' + {answer!r})\n")
    monkeypatch.setattr(decoding_process, "__file__", str(script))
    with Decoder() as decoder:
        assert refusal(decoder, encoded(drawn(1))).reason is DecodeReason.DECODER_DIED


def test_a_process_that_does_not_start_is_no_fault_of_the_pictures(monkeypatch, tmp_path, capfd):
    script = tmp_path / "broken.py"
    script.write_text("import no_such_library")
    monkeypatch.setattr(decoding_process, "__file__", str(script))
    with pytest.raises(UserError, match="does not start"), Decoder():
        pass
    assert "no_such_library" in capfd.readouterr().err


def test_threads_share_it(decoder):
    pictures = [drawn(number, 200, 150) for number in range(8)]
    results = [None] * len(pictures)

    def decode(number):
        results[number] = decoder.decode(encoded(pictures[number], "PNG")).pixels

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((pixels == np.asarray(sent)).all() for pixels, sent in zip(results, pictures, strict=True))


def test_closing_it_gives_up_what_is_under_way():
    decoder = Decoder(seconds=60)
    with decoder:
        os.kill(decoder._process.pid, signal.SIGSTOP)
        refused = []
        thread = threading.Thread(target=lambda: refused.append(refusal(decoder, encoded(drawn(1)))))
        thread.start()
        time.sleep(0.2)
    thread.join(SOON)
    assert not thread.is_alive()
    assert refused[0].reason is DecodeReason.DECODER_DIED
    assert refusal(decoder, encoded(drawn(1))).reason is DecodeReason.DECODER_DIED


def test_it_ends_with_its_parent():
    """Its standard input closes when the parent is gone, however that came."""
    with Decoder() as decoder:
        process = decoder._process
        process.stdin.close()
        assert process.wait(SOON) == 0


def test_the_pixels_of_a_form_that_pillow_may_not_open_are_never_read(decoder):
    """EPS would start Ghostscript, TIFF and JPEG 2000 have decoders of their own: a known head does not let them in."""
    file = io.BytesIO()
    drawn(1, 64, 64).save(file, "EPS")
    refused = refusal(decoder, b"\xff\xd8\xff" + file.getvalue())
    assert refused.reason is DecodeReason.UNREADABLE
