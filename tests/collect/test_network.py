import email.utils
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from functools import partial
from urllib.parse import urlsplit

import pytest
from collect_server import ImageHost, in_turn, redirect, send, status

from fer_lightning.collect.http.client import HttpReason, ImageClient, Refused, Stopped, opt_out
from fer_lightning.errors import UserError

OURS = ("127.0.0.1",)
AGENT = "fer_lightning/0.1 (someone@example.org) requests"
# A deadline of one second must end a request well before this; machines under load are slow.
SOON = 10.0


class Sleeps(list):
    """Stands in for time.sleep."""

    def __call__(self, seconds):
        self.append(seconds)


def client(**options) -> ImageClient:
    usual = {"user_agent": AGENT, "allow_loopback": True, "requests_per_second": 1e9, "sleep": Sleeps()}
    return ImageClient(**usual | options)


def refusal(getter, url, hosts=OURS) -> Refused:
    with pytest.raises(Refused) as caught:
        getter.get_bytes(url, hosts=hosts)
    return caught.value


@pytest.fixture
def no_lookup(monkeypatch):
    def unexpected(*_, **__):
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", unexpected)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """One that says 127.0.0.1 and is signed by itself; its key beside it."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure_host(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    with ImageHost(tls=context) as host:
        yield host


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate / "certificate.pem"))


# -- where a request may go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[::127.0.0.1]",
        "[::]",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00::1]",
        "[ff02::1]",
    ],
)
def test_no_request_goes_to_an_address_that_is_not_public(host):
    url = f"http://{host}/secret.jpg"
    refused = refusal(client(allow_loopback=False), url, hosts=(urlsplit(url).hostname,))
    assert refused.reason is HttpReason.PRIVATE_ADDRESS
    assert refused.final


@pytest.mark.parametrize("allow_loopback", [False, True])
def test_loopback_alone_is_opened_for_tests(allow_loopback, image_host):
    getter = client(allow_loopback=allow_loopback)
    if allow_loopback:
        assert getter.get_bytes(image_host.url("/good/1.jpg"), hosts=OURS).data.startswith(b"\xff\xd8\xff")
    else:
        assert refusal(getter, image_host.url("/good/1.jpg")).reason is HttpReason.PRIVATE_ADDRESS
    assert refusal(getter, "http://10.0.0.1/1.jpg", hosts=None).reason is HttpReason.PRIVATE_ADDRESS


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pictures.example/1.jpg",
        "file:///etc/passwd",
        "ftp://pictures.example/1.jpg",
        "gopher://pictures.example/1.jpg",
        "httpx://pictures.example/1.jpg",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///1.jpg",
        "http://[::1/1.jpg",
        "http://user:word@pictures.example/1.jpg",  # pragma: allowlist secret
        "http://pictures.example:99999/1.jpg",
        "http://\x00/1.jpg",
    ],
)
def test_what_is_no_address_of_a_picture_is_refused_unasked(url, no_lookup):
    refused = refusal(client(), url, hosts=("pictures.example",))
    assert refused.reason is HttpReason.BAD_ADDRESS
    assert "word" not in str(refused)


def test_only_the_standard_ports(monkeypatch):
    public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 6379))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: public)
    refused = refusal(client(), "http://pictures.example:6379/1.jpg", hosts=("pictures.example",))
    assert refused.reason is HttpReason.BAD_ADDRESS
    assert "6379" in refused.detail


@pytest.mark.parametrize("host", ["elsewhere.example", "pictures.example.elsewhere.example", "pictures.example."])
def test_hosts_that_a_provider_did_not_name_are_not_looked_up(host, no_lookup):
    assert refusal(client(), f"https://{host}/1.jpg", ("pictures.example",)).reason is HttpReason.HOST_NOT_ALLOWED


@pytest.mark.parametrize("authority", [r"pictures.example\@elsewhere.example", r"elsewhere.example\@pictures.example"])
def test_the_host_that_is_checked_is_the_host_that_is_asked(authority, monkeypatch):
    """A backslash ends the host for one reader of addresses and not for another."""
    asked = []

    def unknown(name, *_, **__):
        asked.append(name)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refusal(client(), f"http://{authority}/1.jpg", ("pictures.example",))
    assert set(asked) <= {"pictures.example"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/to-private.jpg", HttpReason.PRIVATE_ADDRESS),
        ("/to-metadata.jpg", HttpReason.PRIVATE_ADDRESS),
        ("/to-file.jpg", HttpReason.BAD_ADDRESS),
        ("/to-port.jpg", HttpReason.BAD_ADDRESS),
        ("/in-a-circle.jpg", HttpReason.TOO_MANY_REDIRECTS),
    ],
)
def test_each_redirect_is_checked_like_the_first_address(path, reason, image_host):
    assert refusal(client(), image_host.url(path), hosts=None).reason is reason


def test_a_redirect_leaves_the_list_of_hosts_as_little_as_an_address_does(image_host):
    refused = refusal(client(), image_host.url("/to-elsewhere.jpg"))
    assert refused.reason is HttpReason.HOST_NOT_ALLOWED
    assert "elsewhere.example" in refused.detail


@pytest.mark.parametrize("hops", [0, 3, 4])
def test_three_redirects_are_followed(hops, image_host):
    for hop in range(hops):
        image_host.add(f"/hop/{hop}", redirect(f"/hop/{hop + 1}" if hop + 1 < hops else "/good/1.jpg"))
    url = image_host.url("/hop/0" if hops else "/good/1.jpg")
    if hops == 4:
        assert refusal(client(), url).reason is HttpReason.TOO_MANY_REDIRECTS
    else:
        assert client().get_bytes(url, hosts=OURS).final_url == image_host.url("/good/1.jpg")


def test_the_body_of_a_redirect_is_not_read(image_host):
    assert client().get_bytes(image_host.url("/endless-redirect.jpg"), hosts=OURS).status == 200


def test_a_name_that_changes_its_address_is_resolved_once(image_host, monkeypatch):
    """The first answer passes the check; anyone who resolved again to connect would reach the second."""
    original, answers = socket.getaddrinfo, iter(["127.0.0.1", "10.0.0.1", "10.0.0.1"])

    def resolve(host, *args, **kwargs):
        return original(next(answers) if host == "changing.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"http://changing.example:{image_host.port}/good/1.jpg"
    assert client().get_bytes(url, hosts=("changing.example",)).status == 200
    assert image_host.requests[0].headers["host"] == f"changing.example:{image_host.port}"
    assert refusal(client(), url, ("changing.example",)).reason is HttpReason.PRIVATE_ADDRESS
    assert next(answers) == "10.0.0.1"  # the third is left: one look-up for each request
    assert len(image_host.requests) == 1


def test_the_surroundings_decide_nothing(image_host, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    image_host.add("/a.jpg", b"\xff\xd8\xff", Set_Cookie="session=1; Path=/")
    getter = client()
    for _ in range(2):
        getter.get_bytes(image_host.url("/a.jpg"), hosts=OURS)
    for request in image_host.requests:
        assert request.headers.keys().isdisjoint({"cookie", "authorization", "proxy-authorization"})
        assert request.headers["user-agent"] == AGENT
        assert request.headers["accept-encoding"] == "identity"


def test_https_goes_to_the_pinned_address_under_the_right_name(secure_host, trusted):
    assert client().get_bytes(secure_host.url("/good/1.jpg"), hosts=OURS).status == 200


def test_an_untrusted_certificate_is_refused(secure_host):
    refused = refusal(client(), secure_host.url("/good/1.jpg"))
    assert refused.reason is HttpReason.CONNECTION_FAILED
    assert not refused.final


def test_no_redirect_leads_out_of_https(secure_host, image_host, trusted):
    secure_host.add("/down.jpg", redirect(image_host.url("/good/1.jpg")))
    assert refusal(client(), secure_host.url("/down.jpg")).reason is HttpReason.DOWNGRADED
    image_host.add("/up.jpg", redirect(secure_host.url("/good/1.jpg")))
    assert client().get_bytes(image_host.url("/up.jpg"), hosts=OURS).status == 200
    assert "/good/1.jpg" not in image_host.paths()


# -- how long and how much


@pytest.mark.parametrize("path", ["/drips-its-body.jpg", "/drips-its-head.jpg", "/never-answers.jpg"])
def test_the_deadline_ends_whoever_is_slow(path, image_host):
    began = time.monotonic()
    refused = refusal(client(deadline=1), image_host.url(path))
    assert refused.reason is HttpReason.TOO_SLOW
    assert not refused.final
    assert time.monotonic() - began < SOON


def test_the_deadline_holds_over_redirects(image_host):
    def slowly(handler):
        time.sleep(0.5)
        redirect("/slowly.jpg")(handler)

    image_host.add("/slowly.jpg", slowly)
    assert refusal(client(deadline=1), image_host.url("/slowly.jpg")).reason is HttpReason.TOO_SLOW


def test_the_deadline_holds_for_https(secure_host, trusted):
    began = time.monotonic()
    assert refusal(client(deadline=1), secure_host.url("/drips-its-head.jpg")).reason is HttpReason.TOO_SLOW
    assert time.monotonic() - began < SOON


def test_the_deadline_holds_for_a_handshake_that_drips(monkeypatch):
    """A TLS record of 16,000 bytes, one at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x3e\x80")
                while True:
                    try:
                        connection.sendall(b"\x00")
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        refused = refusal(client(deadline=1), f"https://127.0.0.1:{server.getsockname()[1]}/1.jpg")
        assert refused.reason in (HttpReason.TOO_SLOW, HttpReason.CONNECTION_FAILED)
        assert time.monotonic() - began < SOON
        thread.join(SOON)
        assert not thread.is_alive()


def test_the_deadline_holds_for_names_that_nobody_resolves(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60))
    began = time.monotonic()
    assert refusal(client(deadline=1), "http://slow.example/1.jpg", ("slow.example",)).reason is HttpReason.TOO_SLOW
    assert time.monotonic() - began < SOON
    released.set()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/endless.jpg", HttpReason.TOO_LARGE),
        ("/endless-in-chunks.jpg", HttpReason.TOO_LARGE),
        ("/gzip-bomb.jpg", HttpReason.TOO_LARGE),
        ("/gzip-in-gzip.jpg", HttpReason.TOO_LARGE),
        ("/claims-much.jpg", HttpReason.TOO_LARGE),
        ("/sends-too-little.jpg", HttpReason.TRUNCATED),
        ("/sends-nothing.jpg", HttpReason.TRUNCATED),
        ("/breaks-off.jpg", HttpReason.TRUNCATED),
        ("/speaks-no-http.jpg", HttpReason.CONNECTION_FAILED),
    ],
)
def test_what_comes_is_measured(path, reason, image_host):
    refused = refusal(client(), image_host.url(path))
    assert refused.reason is reason
    assert refused.final is (reason is HttpReason.TOO_LARGE)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_cap_is_met_to_the_byte(extra, image_host):
    image_host.add("/a.jpg", lambda handler: send(handler, bytes(1000 + extra), Content_Length=""))
    getter = client(max_bytes=1000)
    if extra:
        assert refusal(getter, image_host.url("/a.jpg")).reason is HttpReason.TOO_LARGE
    else:
        assert len(getter.get_bytes(image_host.url("/a.jpg"), hosts=OURS).data) == 1000


def test_a_body_that_is_not_packed_as_it_says_is_a_bad_answer(image_host):
    image_host.add("/a.jpg", b"\xff\xd8\xff\xe0 no gzip", Content_Encoding="gzip")
    assert refusal(client(), image_host.url("/a.jpg")).reason is HttpReason.BAD_ANSWER


# -- when to ask again


@pytest.mark.parametrize(
    ("code", "reason", "final"),
    [
        (404, HttpReason.NOT_FOUND, True),
        (410, HttpReason.NOT_FOUND, True),
        (403, HttpReason.FORBIDDEN, True),
        (451, HttpReason.FORBIDDEN, True),
        (204, HttpReason.HTTP_ERROR, True),
        (304, HttpReason.HTTP_ERROR, True),
        (501, HttpReason.SERVER_ERROR, False),
    ],
)
def test_what_will_not_change_is_asked_once(code, reason, final, image_host):
    image_host.add("/a.jpg", status(code))
    refused = refusal(client(), image_host.url("/a.jpg"))
    assert (refused.reason, refused.final, refused.http_status) == (reason, final, code)
    assert len(image_host.requests) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_an_overloaded_host_is_asked_again_more_and_more_slowly(code, image_host):
    sleeps = Sleeps()
    image_host.add("/a.jpg", in_turn(status(code), status(code), lambda handler: send(handler, b"\xff\xd8\xff")))
    assert client(sleep=sleeps).get_bytes(image_host.url("/a.jpg"), hosts=OURS).data == b"\xff\xd8\xff"
    assert len(image_host.requests) == 3
    first, second = sleeps
    assert 0.4 < first <= 1.5
    assert 0.9 < second <= 3 + 1.5  # the clock continues during a sleep


def test_it_is_given_up_after_four_requests(image_host):
    refused = refusal(client(), image_host.url("/broken.jpg"))
    assert refused.reason is HttpReason.SERVER_ERROR
    assert not refused.final
    assert len(image_host.requests) == 4


def test_a_port_where_nobody_listens_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sleeps = Sleeps()
    refused = refusal(client(sleep=sleeps), f"http://127.0.0.1:{port}/1.jpg")
    assert refused.reason is HttpReason.CONNECTION_FAILED
    assert "refused" in refused.detail
    assert len(sleeps) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(form, image_host):
    value = "30" if form == "seconds" else email.utils.formatdate(time.time() + 30, usegmt=True)
    image_host.add("/a.jpg", in_turn(status(429, Retry_After=value), lambda handler: send(handler, b"\xff\xd8\xff")))
    sleeps = Sleeps()
    client(sleep=sleeps).get_bytes(image_host.url("/a.jpg"), hosts=OURS)
    (slept,) = sleeps
    assert 20 < slept <= 30


@pytest.mark.parametrize("value", ["soon", "-5", "", "1e9", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing_is_no_reason_to_wait_long(value, image_host):
    image_host.add("/a.jpg", in_turn(status(503, Retry_After=value), lambda handler: send(handler, b"\xff\xd8\xff")))
    sleeps = Sleeps()
    client(sleep=sleeps).get_bytes(image_host.url("/a.jpg"), hosts=OURS)
    assert sum(sleeps) <= 1.5


def test_a_host_that_wants_to_be_left_alone_for_long_is(image_host):
    image_host.add("/a.jpg", status(429, Retry_After="3600"))
    sleeps = Sleeps()
    getter = client(sleep=sleeps)
    for path in ("/a.jpg", "/good/1.jpg"):
        refused = refusal(getter, image_host.url(path))
        assert refused.reason is HttpReason.TOO_MANY_REQUESTS
        assert not refused.final
        assert 3500 < refused.retry_after <= 3600
    assert image_host.paths() == ["/a.jpg"]
    assert not sleeps


def test_one_address_is_not_waited_for_long_either(image_host):
    image_host.add("/a.jpg", status(500, Retry_After="3600"))
    sleeps = Sleeps()
    getter = client(sleep=sleeps)
    assert refusal(getter, image_host.url("/a.jpg")).reason is HttpReason.SERVER_ERROR
    assert getter.get_bytes(image_host.url("/good/1.jpg"), hosts=OURS).status == 200
    assert not sleeps


def test_a_host_is_asked_no_faster_than_agreed(image_host):
    sleeps = Sleeps()
    getter = client(sleep=sleeps, requests_per_second=0.1)
    for number in range(3):
        getter.get_bytes(image_host.url(f"/good/{number}.jpg"), hosts=OURS)
    assert [round(seconds, -1) for seconds in sleeps] == [10, 20]  # turns ten seconds apart, and no time has gone by


def test_a_host_gets_two_connections_at_a_time(image_host):
    lock, now, most = threading.Lock(), [0], [0]

    def counting(handler):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        send(handler, b"\xff\xd8\xff")

    image_host.add("/a.jpg", counting)
    getter = client()
    get = partial(getter.get_bytes, image_host.url("/a.jpg"), hosts=OURS)
    threads = [threading.Thread(target=get) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(image_host.requests) == 6
    assert most == [2]


def test_stopping_ends_what_is_under_way(image_host):
    getter, ended = client(deadline=60), []

    def get():
        try:
            getter.get_bytes(image_host.url("/never-answers.jpg"), hosts=OURS)
        except Stopped:
            ended.append("stopped")

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    while not image_host.requests:
        time.sleep(0.01)
    getter.stop()
    thread.join(SOON)
    assert ended == ["stopped"]
    with pytest.raises(Stopped):
        getter.get_bytes(image_host.url("/good/1.jpg"), hosts=OURS)


# -- who does not want it


@pytest.mark.parametrize(
    ("tags", "directive"),
    [
        (["noai"], "noai"),
        (["noimageai"], "noimageai"),
        (["NoIndex, nofollow"], "noindex"),
        (["nofollow, noimageindex"], "noimageindex"),
        (["noml"], "noml"),
        (["none"], "none"),
        (["nofollow", "noai"], "noai"),
        (["fer_lightning: noai"], "noai"),
        (["Fer_Lightning: nofollow, noindex"], "noindex"),
        (["*: noindex"], "noindex"),
        (["googlebot: nofollow", "noindex"], "noindex"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["max-image-preview: large, noai"], "noai"),
        ([], None),
        ([""], None),
        (["all"], None),
        (["nofollow, noarchive, nosnippet"], None),
        (["googlebot: noindex"], None),
        (["otherbot: noindex, noai"], None),
        (["max-snippet: 20"], None),
        (["noaim"], None),
    ],
)
def test_opt_outs_are_read(tags, directive):
    assert opt_out(tags, "fer_lightning") == directive


def test_an_opted_out_picture_is_refused_and_its_header_known(image_host):
    refused = refusal(client(), image_host.url("/opted-out.jpg"))
    assert refused.reason is HttpReason.OPTED_OUT
    assert refused.final
    assert refused.headers["x-robots-tag"] == "noai, noimageai"


def test_headers_of_one_name_are_read_one_by_one(image_host):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("X-Robots-Tag", "otherbot: noindex")
        handler.send_header("X-Robots-Tag", "noai")
        handler.end_headers()
        handler.wfile.write(b"\xff\xd8\xff")

    image_host.add("/a.jpg", answer)
    assert refusal(client(), image_host.url("/a.jpg")).reason is HttpReason.OPTED_OUT


def test_robots_txt_is_asked_once_where_no_list_names_the_host(image_host):
    image_host.add("/robots.txt", b"User-agent: fer_lightning\nDisallow: /*1.jpg$", X_Robots_Tag="noindex")
    getter = client()
    refused = refusal(getter, image_host.url("/good/1.jpg"), hosts=None)
    assert refused.reason is HttpReason.ROBOTS_TXT
    assert refused.final
    image_host.add("/round.jpg", redirect("/good/1.jpg"))
    assert refusal(getter, image_host.url("/round.jpg"), hosts=None).reason is HttpReason.ROBOTS_TXT
    getter.get_bytes(image_host.url("/good/2.jpg"), hosts=None)
    getter.get_bytes(image_host.url("/good/1.jpg"), hosts=OURS)
    assert image_host.paths() == ["/robots.txt", "/round.jpg", "/good/2.jpg", "/good/1.jpg"]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_host_without_robots_txt_allows_all(code, image_host):
    image_host.add("/robots.txt", status(code))
    assert client().get_bytes(image_host.url("/good/1.jpg"), hosts=None).status == 200


@pytest.mark.parametrize(
    "answer", [status(500), status(429), redirect("/robots.txt"), lambda handler: handler.wfile.write(b"?\r\n\r\n")]
)
def test_a_robots_txt_that_cannot_be_had_allows_nothing_for_now(answer, image_host):
    image_host.add("/robots.txt", answer)
    sleeps = Sleeps()
    getter = client(sleep=sleeps)
    first = refusal(getter, image_host.url("/good/1.jpg"), hosts=None)
    assert first.reason is HttpReason.ROBOTS_TXT_UNKNOWN
    assert not first.final
    asked, slept = len(image_host.requests), len(sleeps)
    assert refusal(getter, image_host.url("/good/2.jpg"), hosts=None).reason is HttpReason.ROBOTS_TXT_UNKNOWN
    assert (len(image_host.requests), len(sleeps)) == (asked, slept)


# -- answers of an API, and keys

KEY = "AIzaSecretOfTheOperator"


def ask(getter, url, **options):
    params = {"q": "bored", "key": KEY, "cx": "e" + KEY, "api_key": KEY, "token": KEY}
    headers = {"X-Subscription-Token": KEY, "Authorization": f"Bearer {KEY}"}
    return getter.get_json(url, params, headers, **{"hosts": OURS, **options})


def test_an_answer_comes_with_its_headers_and_hash(image_host):
    image_host.add("/api", json.dumps({"results": []}).encode(), X_RateLimit="19", X_Robots_Tag="noindex")
    data, headers, sha256 = ask(client(), image_host.url("/api"))
    assert data == {"results": []}
    assert headers["x-ratelimit"] == "19"
    assert len(sha256) == 64
    (request,) = image_host.requests
    assert f"key={KEY}" in request.path
    assert request.headers["x-subscription-token"] == KEY


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"[" * 100_000, b"\xff\xfe\x00", b'{"n": ' + b"9" * 10_000 + b"}"]
)
def test_a_broken_answer_is_a_bad_answer(body, image_host):
    image_host.add("/api", body)
    with pytest.raises(Refused) as caught:
        ask(client(), image_host.url("/api"))
    assert caught.value.reason is HttpReason.BAD_ANSWER
    assert not caught.value.final


def test_what_an_api_says_of_an_error_is_kept_without_the_key(image_host):
    said = json.dumps({"error": {"message": f"API key {KEY} not valid"}}).encode()
    image_host.add("/api", lambda handler: send(handler, said, status=403))
    with pytest.raises(Refused) as caught:
        ask(client(), image_host.url("/api"))
    assert caught.value.http_status == 403
    assert b"not valid" in caught.value.body
    assert KEY.encode() not in caught.value.body


def test_keys_stay_with_the_host_they_are_for(image_host):
    image_host.add("/api", redirect(f"http://localhost:{image_host.port}/elsewhere"))
    image_host.add("/elsewhere", b"{}")
    ask(client(), image_host.url("/api"), hosts=("127.0.0.1", "localhost"))
    _, elsewhere = image_host.requests
    assert elsewhere.headers["host"].startswith("localhost")
    assert KEY not in f"{elsewhere}"


def test_no_key_is_in_any_exception_or_log(image_host, caplog):
    """Whatever goes wrong, however deep the exceptions below are looked into, and with everything logged."""
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    image_host.add("/api", redirect("/next?" + f"key={KEY}"))
    image_host.add("/next", status(500))
    image_host.add("/no-json", b"<html>")
    wrong = [f"http://127.0.0.1:{nobody}/", "http://[::1", "http://10.0.0.1/", f"http://user:{KEY}@127.0.0.1/"]
    wrong += [f"http://127.0.0.1:{image_host.port}{path}" for path in ("/api", "/no-json", "/breaks-off.jpg")]
    wrong += [image_host.url(path) for path in ("/speaks-no-http.jpg", "/drips-its-head.jpg", "/in-a-circle.jpg")]
    for url in wrong:
        with pytest.raises(Refused) as caught:
            ask(client(deadline=1), url, hosts=("127.0.0.1", "10.0.0.1"))
        assert KEY not in "".join(traceback.format_exception(caught.value)), url
        below, chain = caught.value, []
        while below:
            chain.append(f"{below!r} {below} {below.__dict__}")
            below = below.__cause__ or below.__context__
        assert KEY not in "".join(chain), url
    with pytest.raises(Refused):
        client().get_json(image_host.url("/api"), {}, {"Authorization": f"{KEY}\n"}, hosts=OURS)
    assert "127.0.0.1" in caplog.text  # urllib3 has logged
    assert KEY not in caplog.text


@pytest.mark.parametrize("agent", ["name/1 (Пётр)", "name/1\r\nX-Evil: 1"])
def test_a_user_agent_that_no_header_can_hold_is_named(agent):
    with pytest.raises(UserError, match="COLLECT_CONTACT"):
        client(user_agent=agent)
