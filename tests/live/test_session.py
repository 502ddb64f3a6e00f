"""The session of one player: faces and texts go in, messages come out. Also the queue of messages to send."""

import asyncio

import numpy as np
import pytest
from face_models import drawn_metadata

from fer_lightning.difficulty.affect import Affect
from fer_lightning.difficulty.controller import Controller
from fer_lightning.difficulty.fixed import Fixed
from fer_lightning.faces.face import Face
from fer_lightning.faces.find import FaceResult
from fer_lightning.labels import TAXONOMIES
from fer_lightning.live import protocol
from fer_lightning.live.connection import Outbox
from fer_lightning.live.engine import SeenFrame
from fer_lightning.live.hub import model_words
from fer_lightning.live.limits import Bucket, Busyness
from fer_lightning.live.session import WHOSE, PlayerSession
from fer_lightning.player.state import StateEstimator

CLASSES = TAXONOMIES["fer2013"].classes
SECONDS = {"waiting": 0.001, "decode": 0.002, "detect": 0.003, "recognise": 0.004}


def session(policy=None, **options) -> PlayerSession:
    controller = Controller(policy or Fixed(), **options)
    return PlayerSession(classes=CLASSES, estimator=StateEstimator(CLASSES), controller=controller, now=0.0)


def look(now: float, *labels: str, sides=None, reasons=None, ambiguous=False) -> SeenFrame:
    """Faces next to each other, each with a certain label."""
    found, rows = [], []
    for place, label in enumerate(labels):
        side = (sides or [100] * len(labels))[place]
        face = Face((200.0 * place, 50.0, 0.7 * side, side), 1.0000001)
        reason = (reasons or [None] * len(labels))[place]
        found.append(FaceResult(face, reason, ambiguous, len(labels)))
        rows.append(np.eye(len(CLASSES), dtype=np.float32)[CLASSES.index(label)] * 1.0000001)
    probabilities = np.array(rows, np.float32).reshape(len(rows), len(CLASSES))
    return SeenFrame(1, b"", now - 0.02, 640, 480, tuple(found), probabilities, None, SECONDS)


def watched(player: PlayerSession, seconds: float, *labels: str, **options) -> list[protocol.Message]:
    """Messages for frames at 5 frames/s."""
    said = []
    for now in np.arange(0.2, seconds, 0.2):
        said += player.look(float(now), look(float(now), *labels, **options), dropped=0)
    return said


def last(said: list[protocol.Message], kind: type) -> protocol.Message:
    return [message for message in said if isinstance(message, kind)][-1]


def test_a_face_becomes_boxes_labels_and_a_state():
    said = watched(session(), 10, "angry")
    faces, state = last(said, protocol.Faces), last(said, protocol.State)
    assert faces.faces[0].box == pytest.approx((0, 50 / 480, 70 / 640, 100 / 480), abs=1e-4)
    assert faces.faces[0].probabilities["angry"] == faces.faces[0].score == 1.0
    assert faces.milliseconds.total == pytest.approx(20, abs=0.1)
    assert {message.faces[0].id for message in said if isinstance(message, protocol.Faces)} == {1}
    assert state.state == "frustrated"
    assert "angry" in state.reasons[0]


def test_a_state_follows_every_frame_at_5_frames_a_second():
    said = watched(session(), 4, "happy")
    assert sum(isinstance(message, protocol.State) for message in said) == sum(
        isinstance(message, protocol.Faces) for message in said
    )


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (("angry",), {"reasons": ["too small"]}),
        (("angry", "angry"), {"ambiguous": True}),
        ((), {}),
    ],
    ids=["doubtful", "two of a size", "nobody"],
)
def test_what_is_no_clear_look_at_the_player_says_nothing_about_them(labels, options):
    state = last(watched(session(), 10, *labels, **options), protocol.State)
    assert (state.state, state.channels["face"]) == ("unknown", 0.0)


def test_two_faces_of_a_size_are_in_doubt_and_a_bystander_is_not():
    player = session()
    seen = player.look(1.0, look(1.0, "angry", "happy", ambiguous=True), dropped=0)[0]
    assert [face.doubt for face in seen.faces] == [WHOSE, WHOSE]
    seen = player.look(1.2, look(1.2, "angry", "happy", sides=[200, 60]), dropped=0)[0]
    assert [face.doubt for face in seen.faces] == [None, None]


def test_who_takes_the_consent_back_is_forgotten_at_once():
    player = session()
    assert last(watched(player, 10, "angry"), protocol.State).channels["face"] > 0.5
    state = last(player.forget_faces(10.0), protocol.State)
    assert (state.state, state.channels["face"]) == ("unknown", 0.0)
    assert not any("face" in reason for reason in state.reasons)


def test_states_come_at_least_once_a_second_and_at_most_ten_times():
    player = session()
    quiet = sum(len(player.tick(now)) for now in np.arange(0, 10, 0.25))
    assert 10 <= quiet <= 11
    loud = [player.hear(20 + now, protocol.Text(text="ugh")) for now in np.arange(0, 2, 0.01)]
    assert 15 <= sum(map(len, loud)) <= 21
    assert player.tick(22.2), "the last text is not forgotten"


def test_words_and_outcomes_change_the_level_with_a_reason():
    player = session(Affect(), start=5, cooldown_seconds=5, min_tasks=2)
    said = [player.begin()]
    for now in range(1, 60):
        said += player.hear(now, protocol.Text(text="ugh, I give up, this is too hard"))
        said += player.hear(now + 0.5, protocol.Outcome(correct=False, seconds=20.0, level=player.controller.level))
    changes = [message for message in said if isinstance(message, protocol.Difficulty)]
    assert (changes[0].by, changes[0].level, changes[0].change) == ("start", 5, 0)
    assert all((change.by, change.change) == ("policy", -1) and change.reason for change in changes[1:])
    assert len(changes) >= 3


def test_the_player_s_word_and_the_switch():
    player = session(Affect())
    up = last(player.hear(1.0, protocol.Override(change=1)), protocol.Difficulty)
    assert (up.level, up.change, up.by, up.held) == (4, 1, "player", True)
    off = last(player.hear(2.0, protocol.Adapt(on=False)), protocol.Difficulty)
    assert (off.level, off.held, off.adapt) == (4, True, False)
    back = last(player.hear(3.0, protocol.Override(change=None)), protocol.Difficulty)
    assert (back.held, back.adapt) == (False, False)


def test_what_is_said_about_the_model_is_what_its_file_says():
    words = model_words(drawn_metadata())
    assert (words.accuracy, words.data) == (0.7, "drawn")
    assert [one.name for one in words.classes] == list(CLASSES)
    assert words.recall["fear"] == 0.7


def test_of_states_and_looks_only_the_newest_waits_and_all_else_in_order():
    async def sent() -> list[object]:
        outbox = Outbox()
        for number in range(1000):
            outbox.replace("faces", (f"f{number}",), float(number))
            outbox.replace("state", (f"s{number}",))
            if number % 100 == 0:
                outbox.put(f"n{number}")
        return [await outbox.next() for _ in range(12)]

    got = asyncio.run(sent())
    assert [parts[0] for parts, _ in got[:10]] == [f"n{number}" for number in range(0, 1000, 100)]
    assert got[10:] == [(("f999",), 999.0), (("s999",), None)]


def test_a_bucket_lets_bursts_through_and_no_more_than_its_rate():
    bucket = Bucket(rate=5, burst=10)
    assert sum(bucket.take(0.0) for _ in range(100)) == 10
    assert sum(bucket.take(now) for now in np.arange(0.01, 10, 0.01)) in (49, 50)
    assert not bucket.take(1.0), "a clock that goes back fills nothing"


def test_it_is_busy_once_frames_are_dropped_for_seconds_on_end():
    busyness, told = Busyness(), []
    for tick in range(120):
        now = tick / 4
        dropped = max(0, min(tick, 60) - 20)  # from second 5 to 15
        told.append((now, busyness.rate(now, tick, dropped)))
    busy = [now for now, rate in told if rate is not None]
    assert 5 < busy[0] < 8
    assert busy[-1] < 18
    assert all(rate == pytest.approx(4) for _, rate in told if rate is not None)
    assert Busyness().rate(0.0, 0, 100) is None
