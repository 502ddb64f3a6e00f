"""Static files of a page. They are read once, so that a page and its scripts always have the same version."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fer_lightning.paths import PACKAGE

SHARED = PACKAGE / "web" / "page"  # files that all pages use
COMPRESSED = ".gz"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".wasm": "application/wasm",
}
HEAD = (SHARED / "head.html").read_bytes()


def read_page(path: Path) -> bytes:
    """Return a page with the beginning that all pages share in place of `@head@`."""
    return path.read_bytes().replace(b"@head@", HEAD, 1)


class Files:
    """Files of a folder with a suffix in TYPES, by file name. An address can never select another path.

    A file that ends with .gz has the name without this end, and is sent with Content-Encoding: gzip.
    """

    def __init__(self, folder: Path) -> None:
        paths = {path.name.removesuffix(COMPRESSED): path for path in sorted(folder.glob("*"))}
        paths = {name: path for name, path in paths.items() if Path(name).suffix in TYPES}
        self._content = {name: _read(path) for name, path in paths.items()}
        self._compressed = {name for name, path in paths.items() if path.suffix == COMPRESSED}
        self.version = hashlib.sha256(b"".join(self._content.values())).hexdigest()[:12]

    def answer(self, name: str, status: int = 200) -> Response:
        """Return the file as a response. Raise HTTPException 404 if the file does not exist."""
        if name not in self._content:
            raise HTTPException(404)
        headers = {"Content-Encoding": "gzip"} if name in self._compressed else {}
        return Response(self._content[name], status, headers, TYPES[Path(name).suffix])

    def part(self, name: str) -> Response:
        """Return a file that a page loads, like `answer`, but no HTML: pages have their own addresses."""
        if name.endswith(".html"):
            raise HTTPException(404)
        return self.answer(name)


def _read(path: Path) -> bytes:
    return read_page(path) if path.suffix == ".html" else path.read_bytes()


def unchanged_or(request: Request, response: Response) -> Response:
    """Return a response that the browser keeps and asks for again by its checksum: 304 without content if it has it."""
    tag = f'"{hashlib.sha256(response.body).hexdigest()}"'
    is_unchanged = request.headers.get("if-none-match") == tag
    answer = Response(status_code=304) if is_unchanged else response
    answer.headers.update({"ETag": tag, "Cache-Control": "private, no-cache"})
    return answer
