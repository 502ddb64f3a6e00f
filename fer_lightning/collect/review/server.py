"""Server of the review page; only this machine can reach it, and only with the printed URL.

Decisions are stored in one transaction before they are acknowledged, and a decision that arrives twice is stored once.
So a killed server loses only decisions that the page still holds. The URL's token and an id of the collection are
files in the collection's folder, so that an open page continues to work after a restart of the server. Finish deletes
the token. Every answer forbids the browser to load anything from other servers.
"""

import io
import json
import re
import sqlite3
import textwrap
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fer_lightning.collect.review import decisions
from fer_lightning.collect.review.agreement import Agreement, agreement
from fer_lightning.collect.review.decisions import ReviewDecision, Waiting
from fer_lightning.collect.review.details import details
from fer_lightning.collect.settings import ReviewSettings
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.form import pixels_of
from fer_lightning.compat.uvicorn import GreetingServer, Http, quiet
from fer_lightning.config.settings import check
from fer_lightning.errors import UserError
from fer_lightning.labels import COLORS
from fer_lightning.web.files import SHARED, Files
from fer_lightning.web.guard import Guard, content_security_policy, equal, refusal
from fer_lightning.web.serving import LOOPBACK, kept_secret, listen

SHEET = 40  # faces per sheet
MOST_EVENTS = 500  # maximum events per request
MOST_BYTES = 1 << 20  # maximum size of a request's body in bytes
MOST_FACES = 100  # maximum faces per request for details
BUSY_MS = 1000  # milliseconds to wait for another process that writes, before the page tries again
ENDING_SECONDS = 3
MOST_SECONDS = 30.0  # maximum seconds of one connection, so that an idle one cannot stay
MOST_CONNECTIONS = 64  # if there are more, the oldest one ends; a browser opens six
PAGE = Path(__file__).parent / "page"
# Names of outcomes on the page, if they differ from the action.
WORDS = {"reject": "rejected", "minor": "may be under 18", "illustration": "drawn or AI"}
COLUMNS = 80  # width of the printed text
# An image never changes, but it must not stay in a browser's cache long after the review.
KEPT = "private, max-age=86400, immutable"
_ANNOTATOR = re.compile(r"\w[\w .-]{0,39}")


@dataclass(frozen=True)
class Review:
    """One review: its annotator and its faces.

    emotion      emotion whose search found the faces; None: any, as always in a second pass
    annotator    pseudonym, stored with every decision
    pass_        1; or 2: a blind second review of a share of the faces, by another person
    classes      labels to choose from, in the order of their keys
    definitions  {label: definition}, shown next to the face
    share, seed  share and random seed of the second pass: see decisions.second_look
    """

    collection: Collection
    emotion: str | None
    annotator: str
    pass_: int
    classes: tuple[str, ...]
    definitions: Mapping[str, str] = field(default_factory=dict)
    share: float = ReviewSettings.share
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(annotator=self.annotator, share=self.share)
        if self.emotion is not None and self.emotion not in self.classes:
            raise UserError(
                f"emotion={self.emotion}: not a class of this review. Allowed: {', '.join(self.classes)}. For another "
                f"emotion, add a file with its classes to conf/taxonomy, and export.taxonomy=NAME to the command."
            )
        if self.blind and decisions.valid_decisions(self.collection, pass_=1, annotator=self.annotator):
            raise UserError(
                f"review.annotator={self.annotator}: has decided in the first pass. A second pass "
                f"(review.second_pass=true) needs another person with another name. Use review.annotator=second."
            )

    @property
    def blind(self) -> bool:
        return self.pass_ == 2

    @property
    def sought(self) -> str | None:
        """Emotion of this review; None in a blind pass, which shows faces of all emotions and names none."""
        return None if self.blind else self.emotion

    @property
    def who(self) -> str | None:
        """Annotator whose decisions are shown; None: all, so that another person can continue a first pass."""
        return self.annotator if self.blind else None

    def valid_decisions(self) -> list[ReviewDecision]:
        return decisions.valid_decisions(self.collection, pass_=self.pass_, annotator=self.who)

    def faces(self) -> list[Waiting]:
        waiting = decisions.worklist(self.collection, emotion=self.sought)
        if not self.blind:
            return waiting
        first = decisions.current(self.collection, pass_=1)
        begun = {decision.face for decision in self.valid_decisions()}
        return decisions.second_look(waiting, first.keys(), begun, share=self.share, seed=self.seed)

    def counts(self) -> dict[str, int]:
        """Return the number of faces by label or by the action that rejected them, and of undecided faces."""
        faces = {one.face for one in self.faces()}
        latest = {decision.face: decision for decision in self.valid_decisions() if decision.face in faces}
        tally = decisions.tally(latest.values())
        order = (*self.classes, *decisions.ACTIONS)
        return {name: tally[name] for name in order if tally[name]} | {"undecided": len(faces) - len(latest)}

    def agreement(self) -> Agreement | None:
        """Return the agreement of the second pass with the first; None in a first pass."""
        if not self.blind:
            return None
        faces = {one.face for one in self.faces()}
        first, second = (
            {face: decision for face, decision in by_face.items() if face in faces}
            for by_face in (
                decisions.current(self.collection, pass_=1),
                decisions.current(self.collection, pass_=2, annotator=self.annotator),
            )
        )
        return agreement(first, second)


def serve(
    collection: Collection,
    *,
    emotion: str | None,
    annotator: str,
    pass_: int,
    port: int,
    classes: tuple[str, ...],
    definitions: Mapping[str, str] | None = None,
    share: float = ReviewSettings.share,
    seed: int = 0,
) -> None:
    """Serve the review page until the reviewer clicks Finish.

    Ctrl-C and SIGTERM first shut the server down and then have their usual effect. All decisions are on disk by then.
    Raise UserError if an option is wrong, no face is left to review, the port is in use, or another review is running.
    """
    check_options(annotator=annotator, share=share, port=port)
    with (
        collection.locked("review"),
        closing(Collection(collection.root)) as own,
        closing(listen(LOOPBACK, port, key="review.port")) as listening,
    ):
        own.database.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        review = Review(own, emotion, annotator, pass_, classes, definitions or {}, share, seed)
        _check_waiting(review)
        token = kept_secret(own.root / "review.token")
        port = listening.getsockname()[1]
        finished = False

        def finish() -> None:
            nonlocal finished
            finished = server.should_exit = True

        app = application(review, token=token, port=port, finish=finish)
        greeting = _introduction(review, f"http://{LOOPBACK}:{port}/?token={token}")
        server = GreetingServer(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                http=partial(Http, seconds=MOST_SECONDS, makes_room=True),
                limit_concurrency=MOST_CONNECTIONS,
                loop="asyncio",
                timeout_graceful_shutdown=ENDING_SECONDS,
            ),
            greeting,
        )
        quiet()
        server.run(sockets=[listening])
        if finished:
            (own.root / "review.token").unlink(missing_ok=True)
            print(describe_review(review), flush=True)


def undecided(
    collection: Collection,
    *,
    emotion: str | None,
    annotator: str,
    pass_: int,
    classes: tuple[str, ...],
    share: float = ReviewSettings.share,
    seed: int = 0,
) -> int:
    """Return the number of undecided faces of such a review; raise UserError if an option is wrong."""
    return Review(collection, emotion, annotator, pass_, classes, share=share, seed=seed).counts()["undecided"]


def check_options(*, annotator: str, share: float, port: int = 0) -> None:
    """Raise UserError for options that are not allowed. It is called before any step runs."""
    if not _ANNOTATOR.fullmatch(annotator):
        raise UserError(
            f"review.annotator={annotator!r}: must be a pseudonym of at most 40 letters, digits, spaces and . _ - "
            f"that begins with a letter or digit. Example: review.annotator=first."
        )
    check(ReviewSettings, {"share": share, "port": port}, "review.")


def _check_waiting(review: Review) -> None:
    if review.faces():
        return
    if review.blind:
        raise UserError(
            f"{review.collection.root}: no face is decided in a first pass. Run the review without "
            f"review.second_pass=true first."
        )
    of = f" of {review.emotion}" if review.emotion else ""
    raise UserError(
        f"{review.collection.root}: no face{of} is left to review. Run search, fetch, detect and dedupe first."
    )


def _introduction(review: Review, address: str) -> str:
    counts = review.counts()
    of, second = f" of {review.sought}" if review.sought else "", ", blind second pass" if review.blind else ""
    faces = len(review.faces())
    number = f"{faces:,} face{'' if faces == 1 else 's'}"
    summary = f"Review{of}{second}, as {review.annotator}: {number}, {counts['undecided']:,} undecided."
    end = (
        "Click Finish on the page to end the review and continue with the next step. Ctrl-C stops without the next "
        "steps. Every decision is kept, and the next review continues from here."
    )
    return (
        f"{textwrap.fill(summary, COLUMNS)}\nOpen this URL in a browser on this machine:\n\n  {address}\n\n"
        f"{textwrap.fill(end, COLUMNS)}"
    )


def describe_review(review: Review) -> str:
    counts = ", ".join(f"{count:,} {WORDS.get(name, name)}" for name, count in review.counts().items())
    passes = review.agreement()
    return f"Reviewed: {counts}." + (f"\n{passes.describe()}" if passes else "")


def application(review: Review, *, token: str, port: int, finish: Callable[[], object], page: Path = PAGE) -> Starlette:
    """Return the application of the page and its API; it calls `finish` after it has answered Finish."""
    site = _Site(review, token, port, finish, page)
    routes = [
        Route("/", site.index),
        Route("/page/{name}", site.page_file),
        Route("/shared/{name}", site.shared_file),
        Route("/api/state", site.state),
        Route("/api/faces", site.faces),
        Route("/api/decisions", site.decide, methods=["POST"]),
        Route("/api/finish", site.end, methods=["POST"]),
        Route("/img/crop/{face:int}-{crop_id}.png", site.crop),
        Route("/img/source/{face:int}-{file}", site.source),
    ]
    hosts = frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))
    guard = Middleware(
        Guard,
        hosts=hosts,
        cookie=site.cookie,
        token=token,
        public=lambda path: path == "/" or path.startswith(("/page/", "/shared/")),
        page="the review page",
        headers={"Content-Security-Policy": content_security_policy()},
    )
    handlers = {HTTPException: _in_json, sqlite3.OperationalError: _unwritten}
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


class _Site:
    """Handlers of all URLs. They run in the thread of the event loop, which is the only one to use the database."""

    def __init__(self, review: Review, token: str, port: int, finish: Callable[[], object], page: Path) -> None:
        self.review = review
        self.collection = review.collection
        self.token = token
        self.cookie = f"fer_review_{port}"
        self.finish = finish
        self.files, self.shared = Files(page), Files(SHARED)
        self.session = {
            "collection": kept_secret(self.collection.root / "review.id"),
            "annotator": review.annotator,
            "pass": review.pass_,
        }

    async def index(self, request: Request) -> Response:
        """Return the page. The printed URL sets a cookie and redirects, so that the address bar shows no token."""
        if equal(request.query_params.get("token"), self.token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self.cookie, self.token, path="/", httponly=True, samesite="strict")
            return answer
        if equal(request.cookies.get(self.cookie), self.token):
            return self.files.answer("index.html")
        return self.files.answer("locked.html", 401)

    async def page_file(self, request: Request) -> Response:
        return self.files.part(request.path_params["name"])

    async def shared_file(self, request: Request) -> Response:
        return self.shared.part(request.path_params["name"])

    async def state(self, _: Request) -> Response:
        """Return all that the page needs to start: session, classes, faces in order, and events that are not undone."""
        review = self.review
        faces = review.faces()
        ids = {one.face for one in faces}
        return JSONResponse(
            {
                "session": self.session,
                "page_version": self.files.version,
                "emotion": review.sought,
                "blind": review.blind,
                "sheet": SHEET,
                "classes": [{"name": name, "color": COLORS.get(name)} for name in review.classes],
                "definitions": {name: review.definitions[name] for name in self._defined()},
                "faces": [[one.face, one.crop_id, None if review.blind else one.emotion] for one in faces],
                "events": [
                    [one.event, one.time, one.face, one.action, one.label, one.annotator]
                    for one in review.valid_decisions()
                    if one.face in ids
                ],
            }
        )

    def _defined(self) -> list[str]:
        """Return the classes whose definitions are shown; in a blind pass all, because one would reveal the emotion."""
        given = [name for name in self.review.classes if self.review.definitions.get(name)]
        if self.review.blind:
            return given if len(given) > 1 else []
        return [name for name in given if self.review.emotion in (None, name)]

    async def faces(self, request: Request) -> Response:
        asked = request.query_params.get("ids", "")
        if not re.fullmatch(r"\d{1,15}(,\d{1,15})*", asked) or asked.count(",") >= MOST_FACES:
            raise HTTPException(400, f"ids: must be up to {MOST_FACES} face numbers, separated by commas")
        return JSONResponse(details(self.collection, [int(face) for face in asked.split(",")], blind=self.review.blind))

    async def decide(self, request: Request) -> Response:
        events = (await self._body(request)).get("events")
        if not isinstance(events, list) or len(events) > MOST_EVENTS:
            raise HTTPException(400, f"events: must be a list of at most {MOST_EVENTS} events")
        review = self.review
        receipt = decisions.record(
            self.collection, events, pass_=review.pass_, annotator=review.annotator, classes=review.classes
        )
        return JSONResponse({"acknowledged": receipt.acknowledged, "refused": receipt.refused})

    async def end(self, request: Request) -> Response:
        await self._body(request)
        passes = self.review.agreement()
        answer = {"counts": self.review.counts(), "agreement": passes and passes.describe()}
        return JSONResponse(answer, background=BackgroundTask(self.finish))

    async def _body(self, request: Request) -> dict[str, Any]:
        """Return the JSON body; reject one that belongs to another review, whose decisions must not be stored here."""
        try:
            body = json.loads(await _read(request))
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is not valid JSON") from None
        if not isinstance(body, dict):
            raise HTTPException(400, "the body is not a JSON object")
        if body.get("session") != self.session:
            running = f"pass {self.review.pass_} as {self.review.annotator}"
            raise HTTPException(409, f"The server now reviews another collection, or {running}.")
        return body

    async def crop(self, request: Request) -> Response:
        face, crop_id = request.path_params["face"], request.path_params["crop_id"]
        rows = self.collection.rows("SELECT crop, crop_id FROM face WHERE id = ? AND status = 'face'", _row_id(face))
        if not rows or rows[0]["crop_id"] != crop_id:
            raise HTTPException(404)
        png = io.BytesIO()
        Image.fromarray(pixels_of(rows[0]["crop"])).save(png, "PNG")
        return Response(png.getvalue(), media_type="image/png", headers={"Cache-Control": KEPT})

    async def source(self, request: Request) -> Response:
        name = self.collection.value(
            "SELECT file FROM face JOIN picture USING (image) WHERE face.id = ?", _row_id(request.path_params["face"])
        )
        if name is None or name != request.path_params["file"] or not self.collection.file(name).is_file():
            raise HTTPException(404)
        return FileResponse(self.collection.file(name), media_type="image/jpeg", headers={"Cache-Control": KEPT})


def _row_id(number: int) -> int:
    return min(number, 2**63 - 1)


async def _read(request: Request) -> bytes:
    """Return the body; reject one of more than MOST_BYTES."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the content type must be application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"the body has more than {MOST_BYTES} bytes")
    return bytes(body)


async def _in_json(_: Request, error: HTTPException) -> Response:
    return refusal(error.status_code, error.detail)


async def _unwritten(_: Request, error: sqlite3.OperationalError) -> Response:
    """Answer 503 if another process writes or the disk is full; the page keeps its decisions and tries again."""
    answer = refusal(503, f"Not stored yet: {error}.")
    answer.headers["Retry-After"] = "1"
    return answer
