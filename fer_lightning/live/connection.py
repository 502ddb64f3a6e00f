"""One WebSocket connection: it checks messages against the protocol and the caps, and sends the session's messages.

Three tasks share it: one reads, one writes, one watches the time. Whatever a client does, it can end only its own
connection. Nothing that a client sends is written to disk or to a log, not even in an error message.
"""

import asyncio
import logging
import re
import time
from collections import deque
from contextlib import suppress

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from fer_lightning.live import protocol
from fer_lightning.live.engine import SeenFrame
from fer_lightning.live.frames import BadFrame
from fer_lightning.live.hub import Hub
from fer_lightning.live.limits import Bucket, Busyness
from fer_lightning.live.looks import seen_frame
from fer_lightning.live.session import PlayerSession

TICK = 0.25  # seconds between two checks of the time
MOST_UNSENT = 64  # maximum number of waiting messages, without states and faces
AGAIN = 10.0  # minimum seconds between two notices with the same code
FORGIVEN = 1 / 30  # mistakes that are forgiven per second
ENDING_SECONDS = 2.0  # seconds that a client has to read the last notice
NORMAL, POLICY, BROKEN = 1000, 1008, 1011  # close codes of RFC 6455
LOG = logging.getLogger(__name__)

Sending = tuple[tuple[str | bytes, ...], float | None]  # parts of a message; arrival time of its frame, if any


class Outbox:
    """Messages that wait to be sent: only the newest state and the newest faces, and all others in order."""

    def __init__(self) -> None:
        self._queue: deque[Sending] = deque()
        self._newest: dict[str, Sending] = {}
        self._change = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, text: str) -> None:
        self._queue.append(((text,), None))
        self._change.set()

    def replace(self, kind: str, parts: tuple[str | bytes, ...], arrived: float | None = None) -> None:
        self._newest[kind] = parts, arrived
        self._change.set()

    async def next(self) -> Sending:
        while not self._queue and not self._newest:
            self._change.clear()
            await self._change.wait()
        return self._queue.popleft() if self._queue else self._newest.pop(next(iter(self._newest)))


class Connection:
    """Connection of one client after the handshake; call `run`."""

    def __init__(self, websocket: WebSocket, hub: Hub) -> None:
        self._websocket, self._hub, self._caps = websocket, hub, hub.caps
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[tuple[int, protocol.Notice | None]] = self._loop.create_future()
        self._outbox = Outbox()
        self._session: PlayerSession | None = None
        self._consented = False
        self._seat = hub.engine.seat(self._receive_look) if hub.engine else None
        self._version = protocol.VERSION
        self._frames = self._looks = self._too_fast = 0
        self._forgotten = 0  # number of the last frame before the consent was withdrawn
        self._began = self._heard = time.perf_counter()
        self._noticed: dict[str, float] = {}
        self._busyness = Busyness()
        caps, every = self._caps, self._caps.frames_per_second + self._caps.texts_per_second
        self._frame_bucket = Bucket(caps.frames_per_second, 2 * caps.frames_per_second)
        self._text_bucket = Bucket(caps.texts_per_second, 10 * caps.texts_per_second)
        self._flood = Bucket(4 * every, 8 * every)
        self._mistakes = Bucket(FORGIVEN, caps.mistakes)

    async def run(self) -> None:
        tasks = [self._loop.create_task(part) for part in (self._read(), self._write(), self._watch())]
        self._hub.connections.add(self)
        try:
            await asyncio.wait([*tasks, self._over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.connections.discard(self)
            self._hub.watching.discard(self)
            if self._seat:
                self._seat.clear()
            for task in tasks:
                task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                self._give_up(outcome)
        if self._over.done():
            await self._close(*self._over.result())

    def _end(self, code: int, notice: protocol.Notice | None = None) -> None:
        if not self._over.done():
            self._over.set_result((code, notice))

    def _give_up(self, error: Exception) -> None:
        """End the connection after a server error. Log only its type, because its message may contain player data."""
        LOG.error("a connection was closed after an error of the server: %s", type(error).__name__)
        self._end(BROKEN, _notice("error", "broken", "The server had an internal error. Connect again."))

    async def _close(self, code: int, notice: protocol.Notice | None) -> None:
        """Send the last notice and close; abort if the client does not read them in time."""
        abort = self._websocket.scope["state"].get("abort")
        if abort:
            self._loop.call_later(ENDING_SECONDS, abort)
        with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(ENDING_SECONDS):
                if notice:
                    await self._websocket.send_text(notice.model_dump_json())
                await self._websocket.close(code)

    # messages of the client

    async def _read(self) -> None:
        while not self._over.done():
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard = time.perf_counter()
            if self._flood.take(self._heard):
                self._take(message.get("text"), message.get("bytes"), self._heard)
            else:
                self._end(POLICY, _notice("error", "flood", "The client sends far too many messages. Send fewer."))

    def _take(self, text: str | None, data: bytes | None, now: float) -> None:
        if data is not None:
            self._frames += 1
        if data is not None and self._session:
            self._frame(data, now)
        elif text is not None and (size := len(text.encode())) > self._hub.message_bytes:
            words = f"The message has {size:,} bytes; the maximum is {self._hub.message_bytes:,}."
            self._mistake("bad_message", words)
        elif text is not None:
            self._hear(text, now)
        else:
            self._mistake("no_hello", "The first message must be hello.")

    def _hear(self, text: str, now: float) -> None:
        try:
            message = protocol.from_client.validate_json(text)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["loc"][:1] == ("look",):
                self._frames += 1  # the client counts what it sends
            self._reject(error)
            return
        if isinstance(message, protocol.Hello):
            self._welcome(message, now)
        elif not self._session:
            self._mistake("no_hello", "The first message must be hello.")
        elif isinstance(message, protocol.Consent):
            self._consent(message.camera, now)
        elif isinstance(message, protocol.ClientLook):
            self._look(message, now)
        elif self._text_bucket.take(now):
            self._post(self._session.hear(now, message))
        else:
            words = f"The limit is {self._caps.texts_per_second:g} messages per second. This message was ignored."
            self._mistake("too_fast", words)

    def _reject(self, error: ValidationError) -> None:
        """Report an invalid message. The report quotes nothing that was sent except the name of a key or a type."""
        errors = error.errors(include_url=False, include_input=False)
        # A misspelt key causes two errors, an extra and a missing key; the extra one is more helpful.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        if errors[0]["loc"] == ("hello", "protocol"):
            words = f"This server supports versions 1 to {protocol.VERSION} of the protocol."
            self._end(POLICY, _notice("error", "protocol", words))
        elif first["type"] == "union_tag_invalid":
            words = f"Unknown message type{_name(first['ctx']['tag'])}. Allowed types: {', '.join(_KEYS)}."
            self._mistake("bad_message", words)
        elif first["type"] == "extra_forbidden":
            kind, key = first["loc"][0], first["loc"][-1]
            keys = _KEYS[kind] if len(first["loc"]) == 2 else tuple(protocol.FaceFound.model_fields)
            words = f"Unknown key{_name(key)} in a message of type {kind}. Allowed keys: {', '.join(keys)}."
            self._mistake("bad_message", words)
        elif first["type"] in _NOT_UNDERSTOOD:
            self._mistake("bad_message", _NOT_UNDERSTOOD[first["type"]])
        else:
            self._mistake("bad_message", f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")

    def _welcome(self, hello: protocol.Hello, now: float) -> None:
        if self._session:
            self._mistake("hello_again", "Send hello only once per connection.")
            return
        self._session = self._hub.session(hello, now)
        welcome = self._hub.welcome(self._session.controller, hello.protocol)
        self._version = hello.protocol
        self._post([welcome, self._session.begin(), *self._hub.standing.values()])
        self._post(self._session.tick(now))

    def _consent(self, camera: bool, now: float) -> None:
        self._consented = camera
        (self._hub.watching.add if camera else self._hub.watching.discard)(self)
        if not camera:
            self._forgotten = self._frames
            if self._seat:
                self._seat.clear()
            self._post(self._session.forget_faces(now))

    def _frame(self, data: bytes, now: float) -> None:
        if not self._may_show():
            return
        if len(data) > self._caps.frame_bytes:
            words = f"The frame has {len(data):,} bytes; the maximum is {self._caps.frame_bytes:,}."
            self._mistake("bad_frame", words)
        elif self._in_time(now):
            self._seat.put(self._frames, data)

    def _look(self, look: protocol.ClientLook, now: float) -> None:
        self._frames += 1
        if self._version < 2:
            self._mistake("bad_message", "A look needs version 2 of the protocol. Send hello with protocol 2.")
        elif self._may_show() and self._in_time(now):
            try:
                seen = seen_frame(look, self._frames, now, self._hub.engine)
            except BadFrame as error:
                self._mistake("bad_frame", f"Look {self._frames} was refused: {error}.")
                return
            self._hub.looks += 1
            self._send_faces(seen)

    def _may_show(self) -> bool:
        """Return True if the client may send frames and looks; otherwise report why it may not."""
        if self._hub.camera != "client":
            words = "has no model" if self._hub.camera == "none" else "uses its own camera"
            self._mistake("no_frames", f"Do not send frames: this server {words}.")
        elif not self._consented:
            self._mistake("no_consent", "The player has not agreed to the camera. Send consent before frames.")
        else:
            return True
        return False

    def _in_time(self, now: float) -> bool:
        """Return True if the limit allows one more frame; otherwise count it and report the limit."""
        if self._frame_bucket.take(now):
            return True
        self._too_fast += 1
        words = f"The limit is {self._caps.frames_per_second:g} frames per second. Faster frames are dropped."
        self.notice("warning", "too_fast", words)
        return False

    def _mistake(self, code: str, words: str) -> None:
        """Report a mistake of the client; too many of them end the connection."""
        if self._mistakes.take(time.perf_counter()):
            self.tell(_notice("warning", code, words))
        else:
            words = f"Too many messages were refused. The last reason: {words}"
            self._end(POLICY, _notice("error", "too_many_mistakes", words))

    # faces

    def show(self, jpeg: bytes) -> None:
        """Send a frame of the server's own camera to the engine, for a player who has agreed."""
        self._frames += 1
        self._seat.put(self._frames, jpeg)

    def _receive_look(self, look: SeenFrame) -> None:
        """Pass a result to the event loop. The engine calls this in its thread, perhaps after the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._send_faces, look)

    def _send_faces(self, look: SeenFrame) -> None:
        if not self._consented or look.number <= self._forgotten or self._over.done():
            return
        self._looks += 1
        if look.ours or (look.problem and self._hub.camera == "server"):
            self.notice("warning", "failed", f"The server could not process frame {look.number}: {look.problem}.")
            return
        if look.problem:
            self._mistake("bad_frame", f"Frame {look.number} was refused: {look.problem}.")
            return
        try:
            self._post(self._session.look(time.perf_counter(), look, dropped=self._dropped), look)
        except Exception as error:
            self._give_up(error)

    @property
    def _dropped(self) -> int:
        return self._too_fast + (self._seat.dropped if self._seat else 0)

    # messages of the server

    def notice(self, level: str, code: str, words: str) -> None:
        """Send a notice, at most once in AGAIN seconds for each code."""
        now = time.perf_counter()
        if now - self._noticed.get(code, -AGAIN) >= AGAIN:
            self._noticed[code] = now
            self.tell(_notice(level, code, words))

    def tell(self, notice: protocol.Notice) -> None:
        self._post([notice])

    def _post(self, messages: list[protocol.Message], look: SeenFrame | None = None) -> None:
        """Queue messages. `look` is their frame; a frame of the server's camera is sent before its faces."""
        for message in messages:
            text = message.model_dump_json()
            if isinstance(message, protocol.Faces):
                own = self._hub.camera == "server"
                self._outbox.replace("faces", (look.data, text) if own else (text,), look.arrived)
            elif isinstance(message, protocol.State):
                self._outbox.replace("state", (text,))
            else:
                self._outbox.put(text)
        if len(self._outbox) > MOST_UNSENT:
            self._end(POLICY)

    async def _write(self) -> None:
        """Send queued messages, and end the connection of a client that does not read in time.

        `_watch` would not notice such a client, because it checks only the time of received messages.
        """
        while True:
            parts, arrived = await self._outbox.next()
            try:
                async with asyncio.timeout(self._caps.send_seconds):
                    for part in parts:
                        await (self._websocket.send_text if isinstance(part, str) else self._websocket.send_bytes)(part)
            except TimeoutError:
                self._end(POLICY)
                return
            if arrived is not None:
                self._hub.latencies.append(time.perf_counter() - arrived)

    # time

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            if not self._session and now - self._began > self._caps.hello_seconds:
                words = f"No hello was received within {self._caps.hello_seconds:g} s."
                self._end(POLICY, _notice("error", "no_hello", words))
            elif now - self._heard > self._caps.idle_seconds:
                words = f"No message was received for {self._caps.idle_seconds:g} s."
                self._end(NORMAL, _notice("error", "idle", words))
            elif self._session:
                self._post(self._session.tick(now))
                self._report_busy(now)

    def _report_busy(self, now: float) -> None:
        if (rate := self._busyness.rate(now, self._looks, self._dropped)) is not None:
            words = f"The server is busy: it processes {rate:.1f} of your frames per second and drops the rest."
            self.notice("warning", "busy", words)


_NOT_UNDERSTOOD = {
    "json_invalid": "The message is not valid JSON.",
    "union_tag_not_found": "A message must be an object with a type.",
    "model_attributes_type": "A message must be an object with a type.",
}
_KEYS = {
    kind.model_fields["type"].default: tuple(kind.model_fields)
    for kind in (
        protocol.Hello,
        protocol.Consent,
        protocol.ClientLook,
        protocol.Text,
        protocol.Outcome,
        protocol.Override,
        protocol.Adapt,
    )
}


def _name(sent: object) -> str:
    """Return the client's name of a key or a type if it is short and plain. Otherwise it may be text of the player."""
    plain = isinstance(sent, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}", sent)
    return f" {sent!r}" if plain else ""


def _notice(level: str, code: str, words: str) -> protocol.Notice:
    return protocol.Notice(level=level, code=code, message=words)
