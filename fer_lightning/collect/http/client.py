"""The collector's only way to the network: GET requests that no hostile or broken host can turn, stall or flood.

Each request, and each redirect of it, goes to an http or https address of a host that the caller allows (or, without
a list, of any public host whose robots.txt agrees), at the standard ports, at the address that was checked: see
connection.py, which also ends everything at one deadline. Bytes are counted as they stand when unpacked. Nothing is
taken from the environment and no cookies are kept. Keys, which stand in queries and headers, are in no message,
exception or log of this module.
"""

import hashlib
import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import DecodeError, HTTPError

from fer_lightning.collect.http.connection import Adapter, PortNotAllowed, Watch
from fer_lightning.collect.http.robots import Robots
from fer_lightning.errors import UserError

LONGEST_WAIT = 60.0  # seconds; a host that asks for more is given up
API_BYTES = 8_000_000
CHUNK = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
RETRIED = (429, 500, 502, 503, 504)
OVERLOADED = (429, 503)  # said of the host, not of the one address
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})  # none: noindex and nofollow
SECRET_PARAMETERS = ("key", "cx", "api_key", "token")
SECRET_HEADERS = ("x-subscription-token", "authorization")
_JSON = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_PICTURES = {"Accept": "image/jpeg, image/png, image/webp", "Accept-Encoding": "identity"}
_SECRET = re.compile(rf"(?i)\b({'|'.join(SECRET_PARAMETERS)})=[^&\s\"'#]*")
_AGENT = re.compile(r"([\w.*-]+)\s*:\s*(.*)")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class Reason(StrEnum):
    """Why an address gave nothing."""

    BAD_ADDRESS = "bad address"  # not http(s), with a user name, at another port, or none at all
    HOST_NOT_ALLOWED = "host not allowed"
    PRIVATE_ADDRESS = "private address"
    DOWNGRADED = "downgraded"  # a redirect from https to http
    TOO_MANY_REDIRECTS = "too many redirects"
    OPTED_OUT = "opted out"
    ROBOTS_TXT = "robots.txt"
    TOO_LARGE = "too large"
    NOT_FOUND = "not found"
    FORBIDDEN = "forbidden"
    HTTP_ERROR = "http error"
    ROBOTS_TXT_UNKNOWN = "robots.txt unknown"
    TOO_SLOW = "too slow"
    TRUNCATED = "truncated"  # fewer bytes than announced
    CONNECTION_FAILED = "connection failed"
    TOO_MANY_REQUESTS = "too many requests"
    SERVER_ERROR = "server error"
    BAD_ANSWER = "bad answer"  # not what its header or the API's rules say


# The others may have gone tomorrow.
FINAL = frozenset(
    {
        Reason.BAD_ADDRESS,
        Reason.HOST_NOT_ALLOWED,
        Reason.PRIVATE_ADDRESS,
        Reason.DOWNGRADED,
        Reason.TOO_MANY_REDIRECTS,
        Reason.OPTED_OUT,
        Reason.ROBOTS_TXT,
        Reason.TOO_LARGE,
        Reason.NOT_FOUND,
        Reason.FORBIDDEN,
        Reason.HTTP_ERROR,
    }
)


@dataclass(eq=False)
class Refused(Exception):
    """Nothing came, or nothing that is wanted.

    http_status, headers  of the answer, where there was one
    body                  what an API said to an error, at most 64 KiB
    retry_after           seconds for which the host asked to be left alone
    """

    reason: Reason
    detail: str
    host: str = ""
    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    retry_after: float | None = None

    @property
    def final(self) -> bool:
        """Whether another try is in vain."""
        return self.reason in FINAL

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Stopped(Exception):
    """The client was told to stop."""


@dataclass(frozen=True)
class Fetched:
    """data are the unpacked bytes; the names of the headers are in any letter case."""

    data: bytes
    final_url: str
    status: int
    headers: CaseInsensitiveDict


@dataclass(frozen=True)
class _Wanted:
    """picture: opt-outs count, and an empty answer is a refusal."""

    url: str
    hosts: tuple[str, ...] | None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = API_BYTES
    picture: bool = False
    ask_robots: bool = False


class Client:
    """Threads may share it. `stop()` ends what is under way; the client is of no use afterwards.

    user_agent           name/version (contact) ...; the name before the slash is the one looked for in robots.txt
    allow_loopback       whether 127.0.0.0/8 and ::1, at any port, count as public: for tests
    timeout, deadline    seconds without a byte, and for a whole request with its redirects
    requests_per_second  to each host
    attempts             the most requests for one address, where a host is overloaded or does not answer
    sleep                takes seconds; None: really waits
    """

    def __init__(
        self,
        *,
        user_agent: str,
        allow_loopback: bool = False,
        timeout: float = 10.0,
        deadline: float = 20.0,
        max_bytes: int = 15_000_000,
        max_redirects: int = 3,
        requests_per_second: float = 2.0,
        connections_per_host: int = 2,
        attempts: int = 4,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        if not (user_agent.isascii() and user_agent.isprintable()):
            raise UserError(f"user agent {user_agent!r}: only printable ASCII is allowed; mend COLLECT_CONTACT in .env")
        self._user_agent = user_agent
        self._product = user_agent.partition("/")[0].strip().lower()
        self._allow_loopback = allow_loopback
        self._timeout = timeout
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._attempts = attempts
        self._stopped = threading.Event()
        self._sleep = self._stopped.wait if sleep is None else sleep
        self._new_pace = partial(_Pace, 1 / requests_per_second, connections_per_host)
        self._paces: dict[str, _Pace] = {}
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()
        self._robots = Robots(self._product, self._robots_txt)

    def get_json(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        hosts: tuple[str, ...],
    ) -> tuple[Any, CaseInsensitiveDict, str]:
        """An API's answer, its headers, and the SHA-256 of its body. Raises Refused, its body that of the answer."""
        params, headers = dict(params or {}), dict(headers or {})
        try:
            fetched = self._get(_Wanted(url, hosts, params, {**_JSON, **headers}))
        except Refused as refused:
            refused.body = _without(refused.body, params, headers)
            raise
        try:
            data = json.loads(fetched.data)
        except (ValueError, RecursionError):
            host = _host(fetched.final_url)
            raise Refused(Reason.BAD_ANSWER, f"{host}: no JSON", host, 200, fetched.headers) from None
        return data, fetched.headers, hashlib.sha256(fetched.data).hexdigest()

    def get_bytes(self, url: str, *, hosts: tuple[str, ...] | None) -> Fetched:
        """A picture from one of these hosts, or from any public host that its robots.txt opens. Raises Refused."""
        return self._get(_Wanted(url, hosts, {}, _PICTURES, self._max_bytes, picture=True, ask_robots=hosts is None))

    def stop(self) -> None:
        """Let every request, now and from now on, end with Stopped."""
        self._stopped.set()
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.cut()

    def _robots_txt(self, url: str) -> str:
        """RFC 9309, 2.3.1: a host that has none allows all; one that cannot be asked allows nothing, for now."""
        try:
            return self._get(_Wanted(url, None, headers={"Accept-Encoding": "gzip"})).data.decode(errors="replace")
        except Refused as refused:
            if 400 <= (refused.http_status or 0) < 500 and refused.http_status != 429:
                return ""
            if refused.reason in (Reason.PRIVATE_ADDRESS, Reason.BAD_ADDRESS):
                raise
            raise Refused(Reason.ROBOTS_TXT_UNKNOWN, str(refused), refused.host) from None

    def _get(self, wanted: _Wanted) -> Fetched:
        for attempt in range(1, self._attempts):
            try:
                return self._follow(wanted)
            except Refused as refused:
                if refused.reason is not Reason.CONNECTION_FAILED and refused.http_status not in RETRIED:
                    raise
                wait = 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                wait = wait if refused.retry_after is None else refused.retry_after
                overloaded = refused.http_status in OVERLOADED
                if overloaded:
                    self._pace(refused.host).leave_alone(wait)
                if wait > LONGEST_WAIT:
                    raise
            self._rest(0 if overloaded else wait)
        return self._follow(wanted)

    def _follow(self, wanted: _Wanted) -> Fetched:
        """One request and its redirects. The deadline holds for all of them, without the waiting for a turn."""
        url, params, headers = wanted.url, wanted.params, {**wanted.headers, "User-Agent": self._user_agent}
        left, secure, origin = self._deadline, False, None
        for _ in range(self._max_redirects + 1):
            request = _prepared(url, params, headers)
            self._check(request.url, wanted, secure)
            host, secure = _host(request.url), request.url.startswith("https:")
            with self._turn(host), self._watch(left) as watch:
                answer = self._transfer(request, wanted, watch)
                left = watch.left()
            if isinstance(answer, Fetched):
                return answer
            url, params = answer, {}
            origin = origin or host
            if _host(url) != origin:
                headers = {name: headers[name] for name in headers if name.lower() not in SECRET_HEADERS}
        raise Refused(Reason.TOO_MANY_REDIRECTS, f"{origin}: more than {self._max_redirects}", host)

    def _check(self, url: str, wanted: _Wanted, secure: bool) -> None:
        """What can be said of an address before its name is resolved. secure: it stands in an answer over https."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
            detail = f"{parts.scheme}://{host}: only http and https, without a user name"
            raise Refused(Reason.BAD_ADDRESS, detail, host)
        if secure and parts.scheme == "http":
            raise Refused(Reason.DOWNGRADED, f"a redirect from https to http://{host}", host)
        if wanted.hosts is not None and host not in wanted.hosts:
            raise Refused(Reason.HOST_NOT_ALLOWED, f"{host} is none of the provider's hosts", host)
        if wanted.ask_robots and not self._robots.allow(url):
            raise Refused(Reason.ROBOTS_TXT, f"{host} asks robots to leave it alone", host)

    def _transfer(self, request: requests.PreparedRequest, wanted: _Wanted, watch: Watch) -> Fetched | str:
        """The answer, or where it redirects to."""
        adapter = Adapter(request.url.startswith("https:"), self._allow_loopback, watch)
        response = failure = None
        try:
            response = adapter.send(request, stream=True, timeout=min(self._timeout, watch.left()))
            if response.status_code in REDIRECTS and "Location" in response.headers:
                return _target(response)
            return self._read(response, wanted, watch)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failure = _refusal(error, _host(request.url), response, watch)
        finally:
            if response is not None:
                response.close()
            adapter.close()
        if self._stopped.is_set():
            raise Stopped
        raise failure  # outside the handler: the libraries' exceptions quote addresses with their keys

    def _read(self, response: requests.Response, wanted: _Wanted, watch: Watch) -> Fetched:
        host, status, headers = _host(response.url), response.status_code, response.headers
        refused = partial(Refused, host=host, http_status=status, headers=headers)
        if status != 200:
            body = b"" if wanted.picture else bytes(_body(response, CHUNK)[:CHUNK])
            raise refused(_of_status(status), f"{host}: HTTP {status}", body=body, retry_after=_retry_after(headers))
        if wanted.picture and (tag := opt_out(response.raw.headers.getlist("X-Robots-Tag"), self._product)):
            raise refused(Reason.OPTED_OUT, f"{host}: X-Robots-Tag {tag}")
        announced = headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > wanted.max_bytes:
            raise refused(Reason.TOO_LARGE, f"{host}: announces {int(announced):,} bytes")
        body = _body(response, wanted.max_bytes)
        if watch.over:
            raise TimeoutError
        if len(body) > wanted.max_bytes:
            raise refused(Reason.TOO_LARGE, f"{host}: more than {wanted.max_bytes:,} bytes")
        if wanted.picture and not body:
            raise refused(Reason.TRUNCATED, f"{host}: an empty answer")
        return Fetched(bytes(body), response.url, status, headers)

    @contextmanager
    def _turn(self, host: str) -> Iterator[None]:
        pace = self._pace(host)
        with pace.places:
            self._rest(pace.take(host))
            yield

    def _rest(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)
        if self._stopped.is_set():
            raise Stopped

    def _pace(self, host: str) -> "_Pace":
        with self._lock:
            return self._paces.setdefault(host, self._new_pace())

    @contextmanager
    def _watch(self, seconds: float) -> Iterator[Watch]:
        with Watch(seconds) as watch:
            with self._lock:
                self._watches.add(watch)
            try:
                if self._stopped.is_set():
                    raise Stopped
                yield watch
            finally:
                with self._lock:
                    self._watches.discard(watch)


class _Pace:
    """One host: at most so many connections, a request every so many seconds, none while it asks to be left alone."""

    def __init__(self, spacing: float, connections: int) -> None:
        self.places = threading.Semaphore(connections)
        self._spacing = spacing
        self._next = 0.0
        self._alone_until = 0.0
        self._lock = threading.Lock()

    def take(self, host: str) -> float:
        """Take the next turn and return the seconds until it comes."""
        with self._lock:
            now = time.monotonic()
            alone = self._alone_until - now
            if alone > LONGEST_WAIT:
                detail = f"{host} asks to be left alone for {alone:.0f} s"
                raise Refused(Reason.TOO_MANY_REQUESTS, detail, host, retry_after=alone)
            turn = max(now, self._next, self._alone_until)
            self._next = turn + self._spacing
            return turn - now

    def leave_alone(self, seconds: float) -> None:
        with self._lock:
            self._alone_until = max(self._alone_until, time.monotonic() + seconds)


def _prepared(url: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> requests.PreparedRequest:
    """Without a session: nothing from the environment, no cookies, no redirects followed by the library."""
    try:
        return requests.Request("GET", url, params=params, headers={**headers, "Connection": "close"}).prepare()
    except (requests.RequestException, ValueError) as error:
        what = type(error).__name__
    raise Refused(Reason.BAD_ADDRESS, f"an address that is none ({what})")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _target(response: requests.Response) -> str:
    location = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
    return urljoin(response.url, location)


def _body(response: requests.Response, most: int) -> bytearray:
    """The unpacked body, up to CHUNK - 1 bytes more than `most`."""
    body = bytearray()
    while len(body) <= most and (piece := response.raw.read1(CHUNK, decode_content=True)):
        body += piece
    return body


def _of_status(status: int) -> Reason:
    if status in (404, 410):
        return Reason.NOT_FOUND
    if status in (401, 403, 451):
        return Reason.FORBIDDEN
    if status == 429:
        return Reason.TOO_MANY_REQUESTS
    return Reason.SERVER_ERROR if status >= 500 or status == 408 else Reason.HTTP_ERROR


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; the header has them, or a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def opt_out(tags: list[str], product: str) -> str | None:
    """The first directive of X-Robots-Tag headers by which a host keeps its pictures from `product`, if there is one.

    tags  the headers' values; what follows `otherbot:` is for that robot
    """
    for tag in tags:
        agent = "*"
        for directive in tag.lower().split(","):
            addressed = _AGENT.fullmatch(directive.strip())
            if addressed and addressed[1] not in _WITH_VALUE:
                agent, directive = addressed[1], addressed[2]
            if agent in ("*", product) and directive.strip() in OPT_OUTS:
                return directive.strip()
    return None


def _refusal(error: Exception, host: str, response: requests.Response | None, watch: Watch) -> Refused:
    """What became of a transfer, without the text of the libraries' exceptions."""
    if isinstance(error, InvalidIPAddress):
        return Refused(Reason.PRIVATE_ADDRESS, f"{host} is at {error}", host)
    if isinstance(error, PortNotAllowed):
        return Refused(Reason.BAD_ADDRESS, f"{host}: {error}", host)
    cause = _cause(error)
    if watch.over or isinstance(cause, TimeoutError):
        reason, words = Reason.TOO_SLOW, "not done in time"
    else:
        reason, words = _of_error(error, response), getattr(cause, "strerror", None) or type(cause).__name__
    known = {} if response is None else {"http_status": response.status_code, "headers": response.headers}
    return Refused(reason, f"{host}: {words}", host, **known)


def _of_error(error: Exception, response: requests.Response | None) -> Reason:
    if isinstance(error, requests.exceptions.InvalidURL):
        return Reason.BAD_ADDRESS
    if isinstance(error, DecodeError | ValueError):
        return Reason.BAD_ANSWER
    return Reason.CONNECTION_FAILED if response is None else Reason.TRUNCATED


def _cause(error: BaseException) -> BaseException:
    """The error at the bottom of the libraries' wrappings."""
    while below := error.__cause__ or error.__context__:
        error = below
    return error


def _without(text: bytes, params: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    """An answer that may quote the question's keys."""
    named = [(params, SECRET_PARAMETERS), (headers, SECRET_HEADERS)]
    secrets = [str(value) for values, names in named for name, value in values.items() if name.lower() in names]
    for secret in filter(None, secrets):
        text = text.replace(secret.encode(), b"...")
    return text


class _WithoutKeys(logging.Filter):
    """urllib3 logs each address that it asks for, where debugging is on."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _SECRET.sub(r"\1=...", record.getMessage()), None
        return True


for _logger in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_logger).addFilter(_WithoutKeys())
