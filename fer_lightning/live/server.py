"""The live server: two pages, one protocol, many players; on this machine alone unless another host is named.

Frames are looked at in memory and forgotten; nothing about a player is written to disk or logged.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from fer_lightning.difficulty.policy import Policy
from fer_lightning.errors import UserError
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.quality import Rules
from fer_lightning.live import protocol
from fer_lightning.live.connection import Connection
from fer_lightning.live.engine import Engine
from fer_lightning.live.hub import Hub
from fer_lightning.live.limits import Caps
from fer_lightning.live.source import Source, check_source
from fer_lightning.live.websocket import Http, WebSocket, quiet
from fer_lightning.paths import PACKAGE
from fer_lightning.web.files import Files
from fer_lightning.web.guard import Guard, content_security_policy, equal, refusal
from fer_lightning.web.serving import LOOPBACK, kept_secret, listen

PAGES = {"live": PACKAGE / "live" / "page", "game": PACKAGE / "game" / "page", "shared": PACKAGE / "web" / "page"}
ENDING_SECONDS = 3
ROOM = 64  # connections for pages and handshakes, besides two for each player
MODEL_SECONDS = 5.0  # between two looks at whether the model's file was replaced
SOURCE_FPS = 5.0

Detection = Mapping[str, Any]


def serve(
    *,
    model: Path | None,
    policy: Policy,
    policy_name: str,
    page: Literal["live", "game"] = "live",
    source: str | None = None,
    host: str = LOOPBACK,
    port: int = 8767,
    folder: Path,
    threads: int | None = None,
    detection: Detection | None = None,
    state: Mapping[str, Any] | None = None,
    difficulty: Mapping[str, Any] | None = None,
    caps: Caps | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, which end it in order and then do what they did before.

    model       exported file; None: nobody is looked at
    page        what the printed address opens
    source      camera or video of the server: see Source; None: the clients' own cameras
    folder      holds the secret of the address
    threads     that look at frames; None: one for each core
    detection   {"kind", "model"} of open_detector, the fields of Rules, {"long_side", "most"} of Engine
    state       keywords of StateEstimator; `difficulty`: of Controller

    UserError where an option is wrong, a file is missing, or the port is taken.
    """
    _check(model=model, source=source, port=port, threads=threads)
    caps = caps or Caps()
    with ExitStack() as stack:
        listening = stack.enter_context(closing(listen(host, port, key="port", free="port=0 or PORT=0")))
        token = _secret(folder)
        engine = stack.enter_context(_engine(model, threads, detection or {}, caps)) if model else None
        camera = ("server" if source else "client") if engine else "none"
        hub = Hub(engine, caps, camera, policy, policy_name, difficulty or {}, state or {})
        _try_a_session(hub)
        port = listening.getsockname()[1]
        app = application(hub, token=token, host=host, port=port, page=page, source=source)
        print(introduction(hub, host, f"http://{host}:{port}/?token={token}", page), flush=True)
        quiet()
        uvicorn.Server(_config(app, caps)).run(sockets=[listening])


def _config(app: Starlette, caps: Caps) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        http=partial(Http, seconds=3 * caps.hello_seconds),
        limit_concurrency=2 * caps.connections + ROOM,
        loop="asyncio",
        ws=WebSocket,
        ws_max_size=2 * max(caps.frame_bytes, caps.message_bytes),  # up to here it is refused in words
        ws_per_message_deflate=False,  # few bytes would become many
        ws_ping_interval=caps.send_seconds,
        ws_ping_timeout=caps.send_seconds,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )


def _check(*, model: Path | None, source: str | None, port: int, threads: int | None) -> None:
    if not 0 <= port <= 65535:
        raise UserError(f"port={port}: a port from 1 to 65535, or 0 for a free one; the default is 8767")
    if threads is not None and threads < 1:
        raise UserError(f"threads={threads}: choose 1 or more, or null for one for each core")
    if source is not None:
        check_source(source)
    if source is not None and model is None:
        raise UserError(
            f"source={source}: there is no model to look with. Name one: model=face.onnx, "
            f"made by python -m fer_lightning.export run=PATH"
        )


def _try_a_session(hub: Hub) -> None:
    """What no session can be made of is refused before the first player comes."""
    try:
        hub.session(protocol.Hello(protocol=protocol.VERSION, client="trial"), now=0.0)
    except ValueError as error:
        raise UserError(f"state or difficulty: {error}") from None


def _secret(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return kept_secret(folder / "token")


def _engine(model: Path, threads: int | None, detection: Detection, caps: Caps) -> Engine:
    threads = threads or _cores()
    cv2.setNumThreads(1)  # the threads of the engine share the cores
    options = dict(detection)
    limits = {"long_side": options.pop("long_side", 320), "most_faces": options.pop("most", 8)}
    for name, value, least in (("long_side", limits["long_side"], 64), ("most", limits["most_faces"], 1)):
        if value < least:
            raise UserError(f"faces.{name}={value}: {least} or more")
    recogniser = FaceModel(model, threads=1)
    kind, file = options.pop("kind", "auto"), options.pop("model", None)
    detectors = [open_detector(file, kind=kind) for _ in range(threads)]
    return Engine(
        recogniser,
        detectors,
        Rules(**options),
        frame_bytes=caps.frame_bytes,
        frame_side=caps.frame_side,
        **limits,
    )


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def introduction(hub: Hub, host: str, address: str, page: str) -> str:
    """What the terminal says before the first player comes."""
    model = hub.metadata
    eyes = (
        f"Faces are judged by {model.name} ({len(model.classes)} classes), on the {_WHOSE[hub.camera]} camera, once a "
        f"player agrees.{_DRAWN if model.data.get('name') == 'synthetic' else ''}"
        if model
        else "There is no model: nobody is looked at, and the game goes by texts and solved tasks. "
        "With a camera: make game MODEL=face.onnx, or model=face.onnx behind this command."
    )
    warning = "" if _is_loopback(host) else f"\n\n{_EXPOSED.format(host=host)}"
    return f"{eyes}\nOpen in a browser ({page}):\n\n  {address}\n\nCtrl-C ends it.{warning}"


_WHOSE = {"client": "browser's", "server": "server's own"}
_DRAWN = " It learnt from faces that a program drew, and knows nothing of real ones."
_EXPOSED = (
    "host={host}: other machines can reach this server, and what goes over the line, the address's secret and pictures "
    "of players with it, can be read on the way. Browsers give no camera to such an address either. Better: leave "
    "host=127.0.0.1, and on the other machine ssh -L 8767:127.0.0.1:8767 THIS_MACHINE."
)


def application(
    hub: Hub,
    *,
    token: str,
    host: str = LOOPBACK,
    port: int,
    page: Literal["live", "game"] = "live",
    source: str | None = None,
) -> Starlette:
    """The pages, the protocol at /ws, and /health."""
    site = _Site(hub, token, port, page)
    routes = [
        Route("/", site.index),
        *(Route(f"/{name}", partial(site.page, name)) for name in ("live", "game")),
        *(Route(f"/{name}/{{file}}", partial(site.file, name)) for name in PAGES),
        Route("/health", site.health),
        WebSocketRoute("/ws", site.talk),
    ]
    names = {host.lower(), *((LOOPBACK, "localhost") if _is_loopback(host) else ())}
    hosts = frozenset(f"{name}:{port}" for name in names)
    sockets = " ".join(f"ws://{name}" for name in sorted(hosts))  # older browsers do not take them for 'self'
    policy = content_security_policy(images="'self' blob:", connections=f"'self' {sockets}")
    guard = Middleware(
        Guard,
        hosts=hosts,
        cookie=site.cookie,
        token=token,
        public=_public,
        page="a page of this server",
        programs=True,
        headers={"Content-Security-Policy": policy, "Permissions-Policy": "camera=(self), microphone=()"},
    )
    return Starlette(routes=routes, middleware=[guard], lifespan=partial(_tasks, hub=hub, source=source))


def _is_loopback(host: str) -> bool:
    return host.lower() == "localhost" or host.startswith("127.")


def _public(path: str) -> bool:
    """The pages themselves show nothing of anybody; who lacks the token is told where it is."""
    return path in ("/", "/live", "/game") or path.startswith(tuple(f"/{name}/" for name in PAGES))


class _Site:
    """What each address answers."""

    def __init__(self, hub: Hub, token: str, port: int, page: str) -> None:
        self.hub, self.token, self.first = hub, token, page
        self.cookie = f"fer_live_{port}"
        self.files = {name: Files(folder) for name, folder in PAGES.items()}

    async def index(self, request: Request) -> Response:
        return self._unlocked(request, f"/{self.first}") or RedirectResponse(f"/{self.first}", 303)

    async def page(self, name: str, request: Request) -> Response:
        """The page; the printed address is turned into a cookie, so that the token leaves the address bar."""
        if answer := self._unlocked(request, f"/{name}"):
            return answer
        if equal(request.cookies.get(self.cookie), self.token):
            return self.files[name].answer("index.html")
        return self.files["shared"].answer("locked.html", 401)

    def _unlocked(self, request: Request, address: str) -> Response | None:
        if not equal(request.query_params.get("token"), self.token):
            return None
        answer = RedirectResponse(address, 303)
        answer.set_cookie(self.cookie, self.token, path="/", httponly=True, samesite="strict")
        return answer

    async def file(self, name: str, request: Request) -> Response:
        return self.files[name].part(request.path_params["file"])

    async def health(self, _: Request) -> Response:
        return JSONResponse(self.hub.figures())

    async def talk(self, websocket: StarletteWebSocket) -> None:
        if self.hub.full(asyncio.get_running_loop().time()):
            answer = refusal(503, f"There is no room for another player: {self.hub.caps.connections} at once.")
            answer.headers["Retry-After"] = "5"
            await websocket.send_denial_response(answer)
            return
        await websocket.accept()
        await Connection(websocket, self.hub).run()


@asynccontextmanager
async def _tasks(_: Starlette, *, hub: Hub, source: str | None) -> AsyncIterator[None]:
    """What goes on beside the connections."""
    watching = asyncio.create_task(watch_model(hub))
    with _source(source, hub, asyncio.get_running_loop()) if source else nullcontext():
        yield
    watching.cancel()


async def watch_model(hub: Hub) -> None:
    """Tell everybody, once, that the model's file is another one by now."""
    while hub.engine:
        await asyncio.sleep(MODEL_SECONDS)
        if "model_replaced" not in hub.standing and await asyncio.to_thread(hub.engine.model.replaced):
            words = "The model's file was replaced. This server goes on with the old one; restart it for the new one."
            hub.notify(protocol.Notice(level="info", code="model_replaced", message=words), stands=True)


def _source(name: str, hub: Hub, loop: asyncio.AbstractEventLoop) -> Source:
    def show(jpeg: bytes) -> None:
        for connection in tuple(hub.watching):
            connection.show(jpeg)

    def lost() -> None:
        words = f"The server's camera or video {name!r} gives no pictures; it is tried again every 2 s."
        print(words, file=sys.stderr, flush=True)
        hub.notify(protocol.Notice(level="warning", code="camera_lost", message=words), stands=True)

    def back() -> None:
        print(f"The server's camera or video {name!r} is back.", file=sys.stderr, flush=True)
        hub.standing.pop("camera_lost", None)
        hub.notify(protocol.Notice(level="info", code="camera_back", message="The server's camera is back."))

    def later(call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # a camera that hung may come to itself after the end
            loop.call_soon_threadsafe(call, *arguments)

    return Source(
        name,
        wanted=lambda: bool(hub.watching),
        show=partial(later, show),
        lost=partial(later, lost),
        back=partial(later, back),
        fps=SOURCE_FPS,
    )
