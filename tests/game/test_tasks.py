"""Every task can be solved, its solution is arithmetically right, and all texts of Bit about it are valid."""

import itertools
import json
from pathlib import Path

import pytest
from game_modules import needs_node, run

from fer_lightning.live.server import GAME_LEVELS

pytestmark = needs_node

GATES = {
    "NOT": lambda a: 1 - a,
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "XOR": lambda a, b: a ^ b,
    "NAND": lambda a, b: 1 - (a & b),
    "NOR": lambda a, b: 1 - (a | b),
}


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    played = run(tmp_path_factory.mktemp("game"), Path(__file__).with_name("play_tasks.js").read_text())
    return played | {"tasks": [one for game in played["games"] for one in game]}


def names(circuit) -> list[str]:
    return [circuit["input"]] if "input" in circuit else [name for part in circuit["from"] for name in names(part)]


def value(circuit, inputs, hidden=None) -> int:
    if "input" in circuit:
        return inputs[circuit["input"]]
    op = hidden if circuit["op"] == "?" else circuit["op"]
    return GATES[op](*(value(part, inputs, hidden) for part in circuit["from"]))


def table(circuit, hidden=None) -> str:
    inputs = names(circuit)
    rows = itertools.product((0, 1), repeat=len(inputs))
    return "".join(str(value(circuit, dict(zip(inputs, row, strict=True)), hidden)) for row in rows)


def lamp(circuit, bits) -> int:
    return value(circuit, dict(zip(names(circuit), map(int, bits), strict=True)))


RIGHT = {
    "read": lambda task, answer: int(answer) == int(task["bits"], 2),
    "signed": lambda task, answer: int(answer) % 2 ** len(task["bits"]) == int(task["bits"], 2) and int(answer) < 0,
    "write": lambda task, answer: int(answer, 2) == task["target"] and len(answer) == task["length"],
    "add": lambda task, answer: int(answer, 2) == int(task["first"], 2) + int(task["second"], 2),
    "toHex": lambda task, answer: int(answer, 16) == int(task["bits"], 2) and len(answer) == task["digits"],
    "fromHex": lambda task, answer: int(answer, 2) == int(task["hex"], 16) and len(answer) == task["length"],
    "hexNumber": lambda task, answer: int(answer) == int(task["hex"], 16),
    "glow": lambda task, answer: int(answer) == lamp(task["circuit"], task["inputs"]),
    "light": lambda task, answer: lamp(task["circuit"], answer) == 1,
    "table": lambda task, answer: answer == table(task["circuit"]),
    "missing": lambda task, answer: table(task["circuit"], hidden=answer) == task["output"],
}


def test_every_task_is_solved_by_what_arithmetic_gives(game):
    assert len(game["kinds"]) == GAME_LEVELS
    for one in game["tasks"]:
        assert one["right"], one["task"]
        assert RIGHT[one["task"]["kind"]](one["task"], one["answer"]), one["task"]
        assert one["typed"] == one["answer"]


def test_other_answers_are_right_only_where_they_are(game):
    for one in game["tasks"]:
        for other in one["others"]:
            wanted = RIGHT[one["task"]["kind"]](one["task"], other["answer"])
            assert other["right"] == wanted, (one["task"], other)
            assert not wanted or one["task"]["kind"] == "light"


def test_a_lamp_that_is_to_be_switched_on_is_off_at_first(game):
    for one in game["tasks"]:
        if one["task"]["kind"] == "light":
            assert not lamp(one["task"]["circuit"], "0" * len(one["answer"])), one["task"]


def test_what_bit_says_is_words(game):
    for one in game["tasks"]:
        said = [*one["words"], *(words for other in one["others"] for words in other["words"] if not other["right"])]
        for words in said:
            assert words.strip(), one["task"]
            assert not any(slip in words for slip in ("undefined", "NaN", "null", "Infinity", "[object", "  ")), words


def test_the_first_word_about_a_mistake_does_not_give_the_number_away(game):
    for one in game["tasks"]:
        if one["task"]["kind"] in ("read", "write", "hexNumber", "signed"):
            for other in one["others"]:
                assert f"= {one['answer']}" not in other["words"][0]


def test_the_same_seed_gives_the_same_game_and_another_seed_another(game):
    assert all(one["same"] for one in game["tasks"])
    games = {json.dumps([one["task"] for one in tasks]) for tasks in game["games"]}
    assert len(games) == len(game["games"])


def test_every_kind_of_every_level_comes_and_never_the_same_twice_in_a_row(game):
    for level, kinds in enumerate(game["kinds"], start=1):
        assert {one["task"]["kind"] for one in game["tasks"] if one["task"]["level"] == level} == set(kinds)
    assert all(one["task"]["kind"] != one["before"] for one in game["tasks"])
    assert {kind for kinds in game["kinds"] for kind in kinds} == set(RIGHT)
