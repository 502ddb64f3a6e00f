"""Command lines of real keys and hostile values: each is accepted or refused with a message, never by a traceback."""

import os
import random

import pytest
from conftest import composed
from omegaconf import OmegaConf

from fer_lightning.check.check import check
from fer_lightning.check.path_keys import expand_paths, quote_paths
from fer_lightning.cli import train
from fer_lightning.config import arguments
from fer_lightning.config.groups import groups, options
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import run_path

VALUES = (
    *("null", "", "~", "-1", "0", "1", "1e11", "1e400", "-1e400", ".nan", ".inf", "9" * 30, "1_000", "0x10", "true"),
    *(
        "[]",
        "{}",
        "[1,2]",
        "[[[1]]]",
        "{a: 1}",
        "{_target_: os.system}",
        "[null]",
        "abc",
        "x" * 300,
        "..",
        "/",
        "a/../b",
    ),
    *(
        "${oc.env:HOME}",
        "${oc.env:NOT_SET}",
        "${seed}",
        "${data}",
        "${nowhere}",
        "${",
        "$",
        "\\$",
        "???",
        "'",
        '"',
        "(",
        "]",
    ),
    *(
        "os.system",
        "builtins.eval",
        "=",
        "a=b",
        "a,b",
        "choice(1,2)",
        "range(1,3)",
        "glob(*)",
        "sort(3,1)",
        "int(3)",
        "ü顔",
    ),
    *(
        "__class__",
        "_target_",
        "-m",
        "--cfg",
        "2001-99-99",
        "!!python/name:os.system",
        "1:2:3",
        "\\x00",
        "a b",
        "#",
        "&a [*a]",
    ),
)
PREFIXES = ("", "", "", "+", "~", "++")
HYDRA = (
    "hydra.run.dir",
    "hydra.launcher._target_",
    "hydra.mode",
    "hydra/launcher",
    "hydra/job_logging",
    "hydra.searchpath",
)


def keys() -> list[str]:
    """Every key of a run, every config group, and keys that Hydra has itself."""
    config = OmegaConf.to_container(composed("data=synthetic"))
    return [*leaves(config), *config, *groups(), *HYDRA]


def leaves(values: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found += [f"{prefix}{key}", *(leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else ())]
    return found


def command_line(random: random.Random, known: list[str]) -> list[str]:
    typed = ["data=synthetic"]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        key, prefix = random.choice(known), random.choice(PREFIXES)
        if random.random() < 0.1:
            position = random.randrange(len(key) + 1)
            key = key[:position] + random.choice("x.@/=~ ") + key[position:]
        group = key if key in groups() else "model"
        value = random.choice(VALUES) if random.random() < 0.9 else random.choice(options(group) or ["x"])
        typed.append(f"{prefix}{key}" if prefix == "~" and random.random() < 0.5 else f"{prefix}{key}={value}")
    random.shuffle(typed)
    return typed


def refusal(typed: list[str]) -> str | None:
    """Return the message of train.py for these words; None if they are accepted."""
    train.composed.clear()
    try:
        config = composed(*quote_paths(arguments.prepare_arguments(typed)))
        train.composed.set()
        expand_paths(config)
        run_path(config.output_dir, config.name, typed, config.seed)
        check(config, with_faces=False)
    except Exception as error:
        message = train.message_of(error)
        if message is None:
            raise AssertionError(f"no message for {typed}") from error
        return message
    finally:
        train.composed.clear()
    return None


def try_lines(seed: int, count: int) -> None:
    source, known = random.Random(seed), keys()
    for _ in range(count):
        typed = command_line(source, known)
        message = refusal(typed)
        assert message is None or (message.strip() and "object at 0x" not in message), (typed, message)


def test_hostile_values_are_accepted_or_refused_in_words():
    try_lines(seed=0, count=5)


@pytest.mark.long
def test_many_hostile_values_are_accepted_or_refused_in_words():
    try_lines(seed=1, count=int(os.environ.get("FUZZ_LINES", "80")))


@pytest.mark.parametrize("group", ["experiment", "debug", "scale", "sweep", "logger", "stn", "augment"])
def test_null_chooses_nothing_of_an_optional_group(group):
    assert refusal(["data=synthetic", f"{group}=null"]) is None


def test_null_is_refused_if_another_file_chooses_an_option():
    message = refusal(["data=synthetic", "sweep=overfitting", "scale=null"])
    assert message == (
        "scale=null: sweep=overfitting chooses scale=gpu. Use scale=cpu|gpu, or leave sweep=overfitting out."
    )


def test_the_settings_of_a_machine_can_be_left_out():
    assert arguments.prepare_arguments(["local=null"]) == ["~local"]
    assert refusal(["data=synthetic", "local=null"]) is None


@pytest.mark.parametrize("group", ["loss", "model", "callbacks", "hydra/launcher"])
def test_null_for_a_group_that_a_run_needs_names_its_options(group):
    assert refusal([f"{group}=null"]).startswith(f"{group}=null: must be one of {options(group)[0]}")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=null", "seed: must have a value"),
        ("output_dir=null", "output_dir: must have a value"),
        ("name=..", "name='..': must be the name of a folder in output_dir"),
        ("name=/tmp/x", "name='/tmp/x': must be the name of a folder in output_dir"),
        (f"name={'x' * 300}", "a name of 300 letters is too long"),
        ("threads=1000000", "threads=1000000: must be at most 4,096"),
        ("data.rows=100000000000", "data.rows=100000000000: must be at most 10,000,000"),
        ("model.input_size=1000000", "model.input_size=1000000: must be at most 2,048"),
        ("optim.lr=nan", "optim.lr=nan: must be"),
        ("trainer.devices=-1", "trainer.devices=-1 with trainer.accelerator=cpu: must be auto or a number"),
    ],
)
def test_absurd_values_are_refused(word, message):
    assert message in refusal(["data=synthetic", "trainer=cpu", word])


def test_options_stand_anywhere_in_a_command_line():
    assert arguments.prepare_arguments(["a=b", "-m", "c=d"]) == ["-m", "a=b", "c=d"]
    assert arguments.prepare_arguments(["~stn", "--cfg", "job", "c=d"]) == ["--cfg", "job", "~stn", "c=d"]


def test_a_bug_is_not_hidden():
    train.composed.set()
    try:
        assert train.message_of(KeyError("a bug")) is None
        assert train.message_of(UserError("words")) == "words"
    finally:
        train.composed.clear()
