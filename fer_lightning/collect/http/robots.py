"""robots.txt as RFC 9309 has it: the longest rule that matches decides, with `*` and `$`.

urllib.robotparser takes the first rule that matches and reads `*` and `$` as letters, so that it would pass over
`Disallow: /*.jpg$`.
"""

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from urllib.parse import urlsplit

from requests.utils import requote_uri

MAX_LENGTH = 500 * 1024  # characters; the RFC's least limit for what has to be read
_LINE = re.compile(r"\s*(user-agent|allow|disallow)\s*:([^#]*)", re.IGNORECASE)
_PRODUCT = re.compile(r"[a-zA-Z_-]+|\*")


class Rules:
    """What a robots.txt says to one user agent.

    agent  its product name without a version, in any letter case
    """

    def __init__(self, text: str, agent: str) -> None:
        groups = _groups(text[:MAX_LENGTH])
        self._rules = groups.get(agent.lower(), groups.get("*", []))

    def allow(self, path: str) -> bool:
        """Whether a path, with its query, may be fetched."""
        path = _normal(path)
        matching = [(len(pattern), allowed) for pattern, allowed in self._rules if _matches(pattern, path)]
        return max(matching)[1] if matching else True


def _groups(text: str) -> dict[str, list[tuple[str, bool]]]:
    """(pattern, allowed) by the user agent in lower case."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    agents: list[str] = []
    closed = True  # the group has rules: the next user-agent line opens another
    for line in text.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        key, value = found[1].lower(), found[2].strip()
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
    """In the one way of writing its octets that is compared."""
    return re.sub("%[0-9a-f]{2}", lambda escape: escape[0].upper(), requote_uri(path), flags=re.IGNORECASE)


def _matches(pattern: str, path: str) -> bool:
    """In a time that grows with the lengths alone: no regular expression is made of a stranger's text."""
    first, *pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    last = pieces.pop() if pieces and pattern.endswith("$") else None
    for piece in pieces:
        place = path.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= place
    return place == len(path) or not pattern.endswith("$")


class Robots:
    """The robots.txt of each host, asked for once. Threads may share it.

    agent  the product name it is read for
    get    the text of a robots.txt by its address; what it raises is raised again for each address of that host
    """

    def __init__(self, agent: str, get: Callable[[str], str]) -> None:
        self._agent = agent
        self._get = get
        self._rules: dict[str, Future[Rules]] = {}
        self._lock = threading.Lock()

    def allow(self, url: str) -> bool:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self._of(f"{parts.scheme}://{parts.netloc}").result().allow(path)

    def _of(self, origin: str) -> "Future[Rules]":
        with self._lock:
            known = self._rules.get(origin)
            if known:
                return known
            future = self._rules[origin] = Future()
        try:
            future.set_result(Rules(self._get(f"{origin}/robots.txt"), self._agent))
        except BaseException as error:  # others wait for it
            future.set_exception(error)
        return future
