"""Tests of README.md and docs/: every command, target, path and option exists, and the worked examples work."""

import re
import runpy
import shlex
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT, composed, pretend_store
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from teacher_runs import teacher_for
from test_layout import ORDER

from fer_lightning.check import annotations
from fer_lightning.check.check import MODEL_KEYS, check
from fer_lightning.cli.commands import COMMANDS as COMMANDS_BY_NAME
from fer_lightning.config.groups import groups, options
from fer_lightning.data.synthetic import load
from fer_lightning.data.teacher import write_teacher
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

README = ROOT / "README.md"
MAKEFILE = (ROOT / "Makefile").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.M | re.S)
PAGES = {path: path.read_text() for path in (README, *sorted((ROOT / "docs").glob("*.md")))}
GROUPS = PAGES[ROOT / "docs" / "options.md"]
FOLDERS = PAGES[ROOT / "docs" / "code.md"]
IDEAS = PAGES[ROOT / "docs" / "add-an-idea.md"]
EXAMPLE = {
    body.split()[1]: body
    for page in PAGES.values()
    for language, body in FENCE.findall(page)
    if language in ("python", "yaml") and body.startswith("# ")
}


def shell(page: str) -> str:
    return "\n".join(body for language, body in FENCE.findall(page) if language in ("bash", "console"))


def prose(page: str) -> str:
    return FENCE.sub("", page)


def commands(start: str, *marks: pytest.MarkDecorator) -> list:
    """Commands of all pages that begin so, in blocks and in running text; each once, by the first page that has it.

    marks  of the commands that README.md does not have
    """
    found = {}
    for path, page in PAGES.items():
        for line in [*shell(page).splitlines(), *re.findall(r"`([^`\n]+)`", prose(page))]:
            if line.startswith(start):
                found.setdefault(line, path.name)
    return [
        pytest.param(command, id=f"{page}-{command}", marks=() if page == README.name else marks)
        for command, page in found.items()
    ]


COMMANDS, TARGETS = commands("python train.py", pytest.mark.slow), commands("make ")
MODULES = commands("python -m fer_lightning.")
SUBCOMMANDS = commands("fer-lightning ")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """A folder that holds what a reader has: the worked examples' files, a store, the files of `path/to`."""
    for name, body in EXAMPLE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    known = annotations.source_file

    def source_file(module_name: str) -> Path:
        own = tmp_path / (module_name.replace(".", "/") + ".py")
        return own if own.exists() else known(module_name)

    monkeypatch.setattr(annotations, "source_file", source_file)
    pretend_store(monkeypatch)
    monkeypatch.setattr("fer_lightning.models.imagenet_weights.locate", lambda size, tag: None)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    annotations.signature.cache_clear()
    annotations._syntax.cache_clear()


def runs_of(command: str) -> list[list[str]]:
    """The overrides of the runs that a command starts, read by Hydra; of a sweep, enough to show each value once."""
    arguments = get_args_parser().parse_args(shlex.split(command, comments=True)[2:])
    overrides = OverridesParser.create().parse_overrides(arguments.overrides)
    is_sweep = arguments.multirun or any(override.key_or_group == "sweep" for override in overrides)
    assert is_sweep or not any(override.is_sweep_override() for override in overrides)
    axes = [
        [f"{override.get_key_element()}={value}" for value in values_of(override)]
        if override.is_sweep_override()
        else [override.input_line]
        for override in overrides
    ]
    return [[axis[min(run, len(axis) - 1)] for axis in axes] for run in range(max(map(len, axes), default=1))]


def values_of(override: Override) -> list[str]:
    """Values of a sweep; of an interval its ends."""
    space = override.value()
    ends = [str(space.start), str(space.end)] if isinstance(space, IntervalSweep) else None
    return ends or list(override.sweep_string_iterator())


def from_example(folder: Path, *overrides: str):
    return composed(f"hydra.searchpath=[file://{folder / 'conf'}]", *overrides)


def test_commands_are_found():
    assert len(COMMANDS) > 10
    assert len(EXAMPLE) == 5


def test_readme_has_at_most_1500_words():
    assert len(PAGES[README].split()) <= 1500


@pytest.mark.parametrize("command", COMMANDS)
def test_command_composes_and_passes_the_check(command, example):
    for overrides in runs_of(command):
        for value in (override.partition("=")[2] for override in overrides):
            if Path(value).suffix == ".npz":
                write_teacher(example / value, replace(teacher_for(load(rows=100)), data="da7a"))
            if Path(value).suffix in (".csv", ".pth"):
                (example / value).parent.mkdir(parents=True, exist_ok=True)
                (example / value).touch()
        assert check(from_example(example, *overrides)) == []


@pytest.mark.parametrize("command", [case for case in MODULES if " " in case.values[0].removeprefix("python -m ")])
def test_module_understands_its_command(command, tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: it reads all settings, and then reports that the run or file is missing."""
    module, *overrides = shlex.split(command, comments=True)[2:]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *overrides])
    script = f"{module}.__main__" if find_spec(module).submodule_search_locations else module
    monkeypatch.delitem(sys.modules, script, raising=False)  # otherwise runpy warns
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    errors = capsys.readouterr().err
    assert ended.value.code == 2, errors
    missing = r"no such (folder|file|photo)|this folder holds no collection"
    assert re.search(missing, errors), errors


@pytest.mark.parametrize("name", sorted({case.values[0].split()[2] for case in MODULES}))
def test_module_that_is_named_exists(name):
    assert find_spec(name)


@pytest.mark.parametrize("command", TARGETS)
def test_make_target_and_its_variables_exist(command):
    target, *variables = shlex.split(command, comments=True)[1:]
    assert target in re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M)
    for variable in variables:
        name = variable.partition("=")[0]
        assert f"$({name})" in MAKEFILE or f"$${name}" in MAKEFILE  # a variable of make, or of the shell


@each_page
def test_paths_exist(path):
    text = prose(PAGES[path]) + shell(PAGES[path])
    inside = re.findall(r"(?<![\w./-])(?:conf|fer_lightning|scripts|tests|results|\.github)/[\w./-]*\w", text)
    beside = re.findall(r"(?<![\w/-])(?:train\.py|Makefile|Dockerfile|\.env\.example|[\w-]+\.toml)\b", text)
    written = ("results/gpu", "results/time")  # by commands
    for name in {name.rstrip(".") for name in (*inside, *beside)}:
        assert (ROOT / name).exists() or name in written, name


@each_page
def test_links_and_images_lead_somewhere(path):
    linked = re.findall(r"\]\(([^)]+)\)|<img src=\"([^\"]+)\"", prose(PAGES[path]))
    names = [name for pair in linked for name in pair if name and not name.startswith("http")]
    assert names or path.name == "api.md"
    for name in names:
        file, _, heading = name.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), name
        assert not heading or heading in headings(target.read_text()), name


def headings(page: str) -> set[str]:
    lines = [line for line in prose(page).splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_every_page_is_in_the_navigation():
    named = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.M)
    assert sorted(named) == sorted(path.name for path in PAGES if path != README)


def group_table() -> dict[str, str]:
    """The options cell of each group."""
    rows = GROUPS.partition("| group |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", rows, flags=re.M))


def test_group_table_names_every_group_and_only_options_that_exist():
    """A new idea needs no row here: the table may lack options, never name one that is not there."""
    listed = {group: set(re.findall(r"`(\w+)`", cell)) for group, cell in group_table().items()}
    assert listed.keys() == {group for group in groups() if group != "local" and options(group)}
    for group, named in listed.items():
        assert named <= set(options(group))


def test_group_table_marks_the_defaults():
    marked = {group: found[1] for group, cell in group_table().items() if (found := re.search(r"\*\*`(\w+)`", cell))}
    chosen = {}
    for entry in yaml.safe_load((ROOT / "conf" / "train.yaml").read_text())["defaults"]:
        chosen |= entry if isinstance(entry, dict) else {}
    assert marked == {group: chosen[group] for group in group_table() if chosen[group]}


def test_label_order_and_expected_accuracy_are_those_of_the_code():
    assert ", ".join(TAXONOMIES["fer2013"].classes) in PAGES[ROOT / "docs" / "conventions.md"]
    low, high = composed("experiment=quickstart").expected["test/acc"]
    assert f"{low:.2f} to {high:.2f}" in PAGES[README]
    assert f"{low:.2f} to {high:.2f}" in PAGES[ROOT / "docs" / "try.md"]


def test_taxonomies_are_those_of_the_code():
    for name in ("fer2013", "learning_game"):
        assert f"| `{name}` | {', '.join(TAXONOMIES[name].classes)} |" in PAGES[ROOT / "docs" / "own-classes.md"]


def test_folders_of_the_package_are_listed_in_the_order_of_their_imports():
    rows = FOLDERS.partition("## Folders of the package")[2]
    assert tuple(re.findall(r"^\| `(\w+)` \|", rows, flags=re.M)) == ORDER


def test_contract_of_a_backbone_names_every_key_that_its_yaml_must_set():
    table = IDEAS.partition("| key | used by |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ([^|]+) \|", table, flags=re.M))))
    assert named == {"input_size", "in_channels", *MODEL_KEYS}


def test_examples_are_new_files_in_folders_that_exist():
    for name in EXAMPLE:
        assert (ROOT / name).parent.is_dir()
        assert not (ROOT / name).exists()


def test_example_is_a_loss():
    namespace = {}
    exec(EXAMPLE["fer_lightning/losses/poly.py"], namespace)
    generator = torch.Generator().manual_seed(0)
    logits, target = 3 * torch.randn(16, 7, generator=generator), torch.arange(16) % 7
    loss = namespace["Poly"](epsilon=1.0)
    torch.testing.assert_close(loss(logits, F.one_hot(target, 7).float()), loss(logits, target))
    torch.testing.assert_close(namespace["Poly"](epsilon=0.0)(logits, target), F.cross_entropy(logits, target))
    right = logits.softmax(1)[torch.arange(16), target]
    torch.testing.assert_close(loss(logits, target), (1 - right - right.log()).mean())


def test_example_is_a_backbone():
    namespace = {}
    exec(EXAMPLE["fer_lightning/models/tiny_cnn.py"], namespace)
    network = namespace["TinyCNN"](num_classes=5, in_channels=3, input_size=48, channels=4)
    assert network(torch.zeros(2, 3, 48, 48)).shape == (2, 5)


@pytest.mark.parametrize("key", ["input_size", "in_channels", "mean", "std"])
def test_a_backbone_without_one_of_these_keys_is_refused(key, example):
    name = example / "conf" / "model" / "tiny_cnn.yaml"
    name.write_text("".join(line for line in name.open() if not line.startswith(key)))
    with pytest.raises(UserError, match=rf"model\.{key} is not set"):
        check(from_example(example, "model=tiny_cnn"))


def test_a_wrong_type_in_the_example_is_refused(example):
    with pytest.raises(UserError, match=r"loss.epsilon='high'.*must be a number"):
        check(from_example(example, "loss=poly", "loss.epsilon=high"))


def test_no_placeholder_is_left():
    assert not re.search(r"\b(RESULTS_ROW|MODELS_ROW|SPEED_TABLE)\b|@[A-Z]+@", "\n".join(PAGES.values()))


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_subcommand_of_the_console_command_exists(command):
    assert command.split()[1] in {*COMMANDS_BY_NAME, "--help", "COMMAND"}
