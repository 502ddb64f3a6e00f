"""HTTP client of the collector: GET requests that a hostile or broken host cannot redirect, stall or flood.

Every network request of the collector passes through this module:

- Each request and each redirect goes to an http or https URL of a host that the caller allows. If the caller gives no
  list of hosts, any public host whose robots.txt agrees is allowed.
- Only the standard ports are used, and only the IP address that was checked (see connection.py).
- One deadline ends a request with all its redirects. Size limits count unpacked bytes.
- No settings are read from the environment, and no cookies are kept.
- API keys are sent in queries and headers. They never appear in a message, an exception or a log of this module.
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

from fer_lightning.collect.http.connection import Adapter, Deadline, PortNotAllowed
from fer_lightning.collect.http.robots import Robots
from fer_lightning.collect.http.settings import ClientSettings
from fer_lightning.compat.urllib3 import filter_logged_urls
from fer_lightning.errors import UserError

LONGEST_WAIT = 60.0  # maximum seconds to wait for a host; if it asks for more, its request fails
API_BYTES = 8_000_000
CHUNK = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
RETRIED = (429, 500, 502, 503, 504)
OVERLOADED = (429, 503)  # statuses that concern the whole host, not only one URL
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})  # none: noindex and nofollow
SECRET_PARAMETERS = ("key", "cx", "api_key", "token")
SECRET_HEADERS = ("x-subscription-token", "authorization")
_JSON = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_PICTURES = {"Accept": "image/jpeg, image/png, image/webp", "Accept-Encoding": "identity"}
_SECRET = re.compile(rf"(?i)\b({'|'.join(SECRET_PARAMETERS)})=[^&\s\"'#]*")
_AGENT = re.compile(r"([\w.*-]+)\s*:\s*(.*)")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class HttpReason(StrEnum):
    """Reasons why a request failed."""

    BAD_ADDRESS = "bad address"  # not http(s), with a user name, with another port, or not a valid URL
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
    TRUNCATED = "truncated"  # fewer bytes than the header announced
    CONNECTION_FAILED = "connection failed"
    TOO_MANY_REQUESTS = "too many requests"
    SERVER_ERROR = "server error"
    BAD_ANSWER = "bad answer"  # the content contradicts its header or the API's rules


# Permanent reasons; all other reasons may be temporary.
FINAL = frozenset(
    {
        HttpReason.BAD_ADDRESS,
        HttpReason.HOST_NOT_ALLOWED,
        HttpReason.PRIVATE_ADDRESS,
        HttpReason.DOWNGRADED,
        HttpReason.TOO_MANY_REDIRECTS,
        HttpReason.OPTED_OUT,
        HttpReason.ROBOTS_TXT,
        HttpReason.TOO_LARGE,
        HttpReason.NOT_FOUND,
        HttpReason.FORBIDDEN,
        HttpReason.HTTP_ERROR,
    }
)


@dataclass(eq=False)
class Refused(Exception):
    """A request failed, or its answer was rejected.

    http_status, headers  status and headers of the answer, if there was one
    body                  an API's answer to a failed request, at most 64 KiB
    retry_after           seconds that the host asked to wait before the next request
    """

    reason: HttpReason
    detail: str
    host: str = ""
    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    retry_after: float | None = None

    @property
    def final(self) -> bool:
        """True if another attempt cannot succeed."""
        return self.reason in FINAL

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Stopped(Exception):
    """The client was stopped with `stop()`."""


@dataclass(frozen=True)
class Fetched:
    """A successful answer: unpacked bytes, final URL, status, and headers (names in any letter case)."""

    data: bytes
    final_url: str
    status: int
    headers: CaseInsensitiveDict


@dataclass(frozen=True)
class _Request:
    """One request with its limits. If `picture` is true, opt-out headers apply and an empty answer is rejected."""

    url: str
    hosts: tuple[str, ...] | None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = API_BYTES
    picture: bool = False
    ask_robots: bool = False


class ImageClient:
    """HTTP client that threads may share. `stop()` ends all requests; the client cannot be used afterwards.

    user_agent            name/version (contact) ...; robots.txt rules apply to the name before the slash
    timeout               maximum seconds without a byte
    max_redirects         maximum redirects per request
    connections_per_host  maximum simultaneous connections to each host
    attempts              maximum requests for one URL if its host is overloaded or does not answer
    sleep                 function that waits a number of seconds; None: a real wait
    settings              fields of ClientSettings
    """

    def __init__(
        self,
        *,
        user_agent: str,
        timeout: float = 10.0,
        max_redirects: int = 3,
        connections_per_host: int = 2,
        attempts: int = 4,
        sleep: Callable[[float], Any] | None = None,
        **settings: Any,
    ) -> None:
        if not (user_agent.isascii() and user_agent.isprintable()):
            raise UserError(
                f"user agent {user_agent!r}: contains letters that are not allowed. Only printable ASCII is allowed. "
                f"Fix COLLECT_CONTACT in .env."
            )
        self._user_agent = user_agent
        self._product = user_agent.partition("/")[0].strip().lower()
        limits = ClientSettings(**settings)
        self._allow_loopback = limits.allow_loopback
        self._timeout = timeout
        self._deadline = limits.deadline
        self._max_bytes = limits.max_bytes
        self._max_redirects = max_redirects
        self._attempts = attempts
        self._stopped = threading.Event()
        self._sleep = self._stopped.wait if sleep is None else sleep
        self._new_pace = partial(_Pace, 1 / limits.requests_per_second, connections_per_host)
        self._paces: dict[str, _Pace] = {}
        self._deadlines: set[Deadline] = set()
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
        """Return an API's JSON answer, its headers, and the SHA-256 of its body.

        Raise Refused, with the body of the answer, if the request fails.
        """
        params, headers = dict(params or {}), dict(headers or {})
        try:
            fetched = self._get(_Request(url, hosts, params, {**_JSON, **headers}))
        except Refused as refused:
            refused.body = _without(refused.body, params, headers)
            raise
        try:
            data = json.loads(fetched.data)
        except (ValueError, RecursionError):
            host = _host(fetched.final_url)
            raise Refused(
                HttpReason.BAD_ANSWER, f"{host}: the answer is not valid JSON", host, 200, fetched.headers
            ) from None
        return data, fetched.headers, hashlib.sha256(fetched.data).hexdigest()

    def get_bytes(self, url: str, *, hosts: tuple[str, ...] | None) -> Fetched:
        """Return an image from one of these hosts; None: from any public host whose robots.txt allows it.

        Raise Refused if the request fails.
        """
        return self._get(_Request(url, hosts, {}, _PICTURES, self._max_bytes, picture=True, ask_robots=hosts is None))

    def stop(self) -> None:
        """End all running and future requests with Stopped."""
        self._stopped.set()
        with self._lock:
            deadlines = list(self._deadlines)
        for deadline in deadlines:
            deadline.cut()

    def _robots_txt(self, url: str) -> str:
        """Return the text of a robots.txt (RFC 9309, 2.3.1).

        A host without robots.txt allows everything. A host that cannot be reached allows nothing for now.
        """
        try:
            return self._get(_Request(url, None, headers={"Accept-Encoding": "gzip"})).data.decode(errors="replace")
        except Refused as refused:
            if 400 <= (refused.http_status or 0) < 500 and refused.http_status != 429:
                return ""
            if refused.reason in (HttpReason.PRIVATE_ADDRESS, HttpReason.BAD_ADDRESS):
                raise
            raise Refused(HttpReason.ROBOTS_TXT_UNKNOWN, str(refused), refused.host) from None

    def _get(self, wanted: _Request) -> Fetched:
        for attempt in range(1, self._attempts):
            try:
                return self._follow(wanted)
            except Refused as refused:
                if refused.reason is not HttpReason.CONNECTION_FAILED and refused.http_status not in RETRIED:
                    raise
                wait = 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                wait = wait if refused.retry_after is None else refused.retry_after
                overloaded = refused.http_status in OVERLOADED
                if overloaded:
                    self._pace(refused.host).pause(wait)
                if wait > LONGEST_WAIT:
                    raise
            self._sleep_unless_stopped(0 if overloaded else wait)
        return self._follow(wanted)

    def _follow(self, wanted: _Request) -> Fetched:
        """Send a request and follow its redirects.

        One deadline holds for all of them. Time spent waiting for a host's slot does not count.
        """
        url, params, headers = wanted.url, wanted.params, {**wanted.headers, "User-Agent": self._user_agent}
        left, secure, origin = self._deadline, False, None
        for _ in range(self._max_redirects + 1):
            request = _prepared(url, params, headers)
            self._check(request.url, wanted, secure)
            host, secure = _host(request.url), request.url.startswith("https:")
            with self._host_slot(host), self._open_deadline(left) as deadline:
                answer = self._transfer(request, wanted, deadline)
                left = deadline.left()
            if isinstance(answer, Fetched):
                return answer
            url, params = answer, {}
            origin = origin or host
            if _host(url) != origin:
                headers = {name: headers[name] for name in headers if name.lower() not in SECRET_HEADERS}
        raise Refused(HttpReason.TOO_MANY_REDIRECTS, f"{origin}: more than {self._max_redirects}", host)

    def _check(self, url: str, wanted: _Request, secure: bool) -> None:
        """Raise Refused for a URL that is not allowed, before its host name is resolved.

        secure  the URL is a redirect in an answer over https
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
            detail = f"{parts.scheme}://{host}: only http and https URLs without a user name are allowed"
            raise Refused(HttpReason.BAD_ADDRESS, detail, host)
        if secure and parts.scheme == "http":
            raise Refused(HttpReason.DOWNGRADED, f"a redirect from https to http://{host}", host)
        if wanted.hosts is not None and host not in wanted.hosts:
            raise Refused(HttpReason.HOST_NOT_ALLOWED, f"{host} is not one of the provider's hosts", host)
        if wanted.ask_robots and not self._robots.allow(url):
            raise Refused(HttpReason.ROBOTS_TXT, f"robots.txt of {host} does not allow this URL", host)

    def _transfer(self, request: requests.PreparedRequest, wanted: _Request, deadline: Deadline) -> Fetched | str:
        """Return the answer, or the URL that it redirects to."""
        adapter = Adapter(request.url.startswith("https:"), self._allow_loopback, deadline)
        response = failure = None
        try:
            response = adapter.send(request, stream=True, timeout=min(self._timeout, deadline.left()))
            if response.status_code in REDIRECTS and "Location" in response.headers:
                return _target(response)
            return self._read(response, wanted, deadline)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failure = _refusal(error, _host(request.url), response, deadline)
        finally:
            if response is not None:
                response.close()
            adapter.close()
        if self._stopped.is_set():
            raise Stopped
        raise failure  # outside the handler, because the libraries' exceptions quote URLs with their API keys

    def _read(self, response: requests.Response, wanted: _Request, deadline: Deadline) -> Fetched:
        host, status, headers = _host(response.url), response.status_code, response.headers
        refused = partial(Refused, host=host, http_status=status, headers=headers)
        if status != 200:
            body = b"" if wanted.picture else bytes(_body(response, CHUNK)[:CHUNK])
            raise refused(_of_status(status), f"{host}: HTTP {status}", body=body, retry_after=_retry_after(headers))
        if wanted.picture and (tag := opt_out(response.raw.headers.getlist("X-Robots-Tag"), self._product)):
            raise refused(HttpReason.OPTED_OUT, f"{host}: X-Robots-Tag {tag}")
        announced = headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > wanted.max_bytes:
            raise refused(HttpReason.TOO_LARGE, f"{host}: the header announces {int(announced):,} bytes")
        body = _body(response, wanted.max_bytes)
        if deadline.over:
            raise TimeoutError
        if len(body) > wanted.max_bytes:
            raise refused(HttpReason.TOO_LARGE, f"{host}: more than {wanted.max_bytes:,} bytes")
        if wanted.picture and not body:
            raise refused(HttpReason.TRUNCATED, f"{host}: the answer is empty")
        return Fetched(bytes(body), response.url, status, headers)

    @contextmanager
    def _host_slot(self, host: str) -> Iterator[None]:
        pace = self._pace(host)
        with pace.slots:
            self._sleep_unless_stopped(pace.reserve_turn(host))
            yield

    def _sleep_unless_stopped(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)
        if self._stopped.is_set():
            raise Stopped

    def _pace(self, host: str) -> "_Pace":
        with self._lock:
            return self._paces.setdefault(host, self._new_pace())

    @contextmanager
    def _open_deadline(self, seconds: float) -> Iterator[Deadline]:
        with Deadline(seconds) as deadline:
            with self._lock:
                self._deadlines.add(deadline)
            try:
                if self._stopped.is_set():
                    raise Stopped
                yield deadline
            finally:
                with self._lock:
                    self._deadlines.discard(deadline)


class _Pace:
    """Rate limit of one host: connections, seconds between requests, and a pause while the host asks for one."""

    def __init__(self, spacing: float, connections: int) -> None:
        self.slots = threading.Semaphore(connections)
        self._spacing = spacing
        self._next = 0.0
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def reserve_turn(self, host: str) -> float:
        """Reserve the next turn and return the seconds until it starts."""
        with self._lock:
            now = time.monotonic()
            pause = self._paused_until - now
            if pause > LONGEST_WAIT:
                detail = f"{host} asks for a pause of {pause:.0f} s"
                raise Refused(HttpReason.TOO_MANY_REQUESTS, detail, host, retry_after=pause)
            turn = max(now, self._next, self._paused_until)
            self._next = turn + self._spacing
            return turn - now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)


def _prepared(url: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> requests.PreparedRequest:
    """Return a request without a session, so that the library adds no settings or cookies and follows no redirects."""
    try:
        return requests.Request("GET", url, params=params, headers={**headers, "Connection": "close"}).prepare()
    except (requests.RequestException, ValueError) as error:
        kind = type(error).__name__
    raise Refused(HttpReason.BAD_ADDRESS, f"not a valid URL ({kind})")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _target(response: requests.Response) -> str:
    location = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
    return urljoin(response.url, location)


def _body(response: requests.Response, most: int) -> bytearray:
    """Return the unpacked body, up to CHUNK - 1 bytes more than `most`."""
    body = bytearray()
    while len(body) <= most and (piece := response.raw.read1(CHUNK, decode_content=True)):
        body += piece
    return body


def _of_status(status: int) -> HttpReason:
    if status in (404, 410):
        return HttpReason.NOT_FOUND
    if status in (401, 403, 451):
        return HttpReason.FORBIDDEN
    if status == 429:
        return HttpReason.TOO_MANY_REQUESTS
    return HttpReason.SERVER_ERROR if status >= 500 or status == 408 else HttpReason.HTTP_ERROR


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date; None if it is missing or invalid."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def opt_out(tags: list[str], product: str) -> str | None:
    """Return the first opt-out directive for `product` in X-Robots-Tag headers; None if it has none.

    tags  values of the headers; directives after `otherbot:` apply only to that robot
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


def _refusal(error: Exception, host: str, response: requests.Response | None, deadline: Deadline) -> Refused:
    """Return the Refused for a failed transfer, without the text of the libraries' exceptions."""
    if isinstance(error, InvalidIPAddress):
        return Refused(HttpReason.PRIVATE_ADDRESS, f"{host} has the IP address {error}", host)
    if isinstance(error, PortNotAllowed):
        return Refused(HttpReason.BAD_ADDRESS, f"{host}: {error}", host)
    cause = _cause(error)
    if deadline.over or isinstance(cause, TimeoutError):
        reason, words = HttpReason.TOO_SLOW, "not complete before the deadline"
    else:
        reason, words = _of_error(error, response), getattr(cause, "strerror", None) or type(cause).__name__
    facts = {} if response is None else {"http_status": response.status_code, "headers": response.headers}
    return Refused(reason, f"{host}: {words}", host, **facts)


def _of_error(error: Exception, response: requests.Response | None) -> HttpReason:
    if isinstance(error, requests.exceptions.InvalidURL):
        return HttpReason.BAD_ADDRESS
    if isinstance(error, DecodeError | ValueError):
        return HttpReason.BAD_ANSWER
    return HttpReason.CONNECTION_FAILED if response is None else HttpReason.TRUNCATED


def _cause(error: BaseException) -> BaseException:
    """Return the innermost error of a chain of exceptions."""
    while below := error.__cause__ or error.__context__:
        error = below
    return error


def _without(text: bytes, params: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    """Return an answer with the API keys of its request replaced by `...`."""
    named = [(params, SECRET_PARAMETERS), (headers, SECRET_HEADERS)]
    secrets = [str(value) for values, names in named for name, value in values.items() if name.lower() in names]
    for secret in filter(None, secrets):
        text = text.replace(secret.encode(), b"...")
    return text


class _WithoutKeys(logging.Filter):
    """Filter that removes API keys from the URLs that urllib3 logs at the level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _SECRET.sub(r"\1=...", record.getMessage()), None
        return True


filter_logged_urls(_WithoutKeys())
