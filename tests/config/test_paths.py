"""A path may contain any letter and begin with ~ in each key of each command, and in the commands that are printed."""

import ast
import re
import shlex
import subprocess

import pytest
import yaml
from conftest import ROOT
from fer_forms import Samples
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from fer_lightning.check.path_keys import GROUPS, expand_paths, quote_paths, root_keys, typed_keys
from fer_lightning.config import command, schema
from fer_lightning.config.groups import options
from fer_lightning.config.messages import Command
from fer_lightning.config.reference import leaves
from fer_lightning.config.settings import declared
from fer_lightning.data import ingest
from fer_lightning.paths import with_home
from fer_lightning.wording import typed, typed_for_make
from scripts.settings_reference import commands

ODD = "~/a b/größe=1; 100% #ü 顔 (2)"
ODD_PATHS = (
    *(ODD, "it's", 'say "x"', "[1] {3}", "epoch=3-step=40.ckpt", "2026", "~", "-x", "null", "true", "1e5", "a,b"),
    *("!&*?|<>;:@`^\\", "$HOME", "${seed}", "\\${seed}", "'a'", '"', " x ", "\\"),
)
SETTINGS = [(one, key) for one in commands() for key, found in leaves(one.schema) if found.rule.path]
SPEAKS_OF_A_PATH = re.compile(r"\b(folder|file|path|store|video|photo|csv)s?\b(?! of conf/)", re.I)
SPOKEN = r"^(?!_)(\w+):.*# .*\b(?:folder|file|path)s?\b(?! of conf/)"
LISTS = ("ensemble", "hydra.launcher.binds")
COMMAND_LINE = r"(?:python -m fer_lightning|train\.py|make [a-z]+ |\{EVALUATE\}).*"
# Keys in printed commands whose values are names of this project.
NAMES = {"tta", "data.taxonomy", "EMOTION", "data.fold", "data.split", "SOURCE"}


def value_at(settings: object, key: str) -> object:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def read(one: Command, *words: str) -> object:
    """The settings of a command line that sets what is required."""
    found = {key: setting for key, setting in declared(one.schema).items() if setting.required}
    required = [f"{key}=[x,y]" if setting.is_list else f"{key}=x" for key, setting in found.items()]
    return command.settings(one, [*required, *words])


def run_config(*words: str) -> DictConfig:
    """The config that `python train.py WORDS` would run, with Hydra's own part."""
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", quote_paths(words), return_hydra_config=True)
    expand_paths(config)
    return config


def run_keys() -> dict[str, list[str]]:
    """Each path key of a run, with the words that choose an option of a group that has it."""
    found = {key: [] for key in root_keys()}
    for group in GROUPS:
        for option in options(group):
            content = yaml.safe_load((ROOT / "conf" / group / f"{option}.yaml").read_text()) or {}
            keys = [f"{group.replace('/', '.')}.{name}" for name in content]
            found |= {key: [f"{group}={option}"] for key in keys if key in typed_keys(group)}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("one", "key"), SETTINGS, ids=lambda value: getattr(value, "program", value))
def test_a_command_accepts_any_path(one, key):
    if dict(leaves(one.schema))[key].is_list:
        assert value_at(read(one, f"{key}=[{ODD}, b c]"), key) == [with_home(ODD), "b c"]
    else:
        assert value_at(read(one, f"{key}={ODD}"), key) == with_home(ODD)


def test_the_folder_of_own_images_may_be_any_path():
    collect = next(one for one in commands() if one.program.endswith("collect"))
    assert read(collect, "provider=local", f"provider.path={ODD}").provider.path == with_home(ODD)


@pytest.mark.parametrize(
    ("key", "words"), run_keys().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_run_accepts_any_path(key, words):
    config = run_config(*words, f"{key}={ODD}" if key not in LISTS else f"{key}=[{ODD}, b c]")
    expected = ODD if key.startswith("hydra.") else with_home(ODD)  # the launcher itself expands its paths
    assert OmegaConf.select(config, key) == ([expected, "b c"] if key in LISTS else expected)


def test_the_keys_of_a_run_that_speak_of_a_path_accept_one():
    for group in GROUPS:
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            spoken = {f"{group.replace('/', '.')}.{key}" for key in re.findall(SPOKEN, path.read_text(), re.M)}
            assert spoken <= typed_keys(group).keys(), path
    assert root_keys().keys() == {"output_dir", "ensemble", "extend"}
    for one in commands():
        for key, found in leaves(one.schema):
            is_spoken = (found.is_text or found.is_list) and SPEAKS_OF_A_PATH.search(found.rule.comment)
            assert found.rule.path or not is_spoken, (one.program, key)


def test_in_a_sweep_commas_separate_paths():
    words = ["-m", "data.extra=~/a b,c d,'e,f'", "ensemble=[a b,c],['d, e']", "data.root=glob(*)", "output_dir=x"]
    assert quote_paths(words) == [
        "-m",
        "data.extra='~/a b','c d','e,f'",
        "ensemble=['a b',c],['d, e']",
        "data.root=glob(*)",
        "output_dir=x",
    ]
    assert quote_paths(["sweep=seeds", "data.root=a b,c d"])[1] == "data.root='a b','c d'"
    assert quote_paths(["data.root=a b,c d"]) == ["data.root='a b,c d'"]


def test_an_interpolation_in_a_typed_path_is_resolved(monkeypatch):
    monkeypatch.setenv("FACES", "/faces 1")
    assert run_config("data.root=${oc.env:FACES}/a b").data.root == "/faces 1/a b"


@pytest.mark.parametrize("root", [None, "", "/faces 1"])
def test_an_empty_variable_for_the_store_counts_as_not_set(root, monkeypatch):
    if root is None:
        monkeypatch.delenv("FER2013_ROOT", raising=False)
    else:
        monkeypatch.setenv("FER2013_ROOT", root)
    expected = root or "data/fer2013"
    assert run_config("data=fer2013").data.root == expected
    for one in commands():
        for key in declared(one.schema):
            if "FER2013_ROOT" in str(OmegaConf.to_container(command.composed(one, [])).get(key)):
                assert value_at(read(one), key) == expected, one.program


def test_a_sweep_folder_is_below_the_home_folder():
    assert run_config("output_dir=~/runs", "name=x").hydra.sweep.dir == with_home("~/runs/x")


def test_printed_words_can_be_pasted():
    parser = OverridesParser.create()
    for path in ODD_PATHS:
        (word,) = shlex.split(typed("data.root", path))
        value = parser.parse_override(word).value()
        assert OmegaConf.create({"path": getattr(value, "text", value)}).path == path
        assert quote_paths([word]) == [word]
    compare = next(one for one in commands() if one.program.endswith("compare"))
    (word,) = shlex.split(typed("runs", ODD_PATHS))
    assert read(compare, word).runs == [with_home(path) for path in ODD_PATHS]


def test_a_printed_make_variable_can_be_pasted(tmp_path):
    (tmp_path / "Makefile").write_text('export FROM\nall:\n\t@printf %s "$$FROM"\n')
    path = "".join(ODD_PATHS)
    words = shlex.split(typed_for_make("FROM", path))
    made = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout == path


def test_commands_in_messages_quote_their_paths():
    for path in (ROOT / "fer_lightning").rglob("*.py"):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)) if re.search(COMMAND_LINE, source) else ():
            text = ast.unparse(node) if isinstance(node, ast.JoinedStr) else ""
            for words in re.findall(COMMAND_LINE, text):
                assert set(re.findall(r"([\w.]+)=\{", words)) <= NAMES, f"{path}: quote the path in {text}"


def test_the_next_command_after_reading_faces_can_be_pasted(tmp_path, capsys):
    source, root = tmp_path / "größe=1, 100% #ü 顔.csv", tmp_path / "it's a=b (1)"
    Samples(per_class=2).csv(source)
    assert ingest.main([f"source={source}", f"root={root}"]) == 0
    words = shlex.split(capsys.readouterr().out.partition("next ")[2])
    assert words[:2] == ["python", "train.py"]
    assert run_config(*words[2:]).data.root == str(root)
