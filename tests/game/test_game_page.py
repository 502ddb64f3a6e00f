"""The game in headless Chromium: all levels, adaptation, the camera and its consent, and a server that stops."""

import json
import re

import face_video
import pytest
from face_models import drawn_model
from game_player import Player
from live_pages import again, camera_on, chromium, looks, needs_browser, pictures, visits
from live_server import LiveServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

pytestmark = [pytest.mark.slow, needs_browser]

# Settings with which the level changes as soon as possible.
SWIFT = ("difficulty.cooldown_seconds=0", "difficulty.min_tasks=2", "difficulty.stand_seconds=0")
LEVELS = 10
SMALLEST = {"width": 320, "height": 640}
OVERFLOW = """() => {
  const board = document.querySelector("#board").getBoundingClientRect();
  const parts = [...document.querySelectorAll("#board :is(.board, .lamp, table, .circuit, .choices)")];
  const boxes = parts.map((part) => part.getBoundingClientRect());
  const out = boxes.some(({ left, right }) => left < board.left - 1 || right > board.right + 1);
  return out || document.documentElement.scrollWidth > innerWidth;
}"""


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    face_video.write_mjpeg(path, [face_video.frame(1 / 12)], fps=1)
    return path


@pytest.fixture(scope="module")
def browser(camera):
    with chromium(camera) as started:
        yield started


@pytest.fixture(scope="module")
def server():
    """A server without a model, which cannot use a camera."""
    with LiveServer(page="game", words=SWIFT, policy="performance") as started:
        yield started


@pytest.fixture(scope="module", params=["browser", "server"])
def watching(request, tmp_path_factory):
    """A server whose pages read the camera's frames themselves, or send them."""
    model = drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")
    with LiveServer(model, page="game", words=SWIFT, inference=request.param) as started:
        started.frames, started.others = (looks, pictures) if request.param == "browser" else (pictures, looks)
        yield started


@pytest.fixture
def visit(browser):
    with visits(browser) as opened:
        yield opened


def playing(visit, server, *, seed=5, motion=False, **options):
    page = visit(server.address, reduced_motion="no-preference" if motion else "reduce", **options)
    return Player(page, f"{server.origin}/game?seed={seed}")


def agree(page):
    page.get_by_role("checkbox", name="I am an adult").check()
    page.get_by_role("button", name="Switch the camera on").click()
    expect(page.locator("#light")).to_have_text("Camera on")


def told(visit, kind):
    said = [json.loads(message) for message in visit.sent if isinstance(message, str)]
    return [message for message in said if message["type"] == kind]


def test_who_solves_everything_rises_and_hears_why(visit, server):
    player = playing(visit, server)
    began = player.level
    for _ in range(9):
        player.solve()
        player.next()
    expect(player.page.locator("#score")).to_have_text("9 solved · 9 in a row")
    assert "".join(str(int("on" in lamp)) for lamp in classes(player.page, "#counter .lamp")) == "00001001"
    assert player.level > began
    player.hears(r"Level \d → \d")
    player.say("why?")
    player.hears(rf"Level {player.level}, .*You solved")
    outcomes = told(visit, "outcome")
    assert len(outcomes) == 9
    assert all(outcome["correct"] and outcome["seconds"] < 60 for outcome in outcomes)


def classes(page, selector):
    return page.eval_on_selector_all(selector, "found => found.map((one) => [...one.classList])")


def test_every_level_is_playable_by_keyboard_on_a_phone_and_nothing_sticks_out(visit, server):
    player = playing(visit, server, seed=9, viewport=SMALLEST)
    kinds = set()
    for left in (2, 1):
        player.say("easier")
        expect(player.page.locator("#level-name strong")).to_have_text(f"Level {left}")
    for level in range(1, LEVELS + 1):
        expect(player.page.locator("#level-name strong")).to_have_text(f"Level {level}")
        for _ in range(3):
            kinds.add(player.task["kind"])
            assert not player.page.evaluate(OVERFLOW), player.task
            player.solve()
            player.next()
        player.say("harder")
    assert len(kinds) >= 10
    expect(player.page.locator("#harder")).to_be_disabled()


def test_mistakes_are_explained_and_the_game_eases_with_a_reason(visit, server):
    player = playing(visit, server)
    began = player.level
    for _ in range(4):
        assert len(player.miss()) > 10
        player.solve()
        player.next()
    player.hears(rf"Level {began} → {began - 1}")
    player.hears("easier")
    assert player.level < began
    assert [outcome["correct"] for outcome in told(visit, "outcome")] == [False] * 4


def test_hints_and_answers_are_there_for_the_asking_but_without_a_model_nobody_can_watch(visit, server):
    player = playing(visit, server)
    player.page.locator("body").click(position={"x": 5, "y": 880})
    player.page.keyboard.press("h")
    assert player.said() == player.ask("hints")[0]
    player.say("I’m stuck")
    assert player.said() == player.ask("hints")[1]
    method = player.ask("method")
    player.say("I give up")
    assert player.said() == method
    expect(player.page.locator("#go")).to_have_text("Next")
    assert not told(visit, "outcome")[0]["correct"]
    expect(player.page.locator("#score")).to_have_text("0 solved")
    moving = "() => document.getAnimations().filter((one) => one.playState === 'running').length"
    assert player.page.evaluate(moving) == 0
    player.page.get_by_role("button", name="Let Bit watch").click()
    player.hears("without a model")
    assert player.page.evaluate("window.asked") == 0
    player.to_the_task()
    player.say("what do you see?")
    player.hears("I see nothing, because the camera is off")


def test_a_double_click_is_one(visit, server):
    player = playing(visit, server)
    while player.task["kind"] != "glow":
        player.page.locator("#show").click()
        player.next()
    choices = player.page.locator(".choice")
    right = "Yes" if player.ask("solve") == "1" else "No"
    choices.filter(has_not_text=right).dblclick()
    expect(player.page.get_by_role("button", name="Show me how")).to_have_count(0)
    choices.filter(has_text=right).dblclick()
    expect(player.page.locator("#score")).to_have_text("1 solved")
    expect(player.page.locator("#go")).to_have_text("Next")


def test_off_means_off_and_the_players_word_counts(visit, server):
    player = playing(visit, server)
    began = player.level
    player.page.get_by_role("switch", name="Bit may change the level").press("Space")
    player.hears("no longer change the level")
    player.to_the_task()
    for _ in range(6):
        player.miss()
        player.solve()
        player.next()
    assert player.level == began
    player.say("harder")
    expect(player.page.locator("#level-name strong")).to_have_text(f"Level {began + 1}")
    expect(player.page.locator("#stay")).to_have_attribute("aria-pressed", "true")
    player.say("you decide")
    expect(player.page.locator("#decide")).to_have_attribute("aria-pressed", "true")
    expect(player.page.get_by_role("switch", name="Bit may change the level")).to_be_checked()


def test_typed_frustration_is_answered_by_an_offer_and_never_named(visit, server):
    player = playing(visit, server)
    for words in ("ugh, I hate this", "UGH!! this is so frustrating", "argh, again?!"):
        player.say(words)
    page = player.page
    expect(page.get_by_role("button", name="A short break")).to_be_visible()
    expect(page.locator("#bit")).to_have_attribute("data-mood", "gentle")
    for line in page.locator("#log .from-bit").all_inner_texts():
        assert not re.search("frustrat|angry|you (look|seem)", line)
    page.get_by_role("button", name="A short break").click()
    expect(page.locator("#pause")).to_be_visible()
    expect(page.locator("#bit")).to_have_attribute("data-mood", "asleep")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#bench")).to_be_visible()
    player.solve()


def test_bit_watches_after_consent_alone_but_not_in_a_break_and_stops_at_a_word(visit, watching):
    player = playing(visit, watching)
    page = player.page
    expect(page.locator("#light")).to_have_text("Camera off")
    page.get_by_role("button", name="Let Bit watch").click()
    expect(page.locator("#consent")).to_contain_text("5(1)(f)")
    page.get_by_role("button", name="Keep it off").click()
    assert page.evaluate("window.asked") == 0
    assert told(visit, "consent") == []
    page.get_by_role("button", name="Let Bit watch").click()
    agree(page)
    assert page.title().startswith("●")
    expect(page.locator("#watch")).not_to_be_focused()  # Enter there would switch the camera off
    expect(page.locator("#bit")).to_have_attribute("data-watching", "true")
    page.wait_for_function("() => document.querySelector('#video').videoWidth > 0")
    while not any('"faces":[{' in message.replace(" ", "") for message in visit.received if isinstance(message, str)):
        page.wait_for_timeout(100)
    player.to_the_task()
    player.say("what do you see?")
    player.hears("I see a face. The model calls it")
    player.say("break")
    expect(page.locator("#light")).to_have_text("Camera on, nothing is sent")
    expect(page.locator("#bit")).to_have_attribute("data-watching", "false")
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#light")).to_have_text("Camera on")
    player.say("stop watching")
    player.hears("The camera is off and your consent is withdrawn")
    expect(page.locator("#light")).to_have_text("Camera off")
    expect(page.locator("#bit")).to_have_attribute("data-watching", "false")
    assert not camera_on(page)
    assert [message["camera"] for message in told(visit, "consent")] == [True, False, True, False]
    sent = watching.frames(page)
    page.wait_for_timeout(700)
    assert watching.frames(page) == sent > 0
    assert watching.others(page) == 0


def test_the_server_with_its_own_camera_dies_in_the_middle_of_a_game_and_the_game_goes_on(visit, tmp_path):
    video = face_video.write_video(tmp_path / "video.avi", [face_video.frame(1 / 12)] * 10, fps=5)
    with LiveServer(drawn_model(tmp_path / "face.onnx"), page="game", source=video, words=SWIFT) as server:
        player = playing(visit, server, motion=True)
        page = player.page
        page.wait_for_timeout(500)
        assert not [message for message in visit.received if isinstance(message, bytes)]
        page.get_by_role("button", name="Let Bit watch").click()
        agree(page)
        expect(page.get_by_role("img", name="What Bit sees: the server's camera")).to_be_visible()
        page.wait_for_function("() => document.querySelector('#image').width === 640")
        assert page.evaluate("window.asked") == 0
        player.to_the_task()
        began = player.level
        server.kill()
        expect(page.locator("#trouble")).to_contain_text("The server is not reachable")
        expect(page.locator("#light")).to_have_text("Camera on, nothing is sent")
        player.to_the_task()
        player.solve()
        player.next()
        player.say("harder")
        player.say("harder")
        assert player.level == began + 2
        server.start()
        again(page)
        expect(page.locator("#trouble")).to_be_hidden()
        player.hears(f"The server is back. We continue at level {began + 2}")
        expect(page.locator("#light")).to_have_text("Camera on")
        assert told(visit, "hello")[-1]["level"] == began + 2
        expect(page.locator("#stay")).to_have_attribute("aria-pressed", "true")
        player.solve()
        assert player.level == began + 2
        expect(page.locator("#log")).not_to_contain_text("The level stays")
