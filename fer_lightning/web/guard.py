"""Access control of the local pages: it checks the token, the host name and the origin of each request."""

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


def content_security_policy(
    *,
    images: str = "'self'",
    connections: str = "'self'",
    reader: bool = False,
    framed: str = "; frame-ancestors 'none'",
) -> str:
    """Return a policy that lets the browser load only files of this server, and run only scripts from its files.

    reader  True: the page may run the networks in WebAssembly, in a worker of this server
    framed  directive about pages that contain this one; a policy inside a page cannot have it
    """
    scripts, workers, types = (
        ("'self' 'wasm-unsafe-eval'", "'self'", "reader") if reader else ("'self'", "'none'", "'none'")
    )
    return (
        f"default-src 'none'; script-src {scripts}; worker-src {workers}; style-src 'self'; img-src {images}; "
        f"connect-src {connections}; base-uri 'none'; form-action 'none'{framed}; "
        f"require-trusted-types-for 'script'; trusted-types {types}"
    )


class Guard:
    """Middleware that accepts only allowed requests, HTTP and WebSocket, and adds security headers to every answer.

    - The Host header must be one of `hosts`. A foreign name that resolves to this machine is therefore refused.
    - Every path that is not public needs the token: in the cookie that the printed address sets, or, for programs, as
      `programs` describes.
    - Every request that changes something, and every WebSocket of a browser, must come from a page of this origin.

    hosts     allowed values of the Host header, with the port
    cookie    name of the cookie with the token
    public    returns True for a path that needs no token: the files of the pages
    page      name of this page in a refusal, such as "the review page"
    programs  True: a program may send the token as a Bearer token or in the address of a WebSocket
    headers   headers of every answer, in addition to HEADERS
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
            words = f"Host {host!r} is not allowed. Open this page at {' or '.join(sorted(self.hosts))}."
            return PlainTextResponse(words, 400)
        if self._foreign(scope, request.headers, host):
            return refusal(403, f"This request does not come from {self.page}.")
        if not self.public(path) and not self._allowed(request):
            return refusal(401, "The token is missing or wrong. Open the address that the terminal printed.")
        return None

    @staticmethod
    def _foreign(scope: Scope, headers: Headers, host: str) -> bool:
        """Return True for a request of a foreign page.

        Programs send no Origin. Browsers send it with every WebSocket and with every request that changes something.
        """
        if scope["type"] == "websocket":
            return "origin" in headers and not _same_origin(headers, host)
        return scope["method"] not in ("GET", "HEAD") and not _same_origin(headers, host)

    def _allowed(self, request: HTTPConnection) -> bool:
        tokens = [request.cookies.get(self.cookie)]
        if self.programs:
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            tokens.append(token if kind.lower() == "bearer" else None)
            tokens.append(request.query_params.get("token") if request.scope["type"] == "websocket" else None)
        return any(equal(token, self.token) for token in tokens)


def _same_origin(headers: Headers, host: str) -> bool:
    return headers.get("origin") == f"http://{host}" and headers.get("sec-fetch-site", "same-origin") == "same-origin"


def equal(given: str | None, token: str) -> bool:
    return secrets.compare_digest((given or "").encode(), token.encode())


def refusal(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status)
