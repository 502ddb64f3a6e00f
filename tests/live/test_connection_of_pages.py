"""The connection of the pages without a browser: a silent server, validity of the consent, times of frames."""

import itertools
from pathlib import Path

import pytest
from game_modules import needs_node, run

from fer_lightning.labels import NOT_SURE

pytestmark = needs_node


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    script = Path(__file__).with_name("lose_and_find.js").read_text()
    return run(tmp_path_factory.mktemp("connection"), script, room="web")


def test_a_server_that_is_silent_for_ten_seconds_is_gone(course):
    assert course["silent"] == {"before": 0, "lost": [False], "ready": False, "frame": 0, "told": [False, True]}


def test_a_consent_holds_for_the_same_model_and_camera_alone(course):
    assert course["same"] == {"agreed": True, "consents": [True]}
    assert course["other"] == {"agreed": False, "consents": []}


def test_an_idle_player_is_connected_again_at_the_next_key(course):
    assert course["idle"] == {"idles": [True], "attempts": 0, "after": 1}


def test_a_long_text_is_cut_between_its_letters(course):
    assert course["text"] == "\U0001f600" * 500


def test_one_frame_is_on_its_way_at_a_time_and_none_after_a_stop(tmp_path):
    sent = run(tmp_path, Path(__file__).with_name("send_frames.js").read_text(), room="web")
    waits = [later - sooner for sooner, later in itertools.pairwise(sent["left"])]
    assert all(60 <= wait <= 80 for wait in waits[:4])
    assert all(1000 <= wait <= 1020 for wait in waits[4:])  # the frame counts as lost, because no answer came
    assert len(waits) == 6
    assert sent["late"] == 0


def test_a_label_has_the_words_of_predict(tmp_path):
    shares = "{ sad: 0.4, happy: 0.6 }"
    script = (
        f"import {{ labelOf }} from './label.js';\nexport default [0.5, 0.7].map((least) => labelOf({shares}, least));"
    )
    sure, not_sure = run(tmp_path, script, room="web")
    assert sure == {"name": "happy", "sure": True, "text": "happy 60\u202f%"}
    assert (not_sure["sure"], not_sure["text"]) == (False, NOT_SURE)


def test_the_consent_form_says_whose_faces_the_model_learned_from(tmp_path):
    """Own classes are in no faces of FER2013, so nothing is claimed about theirs."""
    script = """
    globalThis.document = { createElement: () => ({ append() {} }) };
    const { learnedFrom } = await import("./consent.js");
    const text = (data, ...names) =>
      learnedFrom({ data, classes: names.map((name) => ({ name })) }).map((part) => part.textContent ?? part).join("");
    export default [text("fer2013", "happy"), text("learning_game", "happy", "boredom"), text("mine", "happy")];
    """
    of_fer2013, of_a_game, of_others = run(tmp_path, script, room="web")
    assert of_fer2013.startswith("The model learned from faces that were found by web searches. Many of them")
    assert of_a_game.startswith("The model learned boredom from other images than those of FER2013, and this page does")
    assert "web searches" not in of_others
