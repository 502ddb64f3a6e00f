"""Hosts of images on loopback: good images in many forms, and each attack of a hostile or broken host.

    with ImageHost() as host:
        host.url("/good/1.jpg")          a drawn image, another one for each number
        host.add("/mine.jpg", body)      an image of the test's own
        host.add("/mine.jpg", answer)    or a function that answers: answer(handler)
        host.requests                    what was asked for, in order

`GOOD` and `BAD_PICTURES` name the images, `ATTACKS` what a host can do with the connection.
"""

import gzip
import io
import re
import ssl
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

LOOPBACK = "127.0.0.1"
Answer = Callable[[BaseHTTPRequestHandler], None]
JPEG_QUALITY = 90


def drawn(number: int, width: int = 640, height: int = 480) -> Image.Image:
    """A smooth image in colours, another one for each number: their perceptual hashes lie far apart."""
    blobs = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **({"quality": JPEG_QUALITY} if form == "JPEG" else {}), **options)
    return file.getvalue()


def with_place(picture: Image.Image, orientation: int = 1) -> bytes:
    """A JPEG whose metadata tell where it was taken, by whom, and how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretCamera"
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2)}
    return encoded(picture, exif=exif.tobytes(), comment=b"SecretComment", icc_profile=b"SecretProfile" * 20)


def png_header(width: int, height: int, bits: int = 1, colour: int = 0, data: bytes = b"") -> bytes:
    """A PNG that claims any size; `data` is its packed rows."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def pixel_bomb(side: int = 9000) -> bytes:
    """81 million honest black pixels in ten kilobytes."""
    return png_header(side, side, data=zlib.compress(bytes((side // 8 + 1) * side), 9))


def _sixteen_bit() -> bytes:
    ramp = np.linspace(0, 65535, 320, dtype=np.uint16)
    return encoded(Image.fromarray(np.tile(ramp, (240, 1))), "PNG")


def _see_through() -> Image.Image:
    picture = drawn(31).convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    return picture


def _moving(form: str) -> bytes:
    frames = [Image.new("RGB", (320, 240), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


GOOD = {
    "/png.png": lambda: encoded(drawn(11), "PNG"),
    "/webp.webp": lambda: encoded(drawn(12), "WEBP"),
    "/named-wrongly.png": lambda: encoded(drawn(13)),
    "/progressive.jpg": lambda: encoded(drawn(14), progressive=True),
    "/large.jpg": lambda: encoded(drawn(15, 4000, 3000)),
    "/grey.jpg": lambda: encoded(drawn(16).convert("L")),
    "/palette.png": lambda: encoded(drawn(17).quantize(64), "PNG"),
    "/see-through.png": lambda: encoded(_see_through(), "PNG"),
    "/cmyk.jpg": lambda: encoded(drawn(18).convert("CMYK")),
    "/sixteen-bit.png": _sixteen_bit,
    "/turned.jpg": lambda: with_place(drawn(19), orientation=6),
    "/place.jpg": lambda: with_place(drawn(20)),
    "/two-in-one.jpg": lambda: encoded(drawn(21)) + b"<html><script>alert(1)</script>PK\x03\x04",
}
BAD_PICTURES = {
    "/html.jpg": lambda: b"<!doctype html><html><title>Not here</title></html>",
    "/svg.jpg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "/eps.jpg": lambda: encoded(drawn(22, 64, 64), "EPS"),
    "/bmp.jpg": lambda: encoded(drawn(23, 64, 64), "BMP"),
    "/tiff.jpg": lambda: encoded(drawn(24, 64, 64), "TIFF"),
    "/moving.gif": lambda: _moving("GIF"),
    "/moving.png": lambda: _moving("PNG"),
    "/moving.webp": lambda: _moving("WEBP"),
    "/cut.jpg": lambda: encoded(drawn(25))[:-2000],
    "/cut.png": lambda: encoded(drawn(26), "PNG")[:-2000],
    "/cut.webp": lambda: encoded(drawn(27), "WEBP")[:-500],
    "/noise.jpg": lambda: b"\xff\xd8\xff\xe0" + np.random.default_rng(1).bytes(5000),
    "/pixel-bomb.png": pixel_bomb,
    "/pixel-claim.png": lambda: png_header(60_000, 60_000),
    "/wide.png": lambda: png_header(20_000, 100, data=zlib.compress(bytes(2501 * 100))),
    "/icon.png": lambda: encoded(drawn(28, 40, 40), "PNG"),
}


@cache
def picture(path: str) -> bytes:
    """Return the body that the server sends for a path of GOOD or BAD_PICTURES."""
    return (GOOD | BAD_PICTURES)[path]()


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]  # by names in lower case


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *details: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # the client has had enough
            super().handle_error(*details)


class ImageHost:
    """A server with threads on 127.0.0.1, at a port of its own, until the end of the `with` block.

    tls  for https, with a certificate
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._answers: dict[str, Answer] = {}
        for path in (*GOOD, *BAD_PICTURES):
            self.add(path, lambda handler, path=path: send(handler, picture(path)))
        for path, answer in ATTACKS.items():
            self.add(path, answer)

    def __enter__(self) -> "ImageHost":
        self._server = _Server((LOOPBACK, 0), self._handler())
        if self._tls:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return self._server.server_port

    def url(self, path: str) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}{path}"

    def add(self, path: str, what: bytes | Answer, **headers: str) -> None:
        """Answer `path`, whatever its query, with this body, or as this function does.

        headers  of the body, beside those of an image; `X_Robots_Tag="noai"` is the header X-Robots-Tag
        """
        self._answers[path] = what if callable(what) else lambda handler: send(handler, what, **headers)

    def paths(self) -> list[str]:
        """Requested paths, without queries."""
        return [request.path.partition("?")[0] for request in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.requests.append(Request(handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        number = re.fullmatch(r"/good/(\d+)\.jpg", path)
        if path in self._answers:
            self._answers[path](handler)
        elif number:
            send(handler, encoded(drawn(1000 + int(number[1]))))
        else:
            send(handler, b"nothing here", status=404, Content_Type="text/plain")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            image_host = host

            def do_GET(self) -> None:
                self.close_connection = True
                host._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """A whole answer; a header given here takes the place of the usual one."""
    usual = {"Content-Type": "image/jpeg", "Content-Length": str(len(body))}
    handler.send_response(status)
    for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(target: str, status: int = 302) -> Answer:
    return lambda handler: send(handler, b"", status=status, Location=target)


def in_turn(*answers: Answer) -> Answer:
    """Another answer each time; the last one from then on."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def status(code: int, **headers: str) -> Answer:
    return lambda handler: send(handler, b"", status=code, **headers)


def _drip(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """A byte every 50 ms."""
    for place in range(len(data)):
        handler.wfile.write(data[place : place + 1])
        handler.wfile.flush()
        if handler.image_host.closing.wait(0.05):
            return


def _start(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    """The head of an answer, without its body."""
    handler.send_response(200)
    for name, value in ({"Content-Type": "image/jpeg"} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _drips_its_body(handler: BaseHTTPRequestHandler) -> None:
    body = encoded(drawn(51))
    _start(handler, Content_Length=str(len(body)))
    _drip(handler, body)


def _drips_its_head(handler: BaseHTTPRequestHandler) -> None:
    _drip(handler, b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nX-Long: " + b"x" * 5000)


def _never_answers(handler: BaseHTTPRequestHandler) -> None:
    handler.image_host.closing.wait(60)


def _endless(handler: BaseHTTPRequestHandler, code: int = 200, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(b"\xff\xd8\xff\xe0")
    while not handler.image_host.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def _endless_in_chunks(handler: BaseHTTPRequestHandler) -> None:
    _start(handler, Transfer_Encoding="chunked")
    while not handler.image_host.closing.is_set():
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


@cache
def gzip_bomb() -> bytes:
    """200 MB of zeros in less than one."""
    return gzip.compress(bytes(200_000_000), 1)


def _gzip_bomb(handler: BaseHTTPRequestHandler) -> None:
    send(handler, gzip_bomb(), Content_Encoding="gzip")


def _gzip_in_gzip(handler: BaseHTTPRequestHandler) -> None:
    send(handler, gzip.compress(gzip_bomb()), Content_Encoding="gzip, gzip")


def _claims_much(handler: BaseHTTPRequestHandler) -> None:
    _start(handler, Content_Length="10000000000")
    handler.wfile.write(b"\xff\xd8\xff\xe0")


def _sends_too_little(handler: BaseHTTPRequestHandler) -> None:
    body = encoded(drawn(52))
    _start(handler, Content_Length=str(2 * len(body)))
    handler.wfile.write(body)


def _sends_too_much(handler: BaseHTTPRequestHandler) -> None:
    body = encoded(drawn(53))
    _start(handler, Content_Length=str(len(body) // 2))
    handler.wfile.write(body)


def _breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")


def _speaks_no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP ready\r\n")


ATTACKS: dict[str, Answer] = {
    "/to-private.jpg": redirect("http://10.0.0.1/secret.jpg"),
    "/to-metadata.jpg": redirect("http://169.254.169.254/latest/meta-data/"),
    "/to-file.jpg": redirect("file:///etc/passwd"),
    "/to-port.jpg": redirect("http://93.184.215.14:6379/"),
    "/to-elsewhere.jpg": redirect("https://elsewhere.example/picture.jpg"),
    "/in-a-circle.jpg": redirect("/in-a-circle.jpg"),
    "/once-more.jpg": redirect("/good/70.jpg"),
    "/endless-redirect.jpg": lambda handler: _endless(handler, 302, Location="/good/71.jpg"),
    "/drips-its-body.jpg": _drips_its_body,
    "/drips-its-head.jpg": _drips_its_head,
    "/never-answers.jpg": _never_answers,
    "/endless.jpg": lambda handler: _endless(handler),
    "/endless-in-chunks.jpg": _endless_in_chunks,
    "/gzip-bomb.jpg": _gzip_bomb,
    "/gzip-in-gzip.jpg": _gzip_in_gzip,
    "/claims-much.jpg": _claims_much,
    "/sends-too-little.jpg": _sends_too_little,
    "/sends-too-much.jpg": _sends_too_much,
    "/sends-nothing.jpg": lambda handler: send(handler, b""),
    "/breaks-off.jpg": _breaks_off,
    "/speaks-no-http.jpg": _speaks_no_http,
    "/opted-out.jpg": lambda handler: send(handler, encoded(drawn(54)), X_Robots_Tag="noai, noimageai"),
    "/forbidden.jpg": status(403),
    "/broken.jpg": status(500),
}
