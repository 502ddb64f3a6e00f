"""One declaration per setting: one field is a key, a line of --help, a checked value, an attribute."""

from dataclasses import dataclass, replace

import pytest

from fer_lightning.config import command
from fer_lightning.config.groups import options
from fer_lightning.config.option_settings import declared_groups, with_chosen_options
from fer_lightning.config.reference import leaves
from fer_lightning.config.settings import Settings, build, nested, setting
from fer_lightning.difficulty.affect import Affect
from fer_lightning.difficulty.performance import Performance
from fer_lightning.errors import UserError
from fer_lightning.live.__main__ import COMMAND as LIVE
from fer_lightning.predict.__main__ import COMMAND
from fer_lightning.predict.settings import PredictFaces, PredictSettings
from scripts.settings_reference import commands

REQUIRED = ["model=a", "input=b"]


@dataclass(frozen=True, kw_only=True)
class MoreFaces(PredictFaces):
    nose_px: float = setting(9, "minimum length of a nose, in pixels", minimum=1, maximum=40)


@dataclass(frozen=True, kw_only=True)
class MoreSettings(PredictSettings):
    colour: str = setting("blue", "colour of the boxes")
    faces: MoreFaces = nested(MoreFaces, without=("ambiguous_area",))


PLANTED = replace(COMMAND, schema=MoreSettings)


def refused(*words: str) -> str:
    with pytest.raises(UserError) as error:
        command.settings(PLANTED, [*REQUIRED, *words])
    return str(error.value)


def test_a_planted_field_is_a_key_and_an_attribute():
    made = command.settings(PLANTED, [*REQUIRED, "faces.nose_px=12", "colour=it's, light"])
    assert (made.faces.nose_px, made.colour) == (12, "it's, light")
    assert command.settings(PLANTED, REQUIRED) == MoreSettings(model="a", input="b")


def test_a_planted_field_is_in_the_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        command.read_arguments(PLANTED, "Predict.", ["--help"])
    shown = capsys.readouterr().out
    assert "  faces.nose_px=9                 minimum length of a nose, in pixels (a number from 1 to 40)\n" in shown
    assert "  colour=blue                     colour of the boxes (a text)\n" in shown
    assert "ambiguous_area" not in shown


@pytest.mark.slow
def test_a_planted_field_is_checked():
    range_ = "must be from 1 to 40 (minimum length of a nose, in pixels). The default is 9."
    assert refused("faces.nose_px=41") == f"faces.nose_px=41.0: {range_}"
    assert refused("faces.nose_px=nan") == f"faces.nose_px=nan: {range_}"
    wrong_type = "must be a number from 1 to 40 (minimum length of a nose, in pixels)."
    assert refused("faces.nose_px=long") == f"faces.nose_px='long': {wrong_type}"
    assert refused("faces.nose_xp=3").startswith("faces.nose_xp: no such key. Did you mean faces.nose_px? Allowed: ")
    assert refused("color=red").startswith("color: no such key. Did you mean colour?")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "batch_size=null",
            "batch_size=null: must be a whole number, 1 or more (faces that the model",
        ),
        ("faces=3", "faces=3: must be a group of settings. Set one: faces.kind=..."),
        ("annotate=3.5", "annotate=3.5: must be true or false (true: also write"),
        ("+faces.nose=1", "faces.nose: no such key. Did you mean faces.nose_px?"),
        ("+faces.ambiguous_area=1", "faces.ambiguous_area: no such key."),
        ("out=${oc.env:NO_SUCH_NAME}", "Environment variable 'NO_SUCH_NAME' not found"),
    ],
)
def test_no_word_ends_in_a_traceback(word, said):
    assert said in refused(word)


@pytest.mark.parametrize("option", ["null", "3", "[a,b]", "it's"])
def test_an_option_of_a_group_may_be_any_word(option):
    with pytest.raises(UserError, match="no such option"):
        command.settings(LIVE, [f"policy={option}"])


def test_the_keys_of_an_option_are_declared_by_its_class(capsys):
    made = command.settings(LIVE, ["policy=performance", "policy.tasks=3"])
    assert made.policy == Performance(tasks=3)
    assert command.settings(LIVE, []).policy == Affect()
    with pytest.raises(SystemExit):
        command.read_arguments(LIVE, "Serve.", ["policy=performance", "--help"])
    shown = capsys.readouterr().out
    assert "policy.tasks=10" in shown
    assert "policy.hold" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("policy.tasks=0", "policy.tasks=0: must be 1 or more (number of last tasks that count). The default is 10."),
        ("policy.tasks=few", "policy.tasks='few': must be a whole number"),
        ("policy.taks=3", "policy.taks: no such key. Did you mean policy.tasks? Allowed: tasks, target, margin,"),
        ("policy=performance policy.hold=2", "policy.hold: no such key."),
        ("policy=fixed policy.tasks=3", "policy.tasks: no such key. policy does not have keys here."),
        ("policy._target_=os.system", "policy._target_=os.system: not allowed here. Name a class of this package"),
        ("policy._target_=fer_lightning.files.locked", "not allowed here"),
        ("policy._target_=null", "policy._target_=null: not allowed for this key."),
    ],
)
def test_a_wrong_key_of_an_option_is_refused(words, said):
    with pytest.raises(UserError) as error:
        command.settings(LIVE, words.split())
    assert said in str(error.value)


def test_a_setting_without_effect_in_a_command_is_not_its_key():
    assert refused("faces.ambiguous_area=0.5").startswith("faces.ambiguous_area: no such key.")


def test_the_yaml_of_a_command_overrides_a_declared_default(tmp_path):
    file = tmp_path / "predict.yaml"
    file.write_text("defaults: [predict_schema, _self_]\nbatch_size: 7\nfaces: {nose_px: 8}\n")
    changed = replace(PLANTED, file=file)
    made = command.settings(changed, REQUIRED)
    assert (made.batch_size, made.faces.nose_px, made.faces.min_score) == (7, 8, 0.8)
    with pytest.raises(UserError, match=r"batch_size=0: must be 1 or more .* The default is 7\."):
        command.settings(changed, [*REQUIRED, "batch_size=0"])
    file.write_text("defaults: [predict_schema, _self_]\nfaces: {nose_xp: 8}\n")
    with pytest.raises(UserError, match=r"nose_xp: no such key\. Did you mean faces\.nose_px\?"):
        command.settings(changed, REQUIRED)


@dataclass(frozen=True, kw_only=True)
class Ranges(Settings):
    share: float = setting(0.5, "a share", minimum=0, below=1)
    rate: float = setting(1.0, "a rate", above=0)
    small: float = setting(1.0, "a small rate", above=0, maximum=2)
    any_number: float = setting(0.0, "any number")
    whole: int = setting(1, "a count", minimum=1)
    out: str | None = setting(None, "a folder", path=True)
    runs: list[str] = setting(factory=list, comment="folders", path=True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"share": 1}, "share=1: must be at least 0 and less than 1 (a share)."),
        ({"share": -0.1}, "share=-0.1: must be at least 0 and less than 1 (a share)."),
        ({"rate": 0}, "rate=0: must be greater than 0 (a rate)."),
        ({"rate": float("inf")}, "rate=inf: must be a finite number (a rate)."),
        ({"small": 3}, "small=3: must be greater than 0 and at most 2 (a small rate)."),
        ({"any_number": float("nan")}, "any_number=nan: must be a finite number (any number)."),
        ({"any_number": "many"}, "any_number='many': must be a number (any number)."),
        ({"any_number": True}, "any_number=True: must be a number (any number)."),
        ({"whole": 1.5}, "whole=1.5: must be a whole number, 1 or more (a count)."),
        ({"out": ""}, "out='': must be a path, such as . for the current folder (a folder)."),
        ({"runs": ["a", ""]}, "runs=['a', '']: must be a path, such as . for the current folder (folders)."),
    ],
)
def test_ranges_hold_for_objects_too(values, said):
    for make in (lambda: Ranges(**values), lambda: build(Ranges, values)):
        with pytest.raises(UserError) as error:
            make()
        assert str(error.value) == said


@pytest.mark.parametrize("of", commands(), ids=lambda one: one.schema.__name__)
def test_every_setting_has_a_comment(of):
    chosen = [f"{group}={option}" for group, one in declared_groups(of) for option in options(one.rule.group)]
    for word in chosen or [""]:
        for key, one in leaves(with_chosen_options(of, [word]).schema):
            assert one.rule.comment, key
            assert not one.rule.comment.endswith("."), key
