"""Live server: two pages, one protocol, many players. It is reachable only from this machine unless `host` is set.

Frames are processed in memory and then deleted. Nothing about a player is written to disk or to a log.
"""

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from fer_lightning.compat.uvicorn import GreetingServer, Http, WebSocket, quiet
from fer_lightning.config.settings import part
from fer_lightning.errors import UserError
from fer_lightning.faces.browser_files import browser_files
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.settings import FaceRules
from fer_lightning.files import require_folder_path
from fer_lightning.live import protocol
from fer_lightning.live.connection import Connection
from fer_lightning.live.engine import Engine
from fer_lightning.live.hub import Hub
from fer_lightning.live.limits import Bucket
from fer_lightning.live.settings import FrameSettings, LiveSettings
from fer_lightning.live.source import CameraSource, check_source, missing_camera, next_step
from fer_lightning.machine import cpu_cores
from fer_lightning.paths import PACKAGE
from fer_lightning.web.files import SHARED, Files, unchanged_or
from fer_lightning.web.guard import Guard, content_security_policy, equal, refusal
from fer_lightning.web.serving import LOOPBACK, kept_secret, listen

PAGES = {
    "live": PACKAGE / "live" / "page",
    "game": PACKAGE / "game" / "page",
    "shared": SHARED,
    "faces": PACKAGE / "faces" / "page",
    "runtime": PACKAGE / "web" / "runtime",
}
ENDING_SECONDS = 3  # seconds for open connections to close at the end
ROOM = 64  # connections for pages and handshakes, in addition to two per player
CONTROL = (5.0, 100.0)  # pings and pongs of a client: per second, and at once; browsers send none by themselves
MODEL_SECONDS = 5.0  # seconds between two checks for a replaced model file
SOURCE_FPS = 5.0
GAME_LEVELS = 10  # of game/page/tasks.js


def serve(settings: LiveSettings, policy_name: str) -> None:
    """Serve until Ctrl-C or SIGTERM. The server then closes its connections and handles the signal as usual.

    policy_name  name of the difficulty policy, for the welcome

    Raise UserError if settings do not fit together, a file is missing, or the port is in use.
    """
    _check(settings)
    host, page, source, caps = settings.host, settings.page, settings.source, settings.caps
    with ExitStack() as stack:
        listening = stack.enter_context(closing(listen(host, settings.port, key="port", free="port=0 or PORT=0")))
        require_folder_path(Path(settings.folder), "folder")
        token = _secret(Path(settings.folder))
        engine = stack.enter_context(_engine(settings)) if settings.model else None
        camera = ("server" if source else "client") if engine else "none"
        in_browser = engine and camera == "client" and settings.inference == "browser"
        networks = browser_files(engine.model, engine.detectors[0]) if in_browser else {}
        hub = Hub(
            engine,
            caps,
            camera,
            settings.policy,
            policy_name,
            settings.difficulty,
            settings.state,
            min_confidence=settings.min_confidence,
            networks=networks,
        )
        _check_session(hub)
        port = listening.getsockname()[1]
        app = application(hub, token=token, host=host, port=port, page=page, source=source)
        greeting = introduction(hub, host, f"http://{host}:{port}/?token={token}", page)
        quiet()
        GreetingServer(_config(app, hub), greeting).run(sockets=[listening])


def _config(app: Starlette, hub: Hub) -> uvicorn.Config:
    caps = hub.caps
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
        ws=partial(WebSocket, new_limit=lambda: Bucket(*CONTROL).take),
        ws_max_size=2 * max(caps.frame_bytes, hub.message_bytes),  # below this a notice gives the reason
        ws_per_message_deflate=False,  # a small compressed message could become very large
        ws_ping_interval=caps.send_seconds,
        ws_ping_timeout=caps.send_seconds,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )


def _check(settings: LiveSettings) -> None:
    levels = settings.difficulty.levels
    if settings.page == "game" and levels > GAME_LEVELS:
        raise UserError(
            f"difficulty.levels={levels}: must be at most {GAME_LEVELS}, the levels of this game. A game of your own "
            "may have more: python -m fer_lightning.live"
        )
    if settings.source is not None:
        check_source(settings.source)
    if settings.source is not None and not settings.model:
        raise UserError(
            f"source={settings.source}: a source needs a model, and model is not set. Set model=face.onnx. "
            "python -m fer_lightning.export run=PATH writes this file."
        )
    if settings.source is not None and (warning := missing_camera(settings.source)):
        warnings.warn(warning, stacklevel=2)


def _check_session(hub: Hub) -> None:
    """Raise UserError for settings of a session that are invalid, before the first player connects."""
    try:
        hub.session(protocol.Hello(protocol=protocol.VERSION, client="trial"), now=0.0)
    except ValueError as error:
        raise UserError(f"state or difficulty: {error}.") from None


def _secret(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return kept_secret(folder / "token")


def _engine(settings: LiveSettings) -> Engine:
    cv2.setNumThreads(1)  # the threads of the engine share the cores
    recogniser, faces = FaceModel(Path(settings.model), threads=1), settings.faces
    detectors = [open_detector(faces.model, kind=faces.kind) for _ in range(settings.threads or cpu_cores())]
    return Engine(recogniser, detectors, part(FaceRules, faces), frames=part(FrameSettings, faces), caps=settings.caps)


def introduction(hub: Hub, host: str, address: str, page: str) -> str:
    """Return the text that the terminal shows at the start."""
    model = hub.metadata
    camera = (
        f"After a player agrees, {model.name} ({len(model.classes)} classes) classifies faces of the "
        f"{_WHOSE[hub.camera]} camera{_location(hub)}. {model.caution}".rstrip()
        if model
        else "No model is set: the camera is not used, and the game adapts to texts and solved tasks. "
        "To use a camera, drop model=null, or name an exported file: model=face.onnx (with make: MODEL=face.onnx)."
    )
    warning = "" if _is_loopback(host) else f"\n\n{_EXPOSED.format(host=host)}"
    return f"{camera}\nOpen this address in a browser ({page}):\n\n  {address}\n\nPress Ctrl-C to stop.{warning}"


def _location(hub: Hub) -> str:
    """Return where the faces of the browser's camera are found; an empty text for another camera."""
    if hub.camera != "client":
        return ""
    return " in the browser, which sends no image" if hub.networks else " on this machine"


_WHOSE = {"client": "browser's", "server": "server's own"}
_EXPOSED = (
    "Warning: host={host}: other machines can reach this server. The connection is not encrypted, so that others can "
    "read the token of the address and the images of players. Browsers also give no camera to such an address. It is "
    "safer to keep host=127.0.0.1 and to run ssh -L 8767:127.0.0.1:8767 THIS_MACHINE on the other machine."
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
    """Return the application: the pages, the protocol at /ws, and /health."""
    site = _Site(hub, token, port, page)
    routes = [
        Route("/", site.index),
        *(Route(f"/{name}", partial(site.page, name)) for name in ("live", "game")),
        *(Route(f"/{name}/{{file}}", partial(site.file, name)) for name in PAGES),
        *(Route(f"/files/{name}", partial(site.network, name)) for name in hub.networks),
        Route("/health", site.health),
        WebSocketRoute("/ws", site.talk),
    ]
    names = {host.lower(), *((LOOPBACK, "localhost") if _is_loopback(host) else ())}
    hosts = frozenset(f"{name}:{port}" for name in names)
    sockets = " ".join(f"ws://{name}" for name in sorted(hosts))  # older browsers do not count WebSockets as 'self'
    policy = content_security_policy(images="'self' blob:", connections=f"'self' {sockets}", reader=True)
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
    """Return True for the files of the pages: they contain no data, and explain where to find the token."""
    return path in ("/", "/live", "/game") or path.startswith(tuple(f"/{name}/" for name in PAGES))


class _Site:
    """Handlers of all addresses."""

    def __init__(self, hub: Hub, token: str, port: int, page: str) -> None:
        self.hub, self.token, self.first = hub, token, page
        self.cookie = f"fer_live_{port}"
        self.files = {name: Files(folder) for name, folder in PAGES.items()}

    async def index(self, request: Request) -> Response:
        return self._unlocked(request, f"/{self.first}") or RedirectResponse(f"/{self.first}", 303)

    async def page(self, name: str, request: Request) -> Response:
        """Return the page. A token in the address becomes a cookie, so that it does not stay in the address bar."""
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
        answer = self.files[name].part(request.path_params["file"])
        return unchanged_or(request, answer) if name == "runtime" else answer

    async def network(self, name: str, request: Request) -> Response:
        """Return a network for the browser. Unlike the files of the pages, it needs the token."""
        return unchanged_or(request, Response(self.hub.networks[name], media_type="application/octet-stream"))

    async def health(self, _: Request) -> Response:
        return JSONResponse(self.hub.health())

    async def talk(self, websocket: StarletteWebSocket) -> None:
        if self.hub.full(asyncio.get_running_loop().time()):
            words = f"The server is full: the maximum is {self.hub.caps.connections} players. Try again later."
            answer = refusal(503, words)
            answer.headers["Retry-After"] = "5"
            await websocket.send_denial_response(answer)
            return
        await websocket.accept()
        await Connection(websocket, self.hub).run()


@asynccontextmanager
async def _tasks(_: Starlette, *, hub: Hub, source: str | None) -> AsyncIterator[None]:
    """Run the background tasks: watch the model file, and read the server's own camera."""
    watching = asyncio.create_task(watch_model(hub))
    with _source(source, hub, asyncio.get_running_loop()) if source else nullcontext():
        yield
    watching.cancel()


async def watch_model(hub: Hub) -> None:
    """Notify all connections once when the model file has been replaced."""
    while hub.engine:
        await asyncio.sleep(MODEL_SECONDS)
        if "model_replaced" not in hub.standing and await asyncio.to_thread(hub.engine.model.replaced):
            words = "The model file was replaced. The server still uses the old model. Restart it to use the new one."
            hub.notify(protocol.Notice(level="info", code="model_replaced", message=words), lasting=True)


def _source(name: str, hub: Hub, loop: asyncio.AbstractEventLoop) -> CameraSource:
    def show(jpeg: bytes) -> None:
        for connection in tuple(hub.watching):
            connection.show(jpeg)

    def lost() -> None:
        words = f"The server's camera or video {name!r} gives no images. The server tries again every 2 s."
        words = f"{words} {next_step(name)}"
        print(words, file=sys.stderr, flush=True)
        hub.notify(protocol.Notice(level="warning", code="camera_lost", message=words), lasting=True)

    def back() -> None:
        print(f"The server's camera or video {name!r} is back.", file=sys.stderr, flush=True)
        hub.standing.pop("camera_lost", None)
        hub.notify(protocol.Notice(level="info", code="camera_back", message="The server's camera is back."))

    def later(call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # a blocked camera may return after the server has ended
            loop.call_soon_threadsafe(call, *arguments)

    return CameraSource(
        name,
        wanted=lambda: bool(hub.watching),
        show=partial(later, show),
        lost=partial(later, lost),
        back=partial(later, back),
        fps=SOURCE_FPS,
    )
