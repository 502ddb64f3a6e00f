"""Who is let in: the browser that has the printed address, at a name that is ours, from a page of our own."""

import secrets
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def content_security_policy(*, images: str = "'self'", connections: str = "'self'") -> str:
    """Which forbids the browser to load anything from elsewhere, and every script that is no file of ours."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src {connections}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


class Guard:
    """Answers only this machine's own page, with headers that keep the browser to it; HTTP and WebSocket alike.

    Host must be ours, so that no name that a stranger points at this machine reaches it. All that is not public takes
    the token: in the cookie that the printed address sets or, for programs, where `allowed_by` finds it. What changes
    anything, and every WebSocket that a browser opens, must come from a page of this origin.

    hosts     what the Host header may be, with the port
    public    whether a path is open without the token: the pages' own files
    page      what a refusal calls this: "the review page"
    programs  whether a program may show the token as a Bearer, or in the address of a WebSocket
    headers   of every answer, beside HEADERS
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        cookie: str,
        token: str,
        public: Callable[[str], bool],
        page: str,
        programs: bool = False,
        headers: Mapping[str, str],
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.cookie = cookie
        self.token = token
        self.public = public
        self.page = page
        self.programs = programs
        self.headers = {**HEADERS, **headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        await (answer or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        request = HTTPConnection(scope)
        host, path = request.headers.get("host", ""), request.url.path
        if host not in self.hosts:
            return PlainTextResponse(f"Host {host!r}: this page answers at {', '.join(sorted(self.hosts))} alone.", 400)
        if self._foreign(scope, request.headers, host):
            return refusal(403, f"This does not come from {self.page}.")
        if not self.public(path) and not self._allowed(request):
            return refusal(401, "Open the address that the terminal printed.")
        return None

    @staticmethod
    def _foreign(scope: Scope, headers: Headers, host: str) -> bool:
        """Programs send no Origin; a browser sends it with every WebSocket and with all that changes anything."""
        if scope["type"] == "websocket":
            return "origin" in headers and not _same_origin(headers, host)
        return scope["method"] not in ("GET", "HEAD") and not _same_origin(headers, host)

    def _allowed(self, request: HTTPConnection) -> bool:
        shown = [request.cookies.get(self.cookie)]
        if self.programs:
            kind, _, word = request.headers.get("authorization", "").partition(" ")
            shown.append(word if kind.lower() == "bearer" else None)
            shown.append(request.query_params.get("token") if request.scope["type"] == "websocket" else None)
        return any(equal(word, self.token) for word in shown)


def _same_origin(headers: Headers, host: str) -> bool:
    return headers.get("origin") == f"http://{host}" and headers.get("sec-fetch-site", "same-origin") == "same-origin"


def equal(given: str | None, token: str) -> bool:
    return secrets.compare_digest((given or "").encode(), token.encode())


def refusal(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status)
