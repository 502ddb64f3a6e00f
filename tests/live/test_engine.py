"""The engine with a detector and a model that a test can delay: which frames are processed, when, and which dropped."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_frames import jpeg

from fer_lightning.errors import UserError
from fer_lightning.faces.detector import WholePicture
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.faces.settings import FaceRules
from fer_lightning.live.engine import Engine, Reduced, SeenFrame
from fer_lightning.live.settings import FrameSettings

PATIENCE = 10.0  # seconds
CLASSES = ("dark", "bright")


class Model:
    """Model that separates dark from bright. It waits at the gate, and records the number of faces per call."""

    metadata = SimpleNamespace(classes=CLASSES, form=FER2013_FORM)

    def __init__(self) -> None:
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.gate.set()
        self.calls: list[int] = []
        self.broken = False

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls.append(len(crops))
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if self.broken:
            raise RuntimeError("a secret of the player")
        bright = crops.reshape(len(crops), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


class Told:
    """Results that a seat received, in order."""

    def __init__(self) -> None:
        self.looks: list[SeenFrame] = []
        self._change = threading.Condition()

    def __call__(self, look: SeenFrame) -> None:
        with self._change:
            self.looks.append(look)
            self._change.notify_all()

    def wait_for(self, count: int) -> list[SeenFrame]:
        with self._change:
            assert self._change.wait_for(lambda: len(self.looks) >= count, PATIENCE), self.numbers
            return list(self.looks)

    @property
    def numbers(self) -> list[int]:
        return [look.number for look in self.looks]


@pytest.fixture
def model():
    return Model()


def engine(model: Model, threads: int = 1) -> Engine:
    return Engine(model, [WholePicture() for _ in range(threads)], FaceRules(min_face_px=48))


def test_a_frame_is_found_recognised_and_timed(model):
    told = Told()
    with engine(model) as looking:
        looking.seat(told).put(7, jpeg(230, size=(160, 120)))
        look = told.wait_for(1)[0]
    assert (look.number, look.width, look.height, look.problem) == (7, 160, 120, None)
    assert look.faces[0].face.box[3] == pytest.approx(120 / 0.92)
    assert look.probabilities[0].argmax() == 1
    assert set(look.seconds) == {"waiting", "decode", "detect", "recognise"}


def test_of_frames_that_come_too_fast_the_newest_is_seen_and_the_rest_counted(model):
    model.gate.clear()
    told = Told()
    with engine(model) as looking:
        seat = looking.seat(told)
        seat.put(1, jpeg())
        assert model.entered.acquire(timeout=PATIENCE)
        for number in range(2, 102):
            seat.put(number, jpeg())
        model.gate.set()
        told.wait_for(2)
    assert told.numbers == [1, 101]
    assert seat.dropped == 99


def test_who_sends_much_does_not_delay_who_sends_little(model):
    model.gate.clear()
    order: list[str] = []
    done = threading.Event()

    def greedy_told(look: SeenFrame) -> None:
        order.append("greedy")
        if not done.is_set():
            greedy.put(look.number + 1, jpeg())

    def modest_told(look: SeenFrame) -> None:
        order.append("modest")
        done.set()

    with engine(model) as looking:
        greedy, modest = looking.seat(greedy_told), looking.seat(modest_told)
        greedy.put(1, jpeg())
        assert model.entered.acquire(timeout=PATIENCE)
        greedy.put(2, jpeg())
        modest.put(1, jpeg())
        model.gate.set()
        assert done.wait(PATIENCE)
    assert order.index("modest") <= 2


def test_all_frames_that_are_ready_are_recognised_in_one_call(model):
    model.gate.clear()
    tellers = [Told() for _ in range(6)]
    with engine(model, threads=2) as looking:
        seats = [looking.seat(told) for told in tellers]
        seats[0].put(1, jpeg())
        assert model.entered.acquire(timeout=PATIENCE)
        for seat in seats[1:]:
            seat.put(1, jpeg())
        deadline = time.monotonic() + PATIENCE
        while len(looking._ready) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        model.gate.set()
        for told in tellers:
            told.wait_for(1)
    assert model.calls == [1, 5]


def test_each_connection_is_told_of_its_own_faces(model):
    tellers = {level: Told() for level in (0, 60, 120, 180, 240)}
    with engine(model, threads=3) as looking:
        seats = {level: looking.seat(told) for level, told in tellers.items()}
        for number in range(1, 21):
            for level, seat in seats.items():
                seat.put(number, jpeg(level))
                tellers[level].wait_for(number)
    for level, told in tellers.items():
        assert told.numbers == list(range(1, 21))
        assert all(abs(look.probabilities[0, 1] - level / 255) < 0.02 for look in told.looks)


def test_after_clear_nothing_is_told_of_what_came_before(model):
    model.gate.clear()
    told = Told()
    with engine(model) as looking:
        seat = looking.seat(told)
        seat.put(1, jpeg())
        assert model.entered.acquire(timeout=PATIENCE)
        seat.put(2, jpeg())
        seat.clear()
        model.gate.set()
        seat.put(3, jpeg())
        told.wait_for(1)
    assert told.numbers == [3]


def test_a_bad_frame_and_a_failing_model_are_told_in_words_without_what_they_hold(model, caplog):
    told = Told()
    with engine(model) as looking:
        seat = looking.seat(told)
        seat.put(1, b"rubbish")
        told.wait_for(1)
        model.broken = True
        seat.put(2, jpeg())
        told.wait_for(2)
        model.broken = False
        seat.put(3, jpeg())
        told.wait_for(3)
    assert "not a JPEG" in told.looks[0].problem
    assert [look.ours for look in told.looks] == [False, True, False]
    assert told.looks[1].problem == "the model failed"
    assert told.looks[2].problem is None
    assert "secret" not in caplog.text


def test_a_model_that_fails_for_one_face_is_told_to_whose_face_it_is_alone(model):
    class Broken(Model):
        def __call__(self, crops: np.ndarray) -> np.ndarray:
            found = super().__call__(crops)
            if (found[:, 1] > 0.5).any():
                raise UserError("model=x: returned numbers that are not probabilities")
            return found

    model.__class__ = Broken
    model.gate.clear()
    first, bright, dark = Told(), Told(), Told()
    with engine(model, threads=2) as looking:
        looking.seat(first).put(1, jpeg(0))
        assert model.entered.acquire(timeout=PATIENCE)
        looking.seat(bright).put(1, jpeg(255))
        looking.seat(dark).put(1, jpeg(0))
        deadline = time.monotonic() + PATIENCE
        while len(looking._ready) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        model.gate.set()
        look = bright.wait_for(1)[0]
        assert dark.wait_for(1)[0].problem is None
    assert look.problem == "the model failed"
    assert look.ours, "the sender of the frame made no mistake"
    assert model.calls[:2] == [1, 2], "one call for both; after it failed, one for each"
    assert model.calls[2:] == [1, 1]


def test_frames_without_a_face_need_no_model(model):
    told = Told()
    nobody = WholePicture()
    nobody.__class__ = type("Nobody", (WholePicture,), {"__call__": lambda self, picture: []})
    with Engine(model, [nobody], FaceRules()) as looking:
        looking.seat(told).put(1, jpeg())
        look = told.wait_for(1)[0]
    assert (look.faces, look.probabilities.shape, model.calls) == ((), (0, 2), [])


def test_only_the_largest_faces_are_kept(model):
    class Crowd(WholePicture):
        def __call__(self, picture):
            return super().__call__(picture) * 20

    told = Told()
    with Engine(model, [Crowd()], FaceRules(), frames=FrameSettings(most=3)) as looking:
        looking.seat(told).put(1, jpeg())
        assert len(told.wait_for(1)[0].faces) == 3


def test_boxes_of_a_reduced_picture_are_those_of_the_picture():
    picture = np.zeros((480, 640, 3), np.uint8)
    found, whole = Reduced(WholePicture(), 320)(picture)[0], WholePicture()(picture)[0]
    assert found.box == pytest.approx(whole.box)
    assert Reduced(WholePicture(), 1000)(picture)[0] == whole
