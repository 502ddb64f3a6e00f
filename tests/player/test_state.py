"""The estimate of a player's state: bounded, stable, monotone in evidence, unknown without evidence."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.labels import TAXONOMIES
from fer_lightning.player.evidence import STATES, Channel
from fer_lightning.player.state import StateEstimator, assumed_expressions, expression_shares

FER2013 = TAXONOMIES["fer2013"].classes
EVEN = (1 / 3, 1 / 3, 1 / 3)

shares = st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7).filter(lambda values: sum(values) > 1e-3)
looks = st.tuples(st.just("see"), st.one_of(st.none(), shares), st.floats(0, 1))
texts = st.tuples(st.just("read"), st.text(max_size=60), st.just(0.0))
steps = st.lists(st.tuples(st.floats(-5, 60), st.one_of(looks, texts)), max_size=25)


def face(name: str, share: float = 0.8) -> list[float]:
    rest = (1 - share) / (len(FER2013) - 1)
    return [share if label == name else rest for label in FER2013]


def watching(name: str, seconds: float, **settings) -> StateEstimator:
    estimator = StateEstimator(FER2013, **settings)
    for frame in range(round(5 * seconds)):
        estimator.see(frame / 5, face(name))
    return estimator


@pytest.mark.parametrize("estimator", [StateEstimator(None), StateEstimator(FER2013)])
def test_with_neither_channel_it_says_unknown(estimator):
    state = estimator.estimate(0.0)
    assert (state.name, state.confidence, state.probabilities) == ("unknown", 0.0, EVEN)
    assert state.channels == {"face": 0.0, "text": 0.0}
    assert state.reasons == ("nothing seen or read yet",)


@settings(deadline=None)
@given(steps)
def test_whatever_comes_it_stays_a_distribution(steps):
    estimator, now = StateEstimator(FER2013), 0.0
    for wait, (kind, what, quality) in steps:
        now += wait
        estimator.see(now, what, quality=quality) if kind == "see" else estimator.read(now, what)
        state = estimator.estimate(now)
        assert math.isclose(sum(state.probabilities), 1, abs_tol=1e-9)
        assert min(state.probabilities) > 0
        assert 0 <= state.confidence <= 1
        assert all(0 <= weight <= 1 for weight in state.channels.values())
        assert state.name in (*STATES, "unknown")


@settings(deadline=None)
@given(shares, st.floats(0.02, 5))
def test_constant_input_settles_and_never_swings(probabilities, apart):
    """The probability of the leading state never decreases with constant input, and the name changes at most once."""
    estimator, history, names = StateEstimator(FER2013), [], []
    for frame in range(80):
        estimator.see(frame * apart, probabilities)
        state = estimator.estimate(frame * apart)
        history.append(state.probabilities)
        names.append(state.name)
    assert sum(first != second for first, second in pairwise(names)) <= 1
    leading = int(np.argmax(history[-1]))
    assert (np.diff([step[leading] for step in history]) >= -1e-9).all()


@settings(deadline=None)
@given(shares, st.floats(0.01, 1), st.sampled_from(range(3)))
def test_more_of_a_telling_face_never_says_less(probabilities, more, place):
    """A higher probability of the class with most evidence for a state never lowers the probability of that state."""
    table = np.array([expression_shares(FER2013, assumed_expressions())[state] for state in STATES])
    telling = int(np.argmax(table[place] / table.sum(axis=0)))
    added = list(probabilities)
    added[telling] += more
    plain, stronger = StateEstimator(FER2013), StateEstimator(FER2013)
    for frame in range(10):
        plain.see(frame / 5, probabilities)
        stronger.see(frame / 5, added)
    assert stronger.estimate(2).probabilities[place] >= plain.estimate(2).probabilities[place] - 1e-9


def test_each_channel_works_alone():
    assert watching("angry", 10).estimate(10).name == "frustrated"
    assert watching("happy", 10).estimate(10).name == "engaged"
    typed = StateEstimator(None)
    typed.read(0, "this is boring")
    assert typed.estimate(1).name == "bored"


def test_channels_add_up_and_contradict_each_other():
    agreed, disagreed = watching("angry", 10), watching("angry", 10)
    alone = agreed.estimate(10).probabilities[0]
    agreed.read(10, "ugh")
    disagreed.read(10, "one more, this is fun")
    assert agreed.estimate(10).probabilities[0] > alone > disagreed.estimate(10).probabilities[0]


@pytest.mark.parametrize("missing", [{"probabilities": None}, {"probabilities": face("neutral"), "quality": 0.0}])
def test_a_missing_or_doubtful_face_fades_to_unknown_and_invents_no_neutral(missing):
    """A missing or uncertain face has exactly the same effect as a camera that is off."""
    doubted, off = watching("angry", 10), watching("angry", 10)
    confidence = [doubted.estimate(10).confidence]
    for frame in range(50, 250):
        doubted.see(frame / 5, **missing)
        confidence.append(doubted.estimate(frame / 5).confidence)
    assert confidence == sorted(confidence, reverse=True)
    assert doubted.estimate(50).probabilities == pytest.approx(off.estimate(50).probabilities, abs=1e-9)
    assert doubted.estimate(50).name == "unknown"
    assert doubted.estimate(50).reasons == ("no clear face for 40 s",)


def test_half_a_look_counts_for_half():
    sure, unsure = StateEstimator(FER2013), StateEstimator(FER2013)
    for frame in range(50):
        sure.see(frame / 5, face("angry"))
        unsure.see(frame / 5, face("angry"), quality=0.5)
    assert unsure.estimate(10).confidence < sure.estimate(10).confidence
    assert unsure.estimate(10).channels["face"] == pytest.approx(sure.estimate(10).channels["face"] / 2)


def test_texts_fade_too():
    estimator = StateEstimator(None)
    estimator.read(0, "I give up")
    assert estimator.estimate(0).name == "frustrated"
    assert estimator.estimate(300).confidence < 0.01
    assert estimator.estimate(300).reasons == ("nothing seen or read yet",)


def test_the_rate_of_looks_does_not_matter():
    fast, slow = watching("angry", 20), StateEstimator(FER2013)
    for second in range(20):
        slow.see(second, face("angry"))
    assert fast.estimate(20).confidence == pytest.approx(slow.estimate(20).confidence, abs=0.05)


def test_one_look_after_a_long_gap_is_one_look():
    estimator = StateEstimator(FER2013)
    estimator.see(0, face("neutral"))
    estimator.see(3600, face("angry"))
    assert estimator.estimate(3600).channels["face"] == pytest.approx(-math.expm1(-1 / 6))


def test_a_clock_that_goes_back_stops_nothing():
    estimator = watching("happy", 10)
    for frame in range(100):
        estimator.see(-1000 + frame / 5, face("angry"))
    assert estimator.estimate(-980).name == "frustrated"


@pytest.mark.parametrize(
    "rubbish",
    [[math.nan] * 7, [math.inf, *[0.0] * 6], [0.0] * 7, [-0.5, 1.5, 0, 0, 0, 0, 0], [0.5, 0.5], [], np.full(7, np.nan)],
)
def test_what_is_no_distribution_is_no_look(rubbish):
    estimator, none = watching("angry", 5), watching("angry", 5)
    estimator.see(6, rubbish)
    none.see(6, None)
    assert estimator.estimate(7) == none.estimate(7)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_number_changes_nothing(now):
    estimator, before = watching("angry", 5), watching("angry", 5).estimate(5)
    estimator.see(now, face("happy"))
    estimator.read(now, "nice")
    assert estimator.estimate(5) == before
    assert 0 <= estimator.estimate(now).confidence <= 1


def test_a_model_without_known_classes_says_nothing():
    estimator = StateEstimator(("calm", "tense"))
    for frame in range(50):
        estimator.see(frame / 5, [0.9, 0.1])
    assert estimator.estimate(10).probabilities == pytest.approx(EVEN)


def test_a_class_that_the_table_lacks_says_nothing_beside_those_that_it_has():
    estimator = StateEstimator((*FER2013, "contempt"))
    for frame in range(50):
        estimator.see(frame / 5, [0.0] * 7 + [1.0])
    assert estimator.estimate(10).probabilities == pytest.approx(EVEN)


def test_what_the_model_says_of_any_face_is_no_evidence():
    """A model that returns the shares of its training faces gives no evidence."""
    counts = [400, 43, 409, 717, 483, 317, 497]
    estimator = StateEstimator(FER2013, class_shares=counts)
    for frame in range(50):
        estimator.see(frame / 5, np.array(counts) / sum(counts))
    assert estimator.estimate(10).probabilities == pytest.approx(EVEN)


def test_a_class_without_rows_is_no_proof_of_anything():
    estimator = StateEstimator(FER2013, class_shares=[100, 0, 100, 100, 100, 100, 100])
    for frame in range(50):
        estimator.see(frame / 5, [0.165, 0.01, 0.165, 0.165, 0.165, 0.165, 0.165])
    assert estimator.estimate(10).name == "unknown"


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=lambda taxonomy: taxonomy.name)
def test_assumed_expressions_are_shares_of_every_taxonomy(taxonomy):
    rows = expression_shares(taxonomy.classes, assumed_expressions())
    assert tuple(rows) == STATES
    for row in rows.values():
        assert sum(row) == pytest.approx(1)
        assert min(row) > 0


def test_the_table_has_every_class_of_fer2013_and_of_the_game_and_no_other():
    """A class that is not in it, such as contempt, counts as no evidence."""
    known = {*FER2013, *TAXONOMIES["learning_game_distracted"].classes}
    for row in assumed_expressions().values():
        assert row.keys() == known
        assert sum(row.values()) == pytest.approx(1)


def test_reasons_name_what_was_seen_and_written_weightiest_first():
    estimator = watching("angry", 20)
    assert estimator.estimate(20).reasons == ("face: angry 80 % over the last 6 s",)
    estimator.read(20, "UGH, this is boring")
    assert estimator.estimate(26).reasons[-1] == "you wrote “UGH”, “boring” 6 s ago"
    assert StateEstimator(None).estimate(0).reasons
    typed = StateEstimator(FER2013)
    typed.read(0, "I GIVE UP!!!")
    typed.see(0.1, face("neutral", 0.4))
    assert typed.estimate(0.2).reasons[0] == "you wrote “I GIVE UP”"


@pytest.mark.parametrize("settings", [{"face_seconds": 0}, {"text_seconds": -1}, {"class_shares": [1, 2]}])
def test_settings_that_cannot_be_meant_are_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        StateEstimator(FER2013, **settings)


def test_evidence_fades_by_the_time_constant():
    channel = Channel(10)
    channel.add(0, (1.0, -0.5, -0.5))
    assert channel.kept(10) == pytest.approx(math.exp(-1))
    channel.fade(10)
    assert channel.mean[0] == pytest.approx(math.exp(-1))
