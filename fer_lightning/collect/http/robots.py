"""Parser for robots.txt as RFC 9309 defines it: the longest matching rule decides, with `*` and `$`.

urllib.robotparser uses the first rule that matches, and treats `*` and `$` as plain letters. It would ignore
`Disallow: /*.jpg$`.
"""

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from urllib.parse import urlsplit

from requests.utils import requote_uri

MAX_LENGTH = 500 * 1024  # maximum characters that are read; the RFC demands at least 500 KiB
_LINE = re.compile(r"\s*(user-agent|allow|disallow)\s*:([^#]*)", re.IGNORECASE)
_PRODUCT = re.compile(r"[a-zA-Z_-]+|\*")


class RobotsRules:
    """Rules of a robots.txt for one user agent.

    agent  product name of the user agent, without a version, in any letter case
    """

    def __init__(self, text: str, agent: str) -> None:
        groups = _groups(text.removeprefix("\ufeff")[:MAX_LENGTH])
        self._rules = groups.get(agent.lower(), groups.get("*", []))

    def allow(self, path: str) -> bool:
        """Return True if a path, with its query, may be fetched."""
        path = _normal(path)
        matching = [(len(pattern), allowed) for pattern, allowed in self._rules if _matches(pattern, path)]
        return max(matching)[1] if matching else True


def _groups(text: str) -> dict[str, list[tuple[str, bool]]]:
    """Return the rules (pattern, allowed) by user agent in lower case."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    agents: list[str] = []
    closed = True  # the group has rules, so the next user-agent line starts a new group
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        key, value = match[1].lower(), match[2].strip()
        if key == "user-agent":
            agents = [] if closed else agents
            closed = False
            product = _PRODUCT.match(value)
            agents.append(product[0].lower() if product else "")
            groups.setdefault(agents[-1], [])
        else:
            closed = True
            if value:
                for agent in agents:
                    groups[agent].append((_normal(value), key == "allow"))
    return groups


def _normal(path: str) -> str:
    """Return a path in its normal form, with the same percent-encoding for the same bytes."""
    return re.sub("%[0-9a-f]{2}", lambda escape: escape[0].upper(), requote_uri(path), flags=re.IGNORECASE)


def _matches(pattern: str, path: str) -> bool:
    """Return True if a pattern matches a path.

    No regular expression is built from the pattern, because it comes from the host: the time depends only on lengths.
    """
    first, *pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    end = len(first)
    last = pieces.pop() if pieces and pattern.endswith("$") else None
    for piece in pieces:
        start = path.find(piece, end)
        if start < 0:
            return False
        end = start + len(piece)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= end
    return end == len(path) or not pattern.endswith("$")


class Robots:
    """Cache of the robots.txt of each host; each is requested once. Threads may share it.

    agent  product name whose rules apply
    get    function that returns the text of a robots.txt by its URL; its exception is raised for every URL of the host
    """

    def __init__(self, agent: str, get: Callable[[str], str]) -> None:
        self._agent = agent
        self._get = get
        self._rules: dict[str, Future[RobotsRules]] = {}
        self._lock = threading.Lock()

    def allow(self, url: str) -> bool:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self._of(f"{parts.scheme}://{parts.netloc}").result().allow(path)

    def _of(self, origin: str) -> "Future[RobotsRules]":
        with self._lock:
            existing = self._rules.get(origin)
            if existing:
                return existing
            future = self._rules[origin] = Future()
        try:
            future.set_result(RobotsRules(self._get(f"{origin}/robots.txt"), self._agent))
        except BaseException as error:  # other threads wait for the result
            future.set_exception(error)
        return future
