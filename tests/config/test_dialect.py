"""All commands take key=value, and refuse other words with the keys that exist."""

import os
from types import ModuleType

import pytest

from fer_lightning.audit import audit
from fer_lightning.data import ingest
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
