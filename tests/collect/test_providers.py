"""Requests of each provider, its use of the answers, and its message if it may not be used."""

import copy
import csv
import json
import logging
import os
import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from collect_provider_server import ENGINE, KEY, LOOPBACK, Asked, Fault, ProviderServer, Work
from conftest import ROOT
from requests.structures import CaseInsensitiveDict

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.providers.commons import Commons
from fer_lightning.collect.providers.fields import first_link, plain, tags, text, web_url, whole
from fer_lightning.collect.providers.google import Google
from fer_lightning.collect.providers.licences import CODES, licence_code, licence_page
from fer_lightning.collect.providers.local import Local
from fer_lightning.collect.providers.openverse import Openverse
from fer_lightning.collect.providers.provider import Provider, Query, SearchFailed, SearchPage
from fer_lightning.config.groups import options
from fer_lightning.config.option_settings import option_class
from fer_lightning.errors import UserError

BORED = Query("bored man", "en", "boredom")
CONTACT = {"COLLECT_CONTACT": "me@example.org"}
KEYS = {"GOOGLE_API_KEY": KEY, "GOOGLE_CX": ENGINE}


@pytest.fixture
def server():
    with ProviderServer("http://127.0.0.1:9") as server:
        yield server


def client(agent="fer_lightning/test (me@example.org)"):
    return ImageClient(user_agent=agent, allow_loopback=True, requests_per_second=10_000, sleep=lambda seconds: None)


def openverse(server, **options):
    return Openverse(client(), endpoint=server.openverse, hosts=[LOOPBACK], **options)


def commons(server, **options):
    return Commons(client(), CONTACT, endpoint=server.commons, hosts=[LOOPBACK], **options)


def google(server, keys=KEYS, **options):
    return Google(client(), keys, endpoint=server.google, **options)


def pages(provider, query=BORED):
    """All of a query's pages."""
    found, cursor = [provider.search(query, None)], None
    while (cursor := found[-1].next_cursor) is not None:
        found.append(provider.search(query, cursor))
    return found


# -- licences and texts


@pytest.mark.parametrize(
    ("name", "code", "version"),
    [
        ("CC BY-SA 4.0", "by-sa", "4.0"),
        ("CC BY-SA 3.0 de", "by-sa", "3.0"),
        ("cc-by-sa-4.0,3.0,2.5,2.0,1.0", "by-sa", "4.0"),
        ("CC BY-SA 4.0-3.0-2.5", "by-sa", "4.0"),
        ("by-nc-sa", "by-nc-sa", None),
        ("CC BY-ND-NC 1.0", "by-nc-nd", "1.0"),
        ("cc0", "cc0", None),
        ("CC0 1.0", "cc0", "1.0"),
        ("pdm", "pdm", None),
        ("Public domain", "pdm", None),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "by-sa", "4.0"),
        ("Creative Commons Attribution-NoDerivs 2.0", "by-nd", "2.0"),
        ("https://creativecommons.org/licenses/by-nc/2.0/", "by-nc", "2.0"),
        ("http://creativecommons.org/licenses/by-sa/3.0/deed.de", "by-sa", "3.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0", "1.0"),
        ("own", "own", None),
        ("", "unknown", None),
        (None, "unknown", None),
        ("Attribution", "unknown", None),
        ("GFDL", "unknown", None),
        ("sampling+", "unknown", None),
        ("No restrictions", "unknown", None),
        ("CC BY 4.0 ND", "unknown", None),
        ("not CC BY 4.0", "unknown", None),
        ("https://evil.example/creativecommons.org/licenses/by/4.0/", "unknown", None),
        ("CC NC 1.0", "unknown", None),
    ],
)
def test_licences_have_one_spelling(name, code, version):
    assert licence_code(name) == (code, version)


def test_every_code_is_its_own_spelling_and_has_a_page_where_it_is_a_public_licence():
    assert [licence_code(code)[0] for code in CODES] == list(CODES)
    assert [code for code in CODES if licence_page(code, "4.0") is None] == ["own", "unknown"]


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ('<a href="//x.org/u">Ann &amp; <b>Bo</b></a>', "Ann & Bo"),
        ('Unknown author<span style="display: none;">Unknown author</span>', "Unknown author"),
        ("a<script>alert('<b>')</script>b<style>p{}</style>c", "abc"),
        ("one<br>two<p>three", "one two three"),
        ('<div style="display:none"><div>deep</div><br></div>shown', "shown"),
        ("1 < 2 and <unclosed", "1 < 2 and <unclosed"),
        ("<span>", None),
        (None, None),
        (7, None),
    ],
)
def test_html_becomes_what_a_reader_sees(html, seen):
    assert plain(html) == seen


def test_the_first_usable_link_is_the_creators_page():
    html = '<a href="javascript:alert(1)">a</a> <a href="//commons.wikimedia.org/wiki/User:A">b</a>'
    assert first_link(html) == "https://commons.wikimedia.org/wiki/User:A"


def test_texts_are_one_line_short_and_without_tricks():
    assert text("a\x00b\x1b[31m\nc\u202egpj.exe\ud800") == "ab[31m cgpj.exe"
    assert text("می\u200cخواهم") == "می\u200cخواهم"
    assert len(text("x" * 5000)) == 300
    assert [text(value) for value in (" \n ", "", None, 3, ["a"])] == [None] * 5
    assert tags(["a", "a", None, "b" * 99]) == ("a", "b" * 60)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user:pass@host.org/",  # pragma: allowlist secret
        "https:///nohost",
        "https://a b.org/",
        "https://a.org/\u202e",
        "http://[::1",
        "https://a.org:99999/",
        "https://a.org/" + "x" * 3000,
        "data:image/png;base64,AAAA",
        "a.jpg",
        None,
    ],
)
def test_only_plain_web_addresses_pass(url):
    assert web_url(url) is None


def test_sides_are_counts_of_pixels():
    assert [whole(value) for value in (1, 4000, 0, -1, True, 1.5, "7", 10**30)] == [1, 4000] + [None] * 6


# -- Openverse


def test_openverse_is_asked_for_works_that_may_be_cropped(server):
    openverse(server).search(BORED, "3")
    assert server.requests[0].params == {
        "q": "bored man",
        "page": "3",
        "page_size": "20",
        "license_type": "modification",
        "category": "photograph",
        "extension": "jpg,png",
        "mature": "false",
        "filter_dead": "true",
    }


def test_openverse_tells_of_each_work_what_it_knows(server):
    server.catalogue["bored man"] = [Work(7, licence="by-sa", version="4.0")]
    (found,) = openverse(server).search(BORED, None).candidates
    assert (found.provider, found.provider_id[-2:], found.licence, found.licence_version) == (
        "openverse",
        "07",
        "by-sa",
        "4.0",
    )
    assert (found.image_url, found.landing_url) == ("http://127.0.0.1:9/good/7.jpg", "https://photos.example/7")
    assert (found.title, found.creator, found.width, found.height) == ("Work 7", "Creator 7", 640, 480)
    assert found.creator_url == "https://photos.example/people/7"
    assert found.licence_url == "https://creativecommons.org/licenses/by-sa/4.0/"
    assert (found.licence_source, found.tags) == ("api", ("face", "portrait"))
    assert "Creator 7" in found.attribution
    assert len(found.raw_sha256) == 64


@pytest.mark.parametrize(("works", "sizes"), [(45, [20, 20, 5]), (300, [20] * 12), (0, [0]), (40, [20, 20])])
def test_openverse_is_read_to_the_end_and_never_beyond_240_works(server, works, sizes):
    server.catalogue["bored man"] = [Work(n) for n in range(works)]
    found = pages(openverse(server))
    assert [len(page.candidates) for page in found] == sizes
    assert len({one.provider_id for page in found for one in page.candidates}) == min(works, 240)


def test_openverse_offers_neither_works_that_may_not_be_cropped_nor_unknown_licences(server):
    server.catalogue["bored man"] = [
        Work(1),
        Work(2, licence="by-nd"),
        Work(3, licence="by-nc-nd"),
        Work(4, licence="sampling+"),
        Work(5, over={"mature": True}),
        Work(6, over={"license": None}),
    ]
    page = openverse(server).search(BORED, None)
    assert [one.title for one in page.candidates] == ["Work 1"]
    assert page.dropped == {"licence forbids adaptations": 2, "licence unknown": 2, "marked as mature": 1}


def test_openverse_works_on_other_hosts_come_as_its_own_rendition_or_not_at_all(server):
    elsewhere = {"url": "https://museum.example/huge.jpg"}
    nowhere = elsewhere | {"thumbnail": "https://evil.example/thumb/"}
    server.catalogue["bored man"] = [Work(1, over=elsewhere), Work(2, over=nowhere)]
    page = openverse(server).search(BORED, None)
    assert [one.image_url for one in page.candidates] == [
        f"{server.url}/v1/images/00000000-0000-4000-8000-000000000001/thumb/"
    ]
    assert page.dropped == {"no image on an allowed host": 1}


def test_openverse_says_what_is_left(server):
    quota = openverse(server).search(BORED, None).quota
    assert (quota.remaining, quota.resets_at) == (19, None)
    assert quota.detail == "anon_burst 19 of 20/min, anon_sustained 199 of 200/day"


@pytest.mark.parametrize(
    ("scope", "rate", "seconds"),
    [
        ("anon_burst", "20/min", 60),
        ("anon_burst", "5/hour", 3600),
        ("anon_sustained", "200/day", 86_400),
        ("anon_sustained", "whatever", 86_400),
    ],
)
def test_openverse_says_when_a_spent_limit_is_over(server, scope, rate, seconds, monkeypatch):
    monkeypatch.setattr("fer_lightning.collect.providers.openverse.in_seconds", lambda seconds: f"in {seconds}")
    server.available[scope], server.rates[scope] = 1, rate
    quota = openverse(server).search(BORED, None).quota
    assert (quota.remaining, quota.resets_at) == (0, f"in {seconds}")


def test_of_two_spent_limits_the_longer_one_counts(server, monkeypatch):
    monkeypatch.setattr("fer_lightning.collect.providers.openverse.in_seconds", lambda seconds: f"in {seconds}")
    server.available = {"anon_sustained": 1, "anon_burst": 1}
    assert openverse(server).search(BORED, None).quota.resets_at == "in 86400"


@pytest.mark.parametrize(
    ("available", "expected"), [({}, None), ({"anon_burst": "9" * 5000, "anon_sustained": "soon"}, None)]
)
def test_openverse_may_say_nothing_of_its_limits(server, available, expected):
    headers = {f"X-RateLimit-Available-{scope}": value for scope, value in available.items()}
    server.faults.append(Fault(200, headers, b'{"results": []}'))
    assert openverse(server).search(BORED, None).quota == expected


def test_openverse_with_a_page_that_it_refuses_is_final(server):
    with pytest.raises(SearchFailed, match="page_size may not exceed 20") as failure:
        openverse(server, page_size=21).search(BORED, None)
    assert failure.value.final


# -- Wikimedia Commons


def test_commons_is_asked_for_bitmaps_with_licences_and_without_places(server):
    commons(server).search(BORED, None)
    params = server.requests[0].params
    assert params.pop("iiextmetadatafilter").split("|") == [
        "LicenseShortName",
        "License",
        "UsageTerms",
        "LicenseUrl",
        "Artist",
        "Attribution",
        "Restrictions",
    ]
    assert params == {
        "action": "query",
        "format": "json",
        "formatversion": "2",
        "generator": "search",
        "gsrnamespace": "6",
        "gsrsearch": "filetype:bitmap bored man",
        "gsrlimit": "50",
        "prop": "imageinfo",
        "iiprop": "url|size|mime|sha1|user|timestamp|extmetadata",
        "iiurlwidth": "960",
        "maxlag": "5",
    }


def test_commons_html_is_stripped_and_places_are_dropped(server):
    server.catalogue["bored man"] = [Work(7, licence="by-sa", version="4.0")]
    (found,) = commons(server).search(BORED, None).candidates
    assert (found.creator, found.creator_url) == ("Creator 7", "https://commons.wikimedia.org/wiki/User:7")
    assert (found.licence, found.licence_version, found.restrictions) == ("by-sa", "4.0", "personality")
    assert found.attribution == "Work 7.jpg, Creator 7, CC BY-SA 4.0, via Wikimedia Commons"
    assert found.image_url == "http://127.0.0.1:9/good/7.jpg"
    assert (found.landing_url, found.title) == ("https://commons.wikimedia.org/wiki/File:7.jpg", "Work 7.jpg")
    assert not any(place in repr(found) for place in ("48.858", "2.294", "GPS", "WGS"))


def test_commons_credits_as_its_authors_ask(server):
    server.catalogue["bored man"] = [Work(7, over={"extmetadata": {"Attribution": "© <b>Ann</b> / CC BY"}})]
    assert commons(server).search(BORED, None).candidates[0].attribution == "© Ann / CC BY"


def test_commons_offers_the_best_first_and_is_read_to_the_end(server):
    server.catalogue["bored man"] = [Work(n) for n in range(1, 121)]
    found = pages(commons(server))
    assert [len(page.candidates) for page in found] == [50, 50, 20]
    assert [one.title for page in found for one in page.candidates] == [f"Work {n}.jpg" for n in range(1, 121)]


def test_commons_without_any_find_is_an_empty_page(server):
    server.catalogue["bored man"] = []
    assert [(page.candidates, page.next_cursor) for page in pages(commons(server))] == [([], None)]


def test_commons_offers_nothing_without_a_free_licence_or_from_another_host(server):
    server.catalogue["bored man"] = [
        Work(1, licence="pdm"),
        Work(2, licence="by-nd"),
        Work(3, licence="unknown"),
        Work(4, over={"imageinfo": {"thumburl": "https://evil.example/1.jpg"}}),
        Work(5, over={"imageinfo": {"thumburl": None}}),
        Work(6, over={"imageinfo": {"mime": "image/svg+xml"}}),
    ]
    server.catalogue["bored man"][2].over["extmetadata"] = {"LicenseUrl": "", "License": "", "UsageTerms": ""}
    page = commons(server).search(BORED, None)
    assert [one.licence for one in page.candidates] == ["pdm"]
    assert page.dropped == {
        "licence forbids adaptations": 1,
        "licence unknown": 1,
        "no rendition on an allowed host": 2,
        "format is not JPEG, PNG, WebP or TIFF": 1,
    }


def test_what_commons_wants_sent_back_changes_nothing_that_is_asked(server):
    server.faults.append(Fault(body=b'{"continue": {"gsroffset": 50, "action": "edit", "continue": "gsroffset||"}}'))
    provider = commons(server)
    provider.search(BORED, provider.search(BORED, None).next_cursor)
    params = server.requests[1].params
    assert (params["gsroffset"], params["continue"], params["action"]) == ("50", "gsroffset||", "query")


@pytest.mark.parametrize(
    ("headers", "waiting"), [({"Retry-After": "7"}, 7), ({}, 5), ({"Retry-After": "9" * 400}, 86_400)]
)
def test_commons_that_lags_behind_is_waited_for(server, headers, waiting):
    server.faults.append(Fault(200, headers, b'{"error": {"code": "maxlag", "info": "Waiting for db", "lag": 6.1}}'))
    with pytest.raises(SearchFailed, match="busy") as failure:
        commons(server).search(BORED, None)
    assert (failure.value.retry_after, failure.value.final) == (waiting, False)


def test_commons_errors_are_told(server):
    server.faults.append(Fault(body=b'{"error": {"code": "badvalue", "info": "Unrecognized value\\u001b[2J"}}'))
    with pytest.raises(SearchFailed, match=r"answered badvalue: Unrecognized value\[2J"):
        commons(server).search(BORED, None)


def test_commons_refuses_programs_without_contact(server):
    provider = Commons(client("fer_lightning/test"), CONTACT, endpoint=server.commons, hosts=[LOOPBACK])
    with pytest.raises(SearchFailed, match="Please set a user-agent") as failure:
        provider.search(BORED, None)
    assert failure.value.final


@pytest.mark.parametrize("contact", [None, " ", "me", "me@example.org\nInjected: header"])
def test_commons_needs_a_contact(server, contact):
    keys = {} if contact is None else {"COLLECT_CONTACT": contact}
    with pytest.raises(UserError, match=r"COLLECT_CONTACT=.*\.env.*provider=openverse"):
        Commons(client(), keys, endpoint=server.commons, hosts=[LOOPBACK]).ready()


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/me"])
def test_commons_is_ready_with_a_contact(server, contact):
    Commons(client(), {"COLLECT_CONTACT": contact}, endpoint=server.commons, hosts=[LOOPBACK]).ready()


# -- Google


@pytest.mark.parametrize("day", [date(2027, 1, 1), date(2030, 5, 5)])
def test_google_is_refused_once_it_has_ended(server, day):
    with pytest.raises(UserError, match=r"ended the Custom Search API on 2027-01-01.*provider=openverse"):
        google(server, today=lambda: day).ready()


def test_google_warns_before(server, caplog):
    google(server, today=lambda: date(2026, 12, 31)).ready()
    assert "ends it on 2027-01-01" in caplog.text


@pytest.mark.parametrize("missing", ["GOOGLE_API_KEY", "GOOGLE_CX"])
def test_google_needs_its_keys(server, missing):
    keys = {name: value for name, value in KEYS.items() if name != missing}
    with pytest.raises(UserError, match=rf"^{missing}: not set.*\.env"):
        google(server, keys, today=lambda: date(2026, 12, 1)).ready()


def test_google_is_never_asked_beyond_its_hundred(server):
    server.catalogue["bored man"] = [Work(n) for n in range(500)]
    found = pages(google(server))
    assert [(request.params["start"], request.params["num"]) for request in server.requests][-2:] == [
        ("81", "10"),
        ("91", "9"),
    ]
    assert sum(len(page.candidates) for page in found) == 99


def test_google_finds_have_no_licence(server):
    (found, *_) = google(server).search(BORED, None).candidates
    assert (found.licence, found.licence_source, Google.states_licences, Google.hosts) == ("unknown", None, False, None)
    assert found.landing_url.startswith("https://photos.example/")
    assert {name: server.requests[0].params[name] for name in ("searchType", "imgType", "safe")} == {
        "searchType": "image",
        "imgType": "face",
        "safe": "active",
    }


def test_google_that_finds_nothing_is_an_empty_page(server):
    server.catalogue["bored man"] = []
    assert [page.candidates for page in pages(google(server))] == [[]]


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (403, "This project does not have the access to Custom Search JSON API.", "accepts no new customers"),
        (400, "API key not valid.", "GOOGLE_API_KEY and GOOGLE_CX in .env"),
    ],
)
def test_google_refusals_are_explained(server, status, message, words):
    body = {"error": {"code": status, "message": message, "status": "PERMISSION_DENIED"}}
    server.faults.append(Fault(status, {}, json.dumps(body).encode()))
    with pytest.raises(SearchFailed, match=words) as failure:
        google(server).search(BORED, None)
    assert message in failure.value.reason
    assert failure.value.final


def test_google_whose_day_is_spent_is_left_alone_for_a_day(server):
    server.faults += [Fault(429)] * 4
    with pytest.raises(SearchFailed, match="429") as failure:
        google(server).search(BORED, None)
    assert failure.value.retry_after == 86_400


@pytest.mark.parametrize(
    "fault",
    [Fault(403, {}, b'{"error": {"message": "key=a-secret is bad"}}'), Fault(500), Fault(body=b"{"), Fault(302)],
)
def test_the_key_is_never_told(server, caplog, fault):
    caplog.set_level(logging.DEBUG)
    server.faults += [fault] * 4
    provider = google(server, {"GOOGLE_API_KEY": "a-secret", "GOOGLE_CX": "a-secret-engine"})
    with pytest.raises(SearchFailed) as failure:
        provider.search(BORED, None)
    assert "a-secret" not in failure.value.reason + caplog.text + str(failure.value)
    assert failure.value.__cause__ is None


# -- answers out of the ordinary

WEB = {"openverse": openverse, "commons": commons, "google": google}


@pytest.mark.parametrize("make", WEB.values(), ids=WEB)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(500), "500"),
        (Fault(503, {"Retry-After": "1"}), "503"),
        (Fault(429, {"Retry-After": "30"}), "429"),
        (Fault(404), "404"),
        (Fault(body=b'{"results": [{"id": '), "not valid JSON"),
        (Fault(body=b"<html>busy</html>"), "not valid JSON"),
        (Fault(body=b"[1, 2]"), "list"),
        (Fault(body=b"null"), "NoneType"),
        (Fault(body=b'{"results": 3, "items": 3, "query": 3}'), "no list"),
    ],
)
def test_faults_are_failures_in_words(server, make, fault, words):
    server.faults += [fault] * 4
    with pytest.raises(SearchFailed, match=words) as failure:
        make(server).search(BORED, None)
    assert not failure.value.final


def test_how_long_a_provider_asks_to_wait_is_told(server):
    server.faults += [Fault(429, {"Retry-After": "7200"})]
    with pytest.raises(SearchFailed) as failure:
        openverse(server).search(BORED, None)
    assert failure.value.retry_after == 7200


def test_a_provider_that_cannot_be_reached_is_a_failure():
    with ProviderServer("http://127.0.0.1:9") as server:
        provider = openverse(server)
    with pytest.raises(SearchFailed, match="Openverse") as failure:
        provider.search(BORED, None)
    assert not failure.value.final


class Canned:
    """A client that has one answer."""

    def __init__(self, data):
        self.data = data

    def get_json(self, *_, **__):
        return copy.deepcopy(self.data), CaseInsensitiveDict(), "0" * 64


JUNK = [None, True, -1, 10**40, 1.5, "", "x" * 9000, "\ud800", [], {}, [[]], {"value": 3}, ["\x00"], "javascript:1"]


def mutated(data, chance: random.Random):
    """The answer with junk in the place of one of its parts."""
    changed = copy.deepcopy(data)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(changed)
    for _ in range(chance.randint(1, 3)):
        node, key = chance.choice(places)
        node[key] = chance.choice(JUNK)
    return changed


@pytest.mark.parametrize("make", WEB.values(), ids=WEB)
def test_strange_answers_are_pages_or_failures_and_nothing_else(server, make):
    server.catalogue["bored man"] = [Work(1), Work(2)]
    provider = make(server)
    provider.search(BORED, None)
    data = server.reply(Asked(server.requests[0].path, server.requests[0].params, server.requests[0].headers)).data
    chance, outcomes = random.Random(0), set()
    for _ in range(400):
        provider = replace(provider, client=Canned(mutated(data, chance)))
        try:
            page = provider.search(BORED, None)
        except SearchFailed:
            outcomes.add("failed")
            continue
        outcomes.add("page")
        assert isinstance(page, SearchPage)
        for found in page.candidates:
            json.dumps(vars(found)).encode()
            assert web_url(found.image_url)
            "".join(filter(None, (found.title, found.creator, found.attribution))).encode()
    assert outcomes == {"page", "failed"}


# -- images on this machine


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture of " + name.encode())
    return folder


def manifest(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "list.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def offered(path, **options):
    provider = Local(path=str(path), **options)
    provider.ready()
    return [one for page in pages(provider) for one in page.candidates]


def names_of(candidates):
    return [one.image_url.rpartition("/")[2] for one in candidates]


def test_a_folder_offers_its_pictures_in_order(tmp_path, caplog):
    pictures(tmp_path, "b.JPG", "a/z.png", "a/c.webp", "a.jpeg", ".hidden.jpg", ".git/x.jpg", "notes.txt", "é ü.jpg")
    found = offered(tmp_path, page_size=2)
    names = ["a.jpeg", "b.JPG", "é ü.jpg", "a/c.webp", "a/z.png"]
    assert [one.image_url for one in found] == [(tmp_path / name).as_uri() for name in names]
    assert {one.title for one in found} == {None}  # a file's name may be a person's
    assert {(one.licence, one.licence_source, one.creator) for one in found} == {("unknown", "setting", None)}
    assert "1 .txt" in caplog.text


def test_a_folder_never_leads_out_of_itself(tmp_path):
    pictures(tmp_path, "out/secret.jpg", "in/a.jpg")
    (tmp_path / "in/link.jpg").symlink_to(tmp_path / "out/secret.jpg")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out")
    (tmp_path / "in/self.jpg").symlink_to("self.jpg")
    (tmp_path / "in/inside.jpg").symlink_to("a.jpg")
    assert names_of(offered(tmp_path / "in")) == ["a.jpg", "inside.jpg"]


def test_a_file_keeps_its_name_until_it_changes(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    before = offered(tmp_path)
    (tmp_path / "b.jpg").write_bytes(b"another picture")
    pictures(tmp_path, "d.jpg")
    os.utime(tmp_path / "c.jpg", ns=(0, 0))
    known = {one.provider_id for one in before}
    assert names_of(one for one in offered(tmp_path) if one.provider_id in known) == ["a.jpg"]


def test_names_that_are_no_text_are_no_obstacle(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    (found,) = offered(tmp_path)
    assert found.image_url.endswith("caf%E9.jpg")


def test_the_licence_of_a_whole_folder_is_a_setting(tmp_path):
    pictures(tmp_path, "a.jpg")
    (found,) = offered(tmp_path, licence="CC BY 4.0", creator="Ann")
    assert (found.licence, found.licence_version, found.creator) == ("by", "4.0", "Ann")
    assert found.licence_url == "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": None}, r"provider\.path: not set\. Name a folder .* FROM=folder"),
        ({"path": "nowhere"}, r"provider\.path=.*nowhere: no such file or folder"),
        ({"path": "empty"}, "holds no images"),
        ({"path": "full/a.jpg"}, "is a single image. Name its folder"),
        ({"path": "full", "licence": "own"}, r"provider\.licence=own: .* credit\. Add provider\.creator=NAME"),
        ({"path": "full", "licence": "mine"}, r"provider\.licence=mine: unknown licence\. Allowed: cc0, pdm"),
        ({"path": "full", "page_size": 0}, r"page_size=0: must be from 1 to"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    pictures(tmp_path, "full/a.jpg")
    with pytest.raises(UserError, match=words):
        Local(**options).ready()


def test_a_manifest_tells_licences_and_creators(tmp_path):
    pictures(tmp_path, "photos/a.jpg", "photos/b.jpg")
    rows = [
        {"path": "photos/a.jpg", "url": "", "licence": "CC BY-SA 4.0", "creator": "=Ann", "keywords": "bored; desk"},
        {"path": "", "url": "https://host.example/x.jpg", "licence": "", "creator": "", "keywords": ""},
        {"path": "photos/b.jpg", "url": "", "licence": "own", "creator": "", "keywords": ""},
    ]
    found = offered(manifest(tmp_path, *rows), creator="Me")
    assert [(one.licence, one.creator, one.licence_source) for one in found] == [
        ("by-sa", "=Ann", "manifest"),
        ("unknown", "Me", "setting"),
        ("own", "Me", "manifest"),
    ]
    assert found[0].image_url == (tmp_path / "photos/a.jpg").as_uri()
    assert found[0].tags == ("bored", "desk")
    assert found[1].image_url == "https://host.example/x.jpg"


def test_a_manifest_from_a_spreadsheet_is_read(tmp_path, caplog):
    pictures(tmp_path, "a.jpg")
    path = tmp_path / "list.csv"
    path.write_bytes("\ufeffPath,License,Creator,Shoe size\r\na.jpg,CC0,,42\r\na.jpg,CC0,,42\r\n".encode())
    (found,) = offered(path)
    assert (found.licence, found.creator) == ("cc0", None)
    assert "Shoe size" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column path or url. Its columns: none"),
        (b"file,licence\na.jpg,cc0\n", "has no column path or url. Its columns: file, licence"),
        (b"path,licence\nb.jpg,cc0\n", r"line 2, path='b\.jpg': no such file"),
        (b"path,licence\na.jpg,cc0\n../out.jpg,cc0\n", r"line 3, path='\.\./out\.jpg': is outside"),
        (b"path,licence\n/etc/hostname,cc0\n", r"line 2, path='/etc/hostname': is outside"),
        (b"path,licence\na\x00.jpg,cc0\n", "line 2"),
        (b"path,licence\nloop.jpg,cc0\n", r"line 2, path='loop\.jpg': no such file"),
        (b"path,licence\na.jpg,mine\n", r"line 2, licence='mine': unknown licence\. Allowed: cc0, pdm"),
        (
            b"path,licence\na.jpg,CC BY 4.0\n",
            "line 2, licence=by: this licence requires a credit. Fill the column creator",
        ),
        (b"path,licence\na.jpg\n", "line 2: has more or fewer fields"),
        (b"path,licence\na.jpg,cc0,x\n", "line 2: has more or fewer fields"),
        (b"path,url\n,\n", "line 2: must have a path or a url"),
        (b"path,url\na.jpg,https://x.org/a.jpg\n", "line 2: must have a path or a url"),
        (b"url\nfile:///etc/passwd\n", r"line 2, url='file:///etc/passwd': must be a URL"),
        (b"path,landing_url\na.jpg,javascript:alert(1)\n", "line 2, landing_url='javascript"),
        (b"path,licence\n\xff\xfe,cc0\n", "is not UTF-8"),
        (b'path,licence\n"a.jpg,cc0\n', "line 2: unexpected end of data"),
        (b"path,licence\n" + b"a" * 200_000 + b",cc0\n", "line 2: field larger than"),
        (b"path,licence\n", "holds no images"),
    ],
)
def test_a_manifest_is_refused_by_line(tmp_path, content, words):
    folder = pictures(tmp_path, "out.jpg", "in/a.jpg") / "in"
    (folder / "loop.jpg").symlink_to("loop.jpg")
    path = folder / "list.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"(?s){path}.*{words}"):
        Local(path=str(path)).ready()


# -- the files of conf/collect/provider


@pytest.mark.parametrize("option", options("collect/provider"))
def test_every_yaml_makes_a_provider(option):
    provider = option_class(Provider, "collect/provider", option)(client(), CONTACT | KEYS)
    assert provider.name == option
    assert all(hasattr(provider, name) for name in Provider.__annotations__)
    assert isinstance(type(provider).states_licences, bool)
    assert isinstance(provider, Local) or provider.terms_url.startswith("https://")
    assert isinstance(provider, Local) or date.fromisoformat(provider.terms_checked_on)
    assert provider.hosts is None or all("." in host and "/" not in host for host in provider.hosts)


def test_there_is_a_yaml_for_each_provider():
    modules = {path.stem for path in (ROOT / "fer_lightning" / "collect" / "providers").glob("*.py")}
    assert modules - {"__init__", "provider", "fields", "licences"} == set(options("collect/provider"))


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (openverse, {"page_size": 0}, "page_size=0"),
        (openverse, {"requests_per_minute": 0}, "requests_per_minute=0"),
        (commons, {"width": 1000}, "width=1000: must be one of 250"),
        (commons, {"page_size": 51}, r"page_size=51: must be from 1 to 50"),
        (google, {"page_size": 11}, r"page_size=11: must be from 1 to 10"),
        (google, {"requests_per_day": 0}, "requests_per_day=0"),
    ],
)
def test_options_that_a_service_does_not_take_are_refused(server, make, options, words):
    with pytest.raises(UserError, match=words):
        make(server, **options)
