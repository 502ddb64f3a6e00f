"""The files that a page is made of, read once, so that a page and its scripts are always of one version."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}


class Files:
    """Those of a folder whose kinds are in TYPES, by name alone: no path comes from an address."""

    def __init__(self, folder: Path) -> None:
        self._content = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.suffix in TYPES}
        self.version = hashlib.sha256(b"".join(self._content.values())).hexdigest()[:12]

    def answer(self, name: str, status: int = 200) -> Response:
        """HTTPException 404 where there is no such file."""
        if name not in self._content:
            raise HTTPException(404)
        return Response(self._content[name], status, media_type=TYPES[Path(name).suffix])

    def part(self, name: str) -> Response:
        """As `answer`, for what a page asks for itself: pages have an address of their own."""
        if name.endswith(".html"):
            raise HTTPException(404)
        return self.answer(name)
