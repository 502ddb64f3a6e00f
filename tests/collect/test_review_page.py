"""The review page in headless Chromium, as hands, a lost connection and a second person use it."""

import itertools
import shutil
from collections import Counter
from pathlib import Path

import pytest
from collect_review import CHROMIUM, CLASSES, Server, collection_for_review, event, look_again, needs_browser

from fer_lightning.collect.review import decisions
from fer_lightning.collect.store.collection import Collection

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

FACES = 120
PATIENCE = 30_000  # milliseconds; the page tries again every ten seconds at the latest
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    collection_for_review(root, FACES, size=(320, 240)).close()
    return root


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def root(drawn, tmp_path):
    return Path(shutil.copytree(drawn, tmp_path / "collection"))


@pytest.fixture
def server(root, tmp_path):
    made = Server(root, tmp_path / "log")
    yield made
    made.kill()


@pytest.fixture
def visit(browser, server):
    """Opens the review; afterwards no page may have asked another origin for anything, nor had an error."""
    contexts, requests, errors = [], [], []

    def listen(page):
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and errors.append(message.text))

    def opened(address: str, *, context=None, viewport=WIDE, **options):
        if context is None:
            context = browser.new_context(viewport=viewport, **options)
            context.on("page", listen)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        # A first route of a page that is open misses requests for a moment, so each page has one from the start.
        page.route("**/never-requested", lambda route: route.abort())
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {url.partition("/?token=")[0] for url in requests} <= {
        url for url in requests if url.startswith(f"http://127.0.0.1:{server.port}/")
    } | {f"http://127.0.0.1:{server.port}"}
    # Messages of the browser about a server that is away, or that refuses, are not errors of the page.
    assert not [error for error in errors if not error.startswith("Failed to load resource")]


def ready(page) -> None:
    expect(page.locator("#faces [role=option]").first).to_be_visible()
    expect(page.locator("#frame img")).to_be_visible()


def press(page, keys) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page) -> None:
    expect(page.locator("#unsaved")).to_be_hidden()
    expect(page.locator("#trouble")).to_be_hidden()


def outcomes(root: Path, pass_: int = 1) -> dict[int, str]:
    with Collection(root) as collection:
        return {face: one.outcome for face, one in decisions.current(collection, pass_=pass_).items()}


def rows(root: Path, what: str = "count(*)") -> list:
    with Collection(root) as collection:
        return [row[0] for row in collection.rows(f"SELECT {what} FROM decision ORDER BY id")]


MEANING = {"a": "frustration", "x": "reject", "u": "unsure", "d": "duplicate", "m": "minor", "i": "illustration"}
MEANING |= {str(number + 1): name for number, name in enumerate(CLASSES)}


def test_120_faces_by_keyboard_through_a_killed_server(server, root, visit):
    keys = ["".join(one) for one in itertools.islice(itertools.cycle("aaxa3aua1adxma7ai5x"), FACES)]
    page = visit(server.start())
    assert "token" not in page.url
    ready(page)
    press(page, keys[:40])
    expect(page.locator("#said")).to_contain_text("This sheet is decided. Press Enter for the next sheet.")
    press(page, ["x", "a"])  # resting: no key changes the last face
    press(page, ["Enter", *keys[40:50]])
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(page.locator("#said")).to_contain_text("Undone. Face 49")
    saved(page)
    server.kill()
    press(page, keys[48:70])
    expect(page.locator("#trouble")).to_contain_text("The server does not answer")
    expect(page.locator("#unsaved")).to_have_text("22 unsaved")
    server.start()
    press(page, keys[70:80])
    saved(page)
    press(page, ["Enter", *keys[80:]])
    expect(page.locator("#left")).to_have_text("all decided")
    saved(page)
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("dialog").get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name="The review is finished")).to_be_visible()
    expect(page.locator("#end-next")).to_contain_text("(review.second_pass=true review.annotator=second)")
    told = page.locator("#end-counts").text_content()
    assert server.process.wait(timeout=30) == 0
    assert f"Reviewed: {told}" in server.log.read_text()
    assert outcomes(root) == {face + 1: MEANING[key] for face, key in enumerate(keys)}
    assert Counter(rows(root, "action"))["undo"] == 2
    assert rows(root) == [FACES + 2 + 2]  # two were taken back and decided again
    counts = Counter(MEANING[key] for key in keys)
    assert f"Reviewed: {counts['angry']} angry, {counts['frustration']} frustration" in server.log.read_text()


def test_what_was_unsent_is_sent_by_the_next_page_and_once(server, root, visit):
    page = visit(server.start())
    ready(page)
    press(page, "a")
    saved(page)
    server.kill()
    press(page, "x3z")
    expect(page.locator("#unsaved")).to_have_text("3 unsaved")
    context = page.context
    page.close()
    page = visit(server.start(), context=context)
    ready(page)
    saved(page)
    expect(page.get_by_role("option", name="Face 2 of 120")).to_have_accessible_name("Face 2 of 120: rejected")
    expect(page.get_by_role("option", name="Face 3 of 120")).to_be_focused()
    assert outcomes(root) == {1: "frustration", 2: "reject"}
    press(page, "z")
    expect(page.locator("#said")).to_have_text("Undone. Face 2: undecided.")
    page.reload()
    ready(page)
    saved(page)
    press(page, "zz")
    expect(page.locator("#said")).to_have_text("You have no decision to undo.")
    saved(page)
    assert outcomes(root) == {}
    assert rows(root, "action") == ["accept", "reject", "accept", "undo", "undo", "undo"]


def test_unsent_decisions_are_shown_before_they_are_sent(server, root, visit):
    page = visit(server.start())
    ready(page)
    page.route("**/api/decisions", lambda route: route.abort())
    press(page, "ax")
    expect(page.locator("#unsaved")).to_have_text("2 unsaved")
    page.reload()
    ready(page)
    expect(page.locator("#unsaved")).to_have_text("2 unsaved")
    expect(page.get_by_role("option", name="Face 1 of 120")).to_have_accessible_name(
        "Face 1 of 120: accepted as frustration"
    )
    expect(page.locator("#left")).to_have_text("118 undecided")
    with page.expect_request("**/api/decisions"):
        page.get_by_role("button", name="Try now").click()
    page.unroute("**/api/decisions")
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject"}


def test_an_answer_that_a_killed_server_cut_off_is_no_answer(server, root, visit):
    page = visit(server.start())
    ready(page)
    page.route("**/api/decisions", lambda route: route.fulfill(status=200, body='{"acknowledged": ["'))
    press(page, "ax")
    expect(page.locator("#unsaved")).to_have_text("2 unsaved")
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    page.unroute("**/api/decisions")
    page.get_by_role("button", name="Try now").click()
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject"}


def test_an_acknowledgment_that_is_lost_doubles_nothing(server, root, visit):
    page = visit(server.start())
    ready(page)
    lost = []

    def lose(route):
        if len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/decisions", lose)
    press(page, "axu")
    saved(page)
    assert lost == [200, 200]
    assert sorted(outcomes(root)) == [1, 2, 3]
    assert rows(root) == [3]


def test_while_a_step_writes_decisions_wait(server, root, visit):
    page = visit(server.start())
    ready(page)
    with Collection(root) as step, step.writing():
        press(page, "ax")
        expect(page.locator("#trouble")).to_contain_text("Not stored yet: database is locked")
        expect(page.locator("#unsaved")).to_have_text("2 unsaved")
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject"}


def remove_face(root: Path, face: int) -> None:
    with Collection(root) as collection, collection.writing():
        collection.database.execute("INSERT INTO purging VALUES (1)")
        for table, column in (("deduped", "face"), ("likeness", "face"), ("face", "id")):
            collection.database.execute(f"DELETE FROM {table} WHERE {column} = ?", (face,))
        collection.database.execute("DELETE FROM purging")


def test_a_refused_decision_is_shown_and_the_others_are_stored(server, root, visit):
    page = visit(server.start())
    ready(page)
    remove_face(root, 2)
    press(page, "axa")
    expect(page.locator("#refused")).to_have_text("Face 2, rejected: the collection has no such face")
    expect(page.locator("#unsaved")).to_be_hidden()
    assert outcomes(root) == {1: "frustration", 3: "frustration"}
    expect(page.locator("#left")).to_have_text("117 undecided")  # of the 119 that are left
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#refusals")).to_be_hidden()


def test_decisions_made_while_the_state_is_loaded_again_stay_on_the_page(server, root, visit):
    page = visit(server.start())
    ready(page)
    remove_face(root, 2)
    states = []
    page.route("**/api/state", lambda route: states.append((route, route.fetch())))
    press(page, "ax")
    while not states:  # the server has answered, and the page does not have the answer yet
        page.wait_for_timeout(20)
    with page.expect_response("**/api/decisions"):
        press(page, "a")
    route, before = states.pop()
    route.fulfill(response=before)
    saved(page)
    assert outcomes(root) == {1: "frustration", 3: "frustration"}
    expect(page.locator("#left")).to_have_text("117 undecided")


@pytest.mark.long
def test_a_face_that_was_cut_out_anew_is_decided_about_again(server, root, visit):
    page = visit(server.start())
    ready(page)
    with Collection(root) as collection:
        newer = look_again(collection, 2)
    press(page, "axa")
    expect(page.locator("#refused")).to_contain_text("Face 2, rejected: this face was replaced")
    expect(page.locator("#left")).to_have_text("118 undecided")
    page.locator("#refusals").get_by_role("button", name="Reload").click()
    ready(page)
    expect(page.locator("#refusals")).to_be_hidden()
    page.get_by_role("button", name="Next sheet").click()
    press(page, ["PageDown", "End", "u"])
    saved(page)
    assert outcomes(root) == {1: "frustration", 3: "frustration", newer: "unsure"}


@pytest.mark.long
def test_a_late_delivery_does_not_override_what_was_decided_after_it(server, root, visit):
    address = server.start()
    late, other = visit(address), visit(address)  # two browsers
    ready(late)
    late.route("**/api/decisions", lambda route: route.abort())
    press(late, "aa")
    expect(late.locator("#unsaved")).to_have_text("2 unsaved")
    ready(other)
    press(other, "x")
    saved(other)
    late.unroute("**/api/decisions")
    late.locator("#retry").dispatch_event("click")  # also if the page has sent them by itself and hides the button
    saved(late)
    assert outcomes(root) == {1: "reject", 2: "frustration"}
    assert rows(root, "action") == ["reject", "accept", "accept"]
    late.reload()
    ready(late)
    expect(late.get_by_role("option", name="Face 1 of")).to_have_accessible_name("Face 1 of 120: rejected")


@pytest.mark.long
def test_what_is_unsent_and_older_is_shown_beneath_what_is_newer(server, root, visit):
    page = visit(server.start())
    ready(page)
    page.route("**/api/decisions", lambda route: route.abort())
    press(page, "aa")
    with Collection(root) as collection:
        (one, *_) = decisions.worklist(collection, emotion=None)
        decisions.record(
            collection, [event(one.face, one.crop_id, "reject")], pass_=1, annotator="anna", classes=CLASSES
        )
    page.reload()
    ready(page)
    expect(page.locator("#unsaved")).to_have_text("2 unsaved")
    expect(page.get_by_role("option", name="Face 1 of")).to_have_accessible_name("Face 1 of 120: rejected")
    press(page, "z")
    expect(page.locator("#said")).to_have_text("Undone. Face 1: accepted as frustration again.")


def test_a_clock_that_was_set_back_does_not_bury_what_is_decided_now(server, root, visit):
    page = visit(server.start())
    ready(page)
    press(page, "a")
    saved(page)
    page.add_init_script("{ const now = Date.now; Date.now = () => now() - 3_600_000; }")
    page.reload()
    ready(page)
    press(page, ["ArrowLeft", "x"])
    expect(page.get_by_role("option", name="Face 1 of")).to_have_accessible_name("Face 1 of 120: rejected")
    saved(page)
    assert outcomes(root) == {1: "reject"}


@pytest.mark.long
def test_decisions_of_one_pass_are_not_sent_to_another(server, root, visit):
    with Collection(root) as collection:
        waiting = decisions.worklist(collection, emotion=None)[100:]
        made = [event(one.face, one.crop_id) for one in waiting]
        decisions.record(collection, made, pass_=1, annotator="anna", classes=CLASSES)
    page = visit(server.start())
    ready(page)
    saved(page)
    server.kill()
    press(page, "ax")
    server.start(pass_=2, annotator="bob")
    expect(page.locator("#trouble")).to_contain_text("pass 2 as bob. Reload this page to continue.")
    page.reload()
    ready(page)
    expect(page.locator("#elsewhere")).to_contain_text("2 unsent decisions of another pass or annotator")
    saved(page)
    assert rows(root) == [20]
    server.kill()
    server.start()
    page.reload()
    ready(page)
    saved(page)
    expect(page.locator("#elsewhere")).to_be_hidden()
    assert outcomes(root)[2] == "reject"
    assert rows(root, "pass") == [1] * 22


@pytest.mark.long
def test_another_collection_at_the_same_port_gets_nothing(server, root, visit):
    page = visit(server.start())
    ready(page)
    server.kill()
    press(page, "ax")
    (root / "review.id").unlink()
    (root / "review.token").unlink()
    address = server.start()
    expect(page.locator("#trouble")).to_contain_text("Open the URL that its terminal printed")
    other = visit(address, context=page.context)
    ready(other)
    saved(other)
    expect(page.locator("#trouble")).to_contain_text("now reviews another collection")
    assert rows(root) == [0]


@pytest.mark.long
def test_a_new_token_lets_the_open_page_go_on(server, root, visit):
    page = visit(server.start())
    ready(page)
    server.kill()
    press(page, "ax")
    (root / "review.token").unlink()
    address = server.start()
    expect(page.locator("#trouble")).to_contain_text("2 unsaved decisions are kept in this browser")
    expect(page.locator("#trouble")).to_contain_text("Open the URL that its terminal printed")
    ready(visit(address, context=page.context))
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject"}
    assert rows(root) == [2]


def test_two_pages_at_once_lose_and_double_nothing(server, root, visit):
    one = visit(server.start())
    ready(one)
    other = visit(f"http://127.0.0.1:{server.port}/", context=one.context)
    ready(other)
    server.kill()
    press(one, "aaa")
    other.keyboard.press("Enter")
    press(other, "xxx")
    server.start()
    saved(one)
    saved(other)
    assert outcomes(root) == dict.fromkeys([1, 2, 3], "frustration") | dict.fromkeys([41, 42, 43], "reject")
    assert rows(root) == [6]


def test_a_browser_that_keeps_nothing_says_so(server, root, visit):
    page = visit(server.start())
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('no', 'QuotaExceededError'); }")
    page.reload()
    ready(page)
    server.kill()
    press(page, "ax")
    expect(page.locator("#trouble")).to_contain_text("this browser cannot keep them. Leave this page open")
    server.start()
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject"}


def test_a_range_is_decided_and_taken_back_by_one_key(server, root, visit):
    page = visit(server.start())
    ready(page)
    press(page, ["ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowLeft"])
    columns = page.evaluate("getComputedStyle(document.getElementById('faces')).gridTemplateColumns.split(' ').length")
    last = 2 + columns
    selected = page.get_by_role("option", selected=True)
    expect(selected).to_have_count(columns + 1)
    expect(page.locator("#face-name")).to_have_text(f"Faces 2 to {last} selected")
    page.keyboard.press("3")
    expect(page.get_by_role("option", name=f"Face {last + 1} of")).to_be_focused()
    saved(page)
    assert outcomes(root) == dict.fromkeys(range(2, last + 1), "boredom")
    page.reload()
    ready(page)
    page.keyboard.press("z")
    expect(page.locator("#said")).to_have_text(f"Undone. Faces 2 to {last}: undecided.")
    saved(page)
    assert outcomes(root) == {}


def test_keys_that_must_not_decide(server, root, visit):
    page = visit(server.start())
    ready(page)
    press(page, ["Control+a", "Alt+x", "q", "9", "0"])
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    press(page, "axu1")
    dialog.get_by_label("Letter and digit keys decide").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    press(page, "axl")
    expect(page.get_by_role("option", name="Face 1 of")).to_be_focused()
    page.reload()
    ready(page)
    press(page, ["a", "ArrowRight", "?"])
    dialog.get_by_label("Letter and digit keys decide").check()
    page.keyboard.press("Escape")
    page.keyboard.down("x")
    for _ in range(5):
        page.keyboard.down("x")  # held: repeats
    page.keyboard.up("x")
    saved(page)
    assert outcomes(root) == {2: "reject"}
    assert rows(root) == [1]


def test_flags_stand_beside_the_face(server, visit):
    page = visit(server.start())
    ready(page)
    flags = page.locator("#flags")
    expect(flags).to_be_empty()
    press(page, ["ArrowRight"] * 3)
    expect(flags).to_have_text("Similar to a face of FER2013, PublicTest: crops differ in 5 of 64 bits.")
    press(page, ["ArrowRight"] * 5)
    expect(flags).to_contain_text("The image has 2 faces of about the same size")
    expect(flags).to_contain_text("Similar to face 10: undecided")
    press(page, "x")
    expect(flags).to_contain_text("Similar to face 9: rejected")
    image = flags.get_by_role("img", name="A similar face")
    assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 48


def test_deciding_alike_again_adds_no_event_and_otherwise_one(server, root, visit):
    page = visit(server.start())
    ready(page)
    press(page, ["a", "ArrowLeft", "a", "ArrowLeft", "x"])
    saved(page)
    assert rows(root, "action") == ["accept", "reject"]
    assert outcomes(root) == {1: "reject"}


def test_another_annotator_sees_what_was_decided_and_takes_back_only_their_own(server, root, visit):
    with Collection(root) as collection:
        (one, *_) = decisions.worklist(collection, emotion=None)
        decisions.record(collection, [event(one.face, one.crop_id)], pass_=1, annotator="carl", classes=CLASSES)
    page = visit(server.start())
    ready(page)
    expect(page.get_by_role("option", name="Face 2 of")).to_be_focused()
    press(page, "z")
    expect(page.locator("#said")).to_have_text("You have no decision to undo.")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#verdict")).to_contain_text("accepted as frustration by carl")
    expect(page.get_by_role("button", name="Accept as frustration")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("a")
    saved(page)
    assert rows(root, "annotator") == ["carl", "anna"]


def test_the_second_pass_is_blind_and_ends_with_kappa(server, root, visit):
    with Collection(root) as collection:
        made = [event(one.face, one.crop_id) for one in decisions.worklist(collection, emotion=None)]
        decisions.record(collection, made, pass_=1, annotator="anna", classes=CLASSES)
    page = visit(server.start(pass_=2, annotator="bob"))
    ready(page)
    expect(page.locator("#left")).to_have_text("50 undecided")
    accept = page.get_by_role("button", name="Accept", exact=True)
    expect(accept).to_be_disabled()
    page.keyboard.press("a")
    expect(page.locator("#said")).to_contain_text("A is not available in a second pass")
    expect(page.locator("#facts")).to_contain_text("Licence")
    seen = page.locator("body").inner_html()
    for telling in ("Drawn face", "example.org", "anna", "frustrated", "persona"):
        assert telling not in seen
    press(page, "2" * 40)
    press(page, ["Enter", *"2222222xxx"])
    saved(page)
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("dialog").get_by_role("button", name="Finish").click()
    expect(page.locator("#end-agreement")).to_contain_text("50 faces were decided twice, 94 % of them the same way.")
    assert server.process.wait(timeout=30) == 0
    assert "Cohen's kappa 0.00" in server.log.read_text()


def test_a_picture_that_is_gone_stops_nothing(server, root, visit):
    with Collection(root) as collection:
        name = collection.value("SELECT file FROM face JOIN picture USING (image) WHERE face.id = 2")
        collection.file(name).unlink()
    page = visit(server.start())
    ready(page)
    press(page, "a")
    expect(page.get_by_role("img", name="Image: Drawn face number 2, frustrated at a desk")).to_be_visible()
    page.wait_for_timeout(1500)  # in which it would have been taken for a server that is away
    press(page, "xa")
    saved(page)
    assert outcomes(root) == {1: "frustration", 2: "reject", 3: "frustration"}


def test_while_the_server_is_away_boxes_are_empty_and_named(server, visit):
    page = visit(server.start())
    ready(page)
    page.route("**/img/**", lambda route: route.abort())
    page.route("**/api/decisions", lambda route: route.abort())
    for _ in range(2):  # the page has the images of the second sheet already
        page.get_by_role("button", name="Next sheet").click()
    page.keyboard.press("a")
    expect(page.locator("#trouble")).to_contain_text("1 unsaved decision is kept in this browser")
    expect(page.get_by_role("img", name="The cropped face")).to_be_visible()
    for image in page.locator("#faces img, #crop, #frame img").all():
        expect(image).to_have_css("opacity", "0")
    page.unroute("**/img/**")
    page.unroute("**/api/decisions")
    saved(page)
    expect(page.locator("img[data-failed]")).to_have_count(0)


def test_another_face_shows_its_panel_from_the_top(server, visit):
    page = visit(server.start(), viewport={"width": 1440, "height": 500})
    ready(page)
    page.locator("#panel").evaluate("panel => panel.scrollTop = 200")
    assert page.locator("#panel").evaluate("panel => panel.scrollTop") > 0
    page.keyboard.press("ArrowRight")
    assert page.locator("#panel").evaluate("panel => panel.scrollTop") == 0


def test_the_ring_of_the_first_row_lies_free_of_the_sheet_s_head(server, visit):
    page = visit(server.start())
    ready(page)
    head, first = page.locator(".sheet-head").bounding_box(), page.locator("#faces [role=option]").first.bounding_box()
    assert first["y"] - head["y"] - head["height"] >= 5


def test_finish_waits_for_what_is_unsaved(server, root, visit):
    page = visit(server.start())
    ready(page)
    page.route("**/api/decisions", lambda route: route.abort())
    press(page, "ax")
    page.get_by_role("button", name="Finish").click()
    dialog = page.get_by_role("dialog", name="Finish this review?")
    expect(dialog).to_contain_text("118 of 120 faces are undecided")
    expect(dialog).to_contain_text("2 decisions are not saved yet")
    dialog.get_by_role("button", name="Finish").click()
    expect(dialog).to_contain_text("Unsaved decisions are kept in this browser")
    assert server.process.poll() is None
    page.unroute("**/api/decisions")
    dialog.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name="The review is finished")).to_be_visible()
    assert outcomes(root) == {1: "frustration", 2: "reject"}


def test_the_next_sheet_is_there_before_it_is_asked_for(server, visit):
    page = visit(server.start())
    ready(page)
    page.wait_for_load_state("networkidle")
    later = []
    page.on("request", lambda request: later.append(request.url))
    page.keyboard.press("Enter")
    expect(page.locator("#sheet-name")).to_have_text("Sheet 2 of 3")
    page.wait_for_load_state("networkidle")
    shown = {image.get_attribute("src") for image in page.locator("#faces img").all()}
    assert len(shown) == 40
    assert not [url for url in later if url.partition("/img/")[1] and f"/img/{url.partition('/img/')[2]}" in shown]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(server, root, visit, scheme):
    page = visit(server.start(), viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    ready(page)
    for width in (360, 414, 720, 721, 1021):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.set_viewport_size(PHONE)
    buttons = page.locator("#decide button")
    for button in buttons.all():
        box = button.bounding_box()
        assert box["height"] >= 40
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["y"] + box["height"] <= PHONE["height"]
    lines = "one => one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).lineHeight)"
    for words in (page.locator("#sheet-name"), page.locator("#outs").get_by_text("Drawn or AI")):
        assert words.evaluate(lines) < 1.5
    for button in page.locator("#outs button").all():
        assert button.evaluate("one => one.scrollWidth <= one.clientWidth")
    for name in ("Accept", "Reject", "boredom", "Unsure", "Duplicate", "Under 18?", "Drawn or AI"):
        page.locator("#decide").get_by_role("button", name=name).first.tap()
    page.get_by_role("button", name="Undo").tap()
    page.get_by_role("button", name="Select several").tap()
    page.get_by_role("option", name="Face 9 of").tap()
    page.locator("#decide").get_by_role("button", name="Reject").tap()
    page.get_by_role("button", name="Next sheet").tap()
    expect(page.get_by_role("option", name="Face 41 of 120")).to_be_focused()
    saved(page)
    names = ["frustration", "reject", "boredom", "unsure", "duplicate", "minor", "reject", "reject", "reject"]
    assert outcomes(root) == dict(enumerate(names, start=1))


def test_roles_names_and_focus(server, visit):
    page = visit(server.start())
    ready(page)
    faces = page.get_by_role("listbox", name="Sheet 1 of 3").get_by_role("option")
    expect(faces).to_have_count(40)
    expect(faces.first).to_be_focused()
    assert page.locator("#faces [tabindex='0']").count() == 1
    press(page, "x")
    expect(faces.first).to_have_accessible_name("Face 1 of 120: rejected")
    expect(page.get_by_role("status")).to_have_text("Face 1: rejected.")
    page.keyboard.press("ArrowLeft")
    group = page.get_by_role("group", name="Decide about the selected faces")
    expect(group.get_by_role("button", name="Reject", pressed=True)).to_have_count(1)
    expect(group.get_by_role("button", pressed=True)).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Next sheet")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(group.get_by_role("button", name="Accept as frustration")).to_be_focused()
    page.keyboard.press("Space")
    expect(faces.first).to_have_accessible_name("Face 1 of 120: accepted as frustration")
    link = page.get_by_role("link", name="openverse: pictures.example.org (opens in a new tab)")
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert page.locator("button:not([type]):not(dialog button)").count() == 0
    unnamed = page.evaluate("[...document.querySelectorAll('button')].filter((one) => !one.textContent.trim()).length")
    assert unnamed == 0


# Texts whose contrast with what lies behind them is below 4.5, by WCAG 2.2's formula.
CONTRAST = """() => {
  const made = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const canvas = made.getContext("2d", { willReadFrequently: true });
  const paint = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colors) => {
    const [r, g, b] = paint(colors).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) =>
    element ? [...behind(element.parentElement), getComputedStyle(element).backgroundColor] : ["Canvas"];
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].find((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || !element.checkVisibility() || element.closest(":disabled")) continue;
    const ground = luminance(behind(element));
    const ink = luminance([...behind(element), getComputedStyle(element).color]);
    const ratio = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${text.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(server, visit, scheme):
    page = visit(server.start(), color_scheme=scheme, reduced_motion="reduce")
    ready(page)
    press(page, ["a", "x", "3", "ArrowRight", "Shift+ArrowRight"])
    assert page.evaluate(CONTRAST) == []
    server.kill()
    press(page, "a")
    expect(page.locator("#trouble")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("?")
    assert page.evaluate(CONTRAST) == []
