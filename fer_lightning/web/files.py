"""Static files of a page. They are read once, so that a page and its scripts always have the same version."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}


class Files:
    """Files of a folder with a suffix in TYPES, by file name. An address can never select another path."""

    def __init__(self, folder: Path) -> None:
        self._content = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.suffix in TYPES}
        self.version = hashlib.sha256(b"".join(self._content.values())).hexdigest()[:12]

    def answer(self, name: str, status: int = 200) -> Response:
        """Return the file as a response. Raise HTTPException 404 if the file does not exist."""
        if name not in self._content:
            raise HTTPException(404)
        return Response(self._content[name], status, media_type=TYPES[Path(name).suffix])

    def part(self, name: str) -> Response:
        """Return a file that a page loads, like `answer`, but no HTML: pages have their own addresses."""
        if name.endswith(".html"):
            raise HTTPException(404)
        return self.answer(name)
