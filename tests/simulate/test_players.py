"""Simulated players follow the assumptions, and have the same random numbers under every policy."""

from dataclasses import replace

import numpy as np
import pytest
from face_models import drawn_metadata

from fer_lightning.config.option_settings import read_options
from fer_lightning.difficulty.policy import Policy
from fer_lightning.player.evidence import STATES
from fer_lightning.player.text import reader
from fer_lightning.simulate.people import person, state_shares, success
from fer_lightning.simulate.play import PolicyArm, play
from fer_lightning.simulate.sensors import Camera, recognition, texts, written
from fer_lightning.simulate.settings import People

POLICIES = read_options(Policy, "live/policy")
DRAWN = drawn_metadata()
MODEL = recognition(DRAWN.classes, DRAWN.confusion)
FIXED, PERFORMANCE = PolicyArm("fixed", POLICIES["fixed"]), PolicyArm("performance", POLICIES["performance"])
AFFECT = PolicyArm("affect", POLICIES["affect"], faces=True, texts=True)
ORACLE = PolicyArm("oracle", POLICIES["affect"], oracle=True)


def people(**changes: float) -> People:
    return People(**changes)


def player(number: int = 0, *, seconds: int = 600, **changes: float):
    return person(people(**changes), DRAWN.classes, seconds, 0, number)


def test_the_balance_of_skill_and_challenge_makes_the_state():
    shares = np.array([state_shares(people(), balance) for balance in np.linspace(-5, 5, 41)])
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (np.diff(shares[:, STATES.index("frustrated")]) <= 0).all()
    assert (np.diff(shares[:, STATES.index("bored")]) >= 0).all()
    assert shares[20].argmax() == STATES.index("engaged")
    assert max(state_shares(people(), 1e6)) == pytest.approx(1)


def test_the_chance_of_success_is_even_where_skill_meets_the_level():
    assert success(people(), 4.0, 4) == 0.5
    assert success(people(), 5.1, 4) == pytest.approx(0.75, abs=0.005)


def test_other_assumptions_leave_the_luck():
    assert player(surplus_sd=0.0, expressivity=0.1).draws == player().draws
    assert player(surplus_sd=0.0).surplus == People().surplus
    assert player(0).draws != player(1).draws


@pytest.mark.parametrize("arm", [FIXED, PERFORMANCE, AFFECT, ORACLE], ids=lambda arm: arm.name)
def test_a_game_comes_out_the_same_again(arm):
    assert play(people(), player(), arm, MODEL, 10) == play(people(), player(), arm, MODEL, 10)


def test_everybodys_expressions_are_shares_around_the_assumed_ones():
    rows = np.array([player(number, seconds=1).expressions for number in range(300)])
    assert rows.sum(axis=2) == pytest.approx(1)
    assert rows.min() >= 0
    angry, happy = DRAWN.classes.index("angry"), DRAWN.classes.index("happy")
    mean = rows.mean(axis=0)
    assert mean[0, angry] > mean[2, angry]
    assert mean[2, happy] > mean[0, happy]
    smiling = np.array([player(number, seconds=1, smiles=1.0).expressions for number in range(300)]).mean(axis=0)
    assert smiling[0, happy] > mean[0, happy]
    assert smiling[2] == pytest.approx(mean[2])


def test_labels_come_as_the_confusion_matrix_says():
    """The labels of a person who shows only one expression have the shares of the confusion matrix."""
    counts = np.array(DRAWN.confusion)
    assert np.diff([0.0, *MODEL.given[0]]) == pytest.approx(counts[0] / counts[0].sum())
    assert np.array(MODEL.says).sum(axis=1) == pytest.approx(1)
    right = recognition(DRAWN.classes, DRAWN.confusion, mistakes=0.0)
    assert np.array(right.says) == pytest.approx(np.eye(7))
    seconds = 20_000
    somebody = player(seconds=seconds)
    somebody.expressions[:] = [[1.0, 0, 0, 0, 0, 0, 0]] * 3
    camera = Camera(people(face_lost=0.0, mistaken_seconds=1.0), somebody, MODEL)
    looks = [camera.look(second, 0)[0] for second in range(seconds)]
    labels = [MODEL.says.index(look) for look in looks]
    shares = np.bincount(labels, minlength=7) / seconds
    assert shares == pytest.approx(counts[0] / counts[0].sum(), abs=0.02)


def test_a_class_that_no_row_had_does_no_harm():
    model = recognition(("angry", "happy"), [[0, 0], [1, 9]])
    assert np.isfinite(model.says).all()
    assert model.given[0] == [1.0, 1.0]


def test_faces_go_missing_in_bouts_and_some_are_doubtful():
    seconds = 20_000
    camera = Camera(people(), player(seconds=seconds), MODEL)
    looks = [camera.look(second, 1) for second in range(seconds)]
    lost = np.array([probabilities is None for probabilities, _ in looks])
    doubtful = np.array([quality == 0 for probabilities, quality in looks if probabilities is not None])
    assert lost.mean() == pytest.approx(People().face_lost, abs=0.03)
    bouts = (np.diff(lost.astype(int)) == 1).sum()
    assert lost.sum() / bouts == pytest.approx(People().face_lost_seconds, rel=0.3)
    assert doubtful.mean() == pytest.approx(People().face_doubtful, abs=0.02)


@pytest.mark.slow
def test_texts_come_at_their_rate_and_about_what_they_should():
    somebody = player(seconds=20_000, texts_per_minute=30.0)
    said = [written(people(), somebody, second, 1) for second in range(20_000)]
    said = [text for text in said if text]
    assert len(said) / 20_000 * 60 == pytest.approx(somebody.texts_per_minute, rel=0.1)
    told = np.mean([text in texts()["bored"] for text in said])
    assert told == pytest.approx(People().texts_about_state, abs=0.05)
    assert {written(people(), player(texts_per_minute=0.0), second, 0) for second in range(600)} == {None}


def test_most_texts_about_a_state_are_read_as_it_or_not_at_all():
    """The reader knows some of these sentences, but not all, and rarely assigns one to another state."""
    for state in STATES:
        found = [reader().read(text).log_likelihood for text in texts()[state]]
        known = [STATES[int(np.argmax(one))] for one in found if any(one)]
        assert len(known) >= len(found) / 3
        assert known.count(state) >= 0.75 * len(known)


def test_who_is_too_good_for_the_first_level_is_better_off_with_adaptation():
    somebody = [player(number, seconds=1200, skill=8.0, skill_sd=0.0, leave_bored=0.0) for number in range(3)]
    flow = {
        arm.name: sum(play(people(leave_bored=0.0), one, arm, MODEL, 20).flow for one in somebody)
        for arm in (FIXED, PERFORMANCE, AFFECT, ORACLE)
    }
    assert flow["fixed"] < min(flow["performance"], flow["affect"], flow["oracle"])


def test_who_has_had_enough_leaves():
    somebody = replace(player(), patience=0.1)
    session = play(people(leave_bored=1.0, leave_frustrated=1.0, leave_engaged=1.0), somebody, FIXED, None, 10)
    assert session.left
    assert session.played < 10
    calm = play(people(leave_bored=0.0, leave_frustrated=0.0, leave_engaged=0.0), somebody, FIXED, None, 10)
    assert (calm.left, calm.played) == (False, 600)
    assert sum(calm.by_minute) == calm.flow
