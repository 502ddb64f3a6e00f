"""Openverse, Wikimedia Commons and Google on loopback: the shapes of their answers, with invented values.

    with ProviderServer("http://127.0.0.1:8000") as server:     where the addresses of images lead
        server.catalogue["bored man"] = [Work(1), Work(2)]      what a query finds; others find `works_per_query`
        server.openverse, server.commons, server.google         the endpoints
        server.faults += [Fault(500), None, Fault(body=b"{")]   what happens to the next requests; None: nothing
        server.available["anon_sustained"] = 0                  Openverse's limits; a request counts against each
        server.licences[1] = ("by-nc", "2.0")                   a work that comes under another licence from now on
        server.requests                                         what was asked, in order

It refuses what the real ones refuse: more than 20 works a page, more than 240 a query, a User-Agent without contact,
renditions of odd widths, a wrong key.
"""

import json
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"
KEY, ENGINE = "a-key", "an-engine"
WIDTHS = ("20", "40", "60", "120", "250", "330", "500", "960", "1280", "1920", "3840")
LICENCE_NAMES = {"cc0": "CC0", "pdm": "Public domain", "unknown": "Copyrighted free use"}


@dataclass(frozen=True)
class Work:
    """An image that a provider knows. `over` replaces values of its answer."""

    number: int
    path: str | None = None  # below the address of the images; None: /good/NUMBER.jpg
    licence: str = "by"
    version: str | None = "2.0"
    over: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"Work {self.number}"

    @property
    def creator(self) -> str:
        return f"Creator {self.number}"


@dataclass(frozen=True)
class Fault:
    """An answer out of the ordinary; without a body an error of the provider's form."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Asked:
    path: str
    params: dict[str, str]
    headers: dict[str, str]  # by names in lower case


@dataclass(frozen=True)
class Reply:
    data: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class ProviderServer:
    """A server with threads on 127.0.0.1, at a port of its own, until the end of the `with` block."""

    def __init__(self, pictures: str, works_per_query: int = 45) -> None:
        self.pictures, self.works_per_query = pictures, works_per_query
        self.catalogue: dict[str, list[Work]] = {}
        self.faults: deque[Fault | None] = deque()
        self.available = {"anon_burst": 20, "anon_sustained": 200}
        self.rates = {"anon_burst": "20/min", "anon_sustained": "200/day"}
        self.licences: dict[int, tuple[str, str]] = {}
        self.requests: list[Asked] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "ProviderServer":
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def openverse(self) -> str:
        return f"{self.url}/v1/images/"

    @property
    def commons(self) -> str:
        return f"{self.url}/w/api.php"

    @property
    def google(self) -> str:
        return f"{self.url}/customsearch/v1"

    def works(self, words: str) -> list[Work]:
        """Return the results of a query, the same ones each time."""
        first = zlib.crc32(words.encode()) % 100_000 * 1000
        return self.catalogue.get(words, [Work(first + n) for n in range(self.works_per_query)])

    def picture(self, work: Work) -> str:
        return self.pictures + (work.path or f"/good/{work.number}.jpg")

    def licence(self, work: Work) -> tuple[str, str | None]:
        return self.licences.get(work.number, (work.licence, work.version))

    def reply(self, asked: Asked) -> Reply:
        answers = {"/v1/images/": self._openverse, "/w/api.php": self._commons, "/customsearch/v1": self._google}
        answer = answers.get(asked.path)
        return answer(asked) if answer else Reply({"detail": "Not found."}, 404)

    # -- Openverse

    def _openverse(self, asked: Asked) -> Reply:
        with self._lock:
            spent = [scope for scope, left in self.available.items() if left == 0]
            self.available = {scope: max(left - 1, 0) for scope, left in self.available.items()}
            headers = {f"X-RateLimit-Limit-{scope}": rate for scope, rate in self.rates.items()}
            headers |= {f"X-RateLimit-Available-{scope}": str(left) for scope, left in self.available.items()}
        if spent:
            waiting = "86400" if "anon_sustained" in spent else "60"
            return Reply({"detail": "Request was throttled."}, 429, headers | {"Retry-After": waiting})
        size, page = int(asked.params.get("page_size", 20)), int(asked.params.get("page", 1))
        if size > 20:
            return Reply({"detail": "page_size may not exceed 20 for anonymous requests"}, 401, headers)
        if size * page > 240:
            return Reply({"detail": "Ensure this value is less than or equal to 240."}, 400, headers)
        found = self.works(asked.params["q"])[:240]
        shown = found[(page - 1) * size : page * size]
        data = {"result_count": len(found), "page_count": -(-len(found) // size), "page_size": size, "page": page}
        return Reply(data | {"results": [self._openverse_work(work) for work in shown]}, headers=headers)

    def _openverse_work(self, work: Work) -> dict[str, Any]:
        licence, version = self.licence(work)
        identifier = f"00000000-0000-4000-8000-{work.number:012d}"
        return {
            "id": identifier,
            "indexed_on": "2021-03-04T05:06:07Z",
            "title": work.title,
            "foreign_landing_url": f"https://photos.example/{work.number}",
            "url": self.picture(work),
            "creator": work.creator,
            "creator_url": f"https://photos.example/people/{work.number}",
            "license": licence,
            "license_version": version,
            "license_url": f"https://creativecommons.org/licenses/{licence}/{version}/",
            "provider": "flickr",
            "source": "flickr",
            "category": "photograph",
            "filesize": 123456,
            "filetype": "jpg",
            "tags": [{"name": "face", "accuracy": 0.97}, {"name": "portrait", "accuracy": None}],
            "attribution": f'"{work.title}" by {work.creator} is licensed under {licence.upper()} {version}.',
            "fields_matched": ["title"],
            "mature": False,
            "height": 480,
            "width": 640,
            "thumbnail": f"{self.url}/v1/images/{identifier}/thumb/",
            "detail_url": f"{self.url}/v1/images/{identifier}/",
            "related_url": f"{self.url}/v1/images/{identifier}/related/",
            **work.over,
        }

    # -- Wikimedia Commons

    def _commons(self, asked: Asked) -> Reply:
        agent = asked.headers.get("user-agent", "")
        if "@" not in agent and "://" not in agent:
            return Reply({"error": "Please set a user-agent and respect our robot policy"}, 403)
        if asked.params["iiurlwidth"] not in WIDTHS:
            return Reply({"error": {"code": "badvalue", "info": "no such width"}}, 400)
        words = asked.params["gsrsearch"].removeprefix("filetype:bitmap ")
        limit, start = int(asked.params["gsrlimit"]), int(asked.params.get("gsroffset", 0))
        found = self.works(words)
        pages = [self._commons_file(work, start + n + 1) for n, work in enumerate(found[start : start + limit])]
        pages.sort(key=lambda page: page["pageid"])
        data: dict[str, Any] = {"batchcomplete": True}
        if pages:
            data["query"] = {"pages": pages}
        if start + limit < len(found):
            data["continue"] = {"gsroffset": start + limit, "continue": "gsroffset||"}
        return Reply(data)

    def _commons_file(self, work: Work, index: int) -> dict[str, Any]:
        licence, version = self.licence(work)
        name = LICENCE_NAMES.get(licence, f"CC {licence.upper()} {version}")
        said = {
            "LicenseShortName": name,
            "License": name.lower().replace(" ", "-"),
            "UsageTerms": name,
            "LicenseUrl": f"https://creativecommons.org/licenses/{licence}/{version}",
            "Artist": f'<a href="//commons.wikimedia.org/wiki/User:{work.number}" title="x">{work.creator}</a>'
            '<span style="display: none;">hidden words</span>',
            "Credit": '<span class="int-own-work" lang="en">Own work</span>',
            "GPSLatitude": "48.858333",
            "GPSLongitude": "2.294444",
            "GPSMapDatum": "WGS-84",
            "AttributionRequired": "true",
            "Restrictions": "personality",
        } | work.over.get("extmetadata", {})
        info = {
            "user": f"Uploader{work.number}",
            "timestamp": "2020-01-02T03:04:05Z",
            "size": 123456,
            "width": 4000,
            "height": 3000,
            "thumburl": self.picture(work),
            "thumbwidth": 960,
            "thumbheight": 720,
            "url": f"https://upload.wikimedia.org/original/{work.number}.jpg",
            "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{work.number}.jpg",
            "sha1": "0" * 40,
            "mime": "image/jpeg",
            "extmetadata": {key: {"value": value, "source": "commons-desc-page"} for key, value in said.items()},
        } | work.over.get("imageinfo", {})
        page = {"pageid": 10**9 - work.number, "ns": 6, "title": f"File:{work.title}.jpg", "index": index}
        return page | {"imagerepository": "local", "imageinfo": [info]}

    # -- Google

    def _google(self, asked: Asked) -> Reply:
        if (asked.params.get("key"), asked.params.get("cx")) != (KEY, ENGINE):
            return _google_error(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT")
        number, start = int(asked.params["num"]), int(asked.params["start"])
        if not 1 <= number <= 10 or start + number > 100:
            return _google_error(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        found = self.works(asked.params["q"])
        items = [self._google_item(work) for work in found[start - 1 : start - 1 + number]]
        queries: dict[str, Any] = {"request": [{"count": number, "startIndex": start, "searchType": "image"}]}
        if start - 1 + number < len(found):
            queries["nextPage"] = [{"count": number, "startIndex": start + number}]
        data = {
            "kind": "customsearch#search",
            "queries": queries,
            "searchInformation": {"totalResults": str(len(found))},
        }
        return Reply(data | ({"items": items} if items else {}))

    def _google_item(self, work: Work) -> dict[str, Any]:
        return {
            "kind": "customsearch#result",
            "title": work.title,
            "htmlTitle": f"<b>{work.title}</b>",
            "link": self.picture(work),
            "displayLink": "photos.example",
            "snippet": work.title,
            "mime": "image/jpeg",
            "fileFormat": "image/jpeg",
            "image": {
                "contextLink": f"https://photos.example/{work.number}",
                "height": 480,
                "width": 640,
                "byteSize": 123456,
                "thumbnailLink": "https://thumbs.example/1",
                "thumbnailHeight": 112,
                "thumbnailWidth": 150,
            },
            **work.over,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers)
                with server._lock:
                    server.requests.append(asked)
                    fault = server.faults.popleft() if server.faults else None
                reply = (
                    server.reply(asked) if fault is None else Reply({"detail": "a fault"}, fault.status, fault.headers)
                )
                body = json.dumps(reply.data).encode() if fault is None or fault.body is None else fault.body
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _google_error(code: int, message: str, status: str) -> Reply:
    return Reply({"error": {"code": code, "message": message, "status": status}}, code)
