"""All commands take key=value, and refuse other words with the keys that exist."""

import os
from types import ModuleType

import pytest
from hydra._internal.utils import get_args_parser

from fer_lightning.audit import audit
from fer_lightning.config.arguments import WITH_VALUE, WITHOUT_VALUE, prepare_arguments
from fer_lightning.data import ingest
from fer_lightning.errors import UserError
from fer_lightning.evaluation import compare
from fer_lightning.report import __main__ as report

COMMANDS = {
    audit: ({"root": "data"}, []),
    ingest: ({"source": "faces.csv", "root": "data", "ferplus": "votes.csv", "photos": True}, ["source=faces.csv"]),
    compare: ({"runs": ["A", "B"], "csv_order": "data", "json": "c.json"}, ["runs=[A,B]"]),
    report: ({"sweep": "outputs/a b=c", "out": "there", "baseline": "loss-focal"}, ["sweep=DIR"]),
}


def status(command: ModuleType, words: list[str]) -> int:
    """The exit status of a command."""
    try:
        return command.main(words) or 0
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_an_unknown_key_is_refused_with_the_similar_one(command, capsys):
    key = next(iter(COMMANDS[command][0]))
    assert status(command, [*COMMANDS[command][1], f"{key}s_=x"]) == 2
    assert f"Did you mean {key}?" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_a_word_without_a_key_is_refused_with_the_form(command, capsys):
    assert status(command, [*COMMANDS[command][1], "one", "two", "three", "four"]) == 2
    assert "key=value" in capsys.readouterr().err or command is compare


@pytest.mark.parametrize(
    ("command", "words", "meant"),
    [
        (ingest, ["source=faces.csv", "--root", "data"], "Did you mean root=data?"),
        (ingest, ["--taxonomi=fer2013"], "Did you mean taxonomy=fer2013?"),
        (compare, ["A", "B", "--json"], "Did you mean json=...?"),
        (report, ["sweep=DIR", "--xyz"], "--xyz: no such option. Settings are written key=value. See: "),
    ],
)
def test_an_option_of_another_dialect_is_refused_with_the_key(command, words, meant, capsys):
    assert status(command, words) == 2
    printed = capsys.readouterr().err
    assert "no such option. Settings are written key=value." in printed
    assert meant in printed
    assert "usage:" not in printed


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--epochs", "10"], "--epochs 10: no such option. Settings are written key=value. Did you mean trainer"),
        (["--epochs=10"], "Did you mean trainer.max_epochs=10?"),
        (["model=emonext", "-lr", "0.1"], "Did you mean optim.lr=0.1?"),
        (["--batch-size", "32"], "Did you mean data.batch_size=32?"),
        (["--model", "emonext"], "Did you mean model=emonext?"),
        (["--experiment", "quickstart"], "Did you mean experiment=quickstart?"),
        (["--data-root", "faces"], "Did you mean data.root=faces?"),
        (["--weights", "my net.pt"], "Did you mean 'model.weights="),
        (["--qqqq"], "written key=value. See: python train.py --help"),
    ],
)
def test_an_option_of_another_dialect_is_refused_with_the_key_of_a_run(words, meant):
    with pytest.raises(UserError) as refused:
        prepare_arguments(words)
    assert meant in str(refused.value)


def test_every_option_of_hydra_is_known():
    options = {option for action in get_args_parser()._actions for option in action.option_strings}
    assert options == {*WITH_VALUE, *WITHOUT_VALUE}
    words = ["--multi", "-cjob", "--config-dir=conf", "data.root=-x"]
    assert prepare_arguments(words) == words


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_help_names_every_key(command, capsys):
    assert status(command, ["--help"]) == 0
    printed = capsys.readouterr().out
    assert [key for key in COMMANDS[command][0] if key not in printed] == []


@pytest.mark.parametrize("command", [ingest, compare, report], ids=lambda command: command.__name__)
def test_a_missing_key_is_refused_with_an_example(command, capsys):
    assert status(command, []) == 2
    assert f"Example: {command.COMMAND.program} " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        (ingest, ["source=a b's.csv", "photos=yes"], {"source": "a b's.csv", "photos": True, "root": "data/fer2013"}),
        (report, ["sweep=outputs/x=1,2", "pictures=no"], {"sweep": "outputs/x=1,2", "pictures": False, "out": None}),
        (audit, ["root=~/faces (1)"], {"root": os.path.expanduser("~/faces (1)")}),
    ],
)
def test_paths_may_contain_any_letter(command, words, expected):
    settings = command.command.settings(command.COMMAND, words)
    assert {key: getattr(settings, key) for key in expected} == expected
