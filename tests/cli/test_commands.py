"""The console command: its subcommands, and what it says if an extra is not installed."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile

import pytest
from collect_portraits import encoded, portrait
from conftest import ROOT

from fer_lightning.cli import commands
from fer_lightning.config import command
from fer_lightning.errors import UserError
from fer_lightning.failures import STOPPED, error_message
from fer_lightning.launch.space import read_space
from fer_lightning.training.callbacks.mlflow_logger import build_mlflow
from fer_lightning.training.callbacks.tensorboard_logger import build_tensorboard

# Only [train] brings them. The process cannot import them, as if they were not installed.
WITHOUT_TRAIN = """
import sys
for name in ("torch", "torchvision", "lightning", "timm", "torchmetrics", "scipy", "matplotlib", "requests"):
    sys.modules[name] = None
for name in ("dotenv", "onnx", "pandas"):
    sys.modules[name] = None
from fer_lightning.cli import commands
"""
STARTS = """
from fer_lightning.live import server
from fer_lightning.predict import predict
from fer_lightning import FaceReader, load_run
from fer_lightning.faces.browser_files import browser_files
reader = FaceReader(threads=1)
assert len(reader(sys.argv[1])) == 1
assert browser_files(reader.model, server.open_detector(None))
try:
    load_run("outputs/train/seed-0")
except ValueError as error:
    assert "fer_lightning[train]" in str(error)
for words in (["live", "--help"], ["game", "--help"], ["predict", "--help"], ["site", f"out={sys.argv[2]}"]):
    sys.argv = ["fer-lightning", *words]
    try:
        commands.main()
    except SystemExit as end:
        assert end.code in (None, 0), words
"""
REFUSES = """
import io, contextlib
for words in (["train", "data=synthetic"], ["collect"], ["data", "a.csv"]):
    sys.argv = ["fer-lightning", *words]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            commands.main()
        except SystemExit as end:
            assert end.code == 2
    print(words[0], said.getvalue())
    assert "pip install 'fer_lightning[train]'" in said.getvalue(), words
"""


def run(monkeypatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["fer-lightning", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("HYDRA_FULL_ERROR")  # the command sets it, and no other test may see it
    for module, _ in commands.COMMANDS.values():
        package = importlib.util.find_spec(module).submodule_search_locations is not None
        # Other tests import the module that runs as the command; the command is a new process.
        monkeypatch.delitem(sys.modules, f"{module}.__main__" if package else module, raising=False)
    try:
        return commands.main()
    except SystemExit as end:
        return end.code


def test_every_subcommand_is_listed_and_has_its_module(monkeypatch, capsys):
    assert run(monkeypatch) is None
    listed = capsys.readouterr().out
    for name, (module, about) in commands.COMMANDS.items():
        assert f"  {name}  " in listed.replace("   ", "  ")
        assert about in listed
        assert importlib.util.find_spec(module)


def test_a_subcommand_gets_the_other_words(monkeypatch, capsys):
    assert run(monkeypatch, "evaluate", "run=nowhere") == 2
    assert "run=nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*commands.COMMANDS])
def test_the_help_of_a_subcommand_names_subcommands(monkeypatch, capsys, name):
    assert run(monkeypatch, name, "--help") in (None, 0)
    shown = capsys.readouterr().out
    assert f"fer-lightning {name}" in shown
    assert not re.search(r"python -m fer_lightning|train\.py|make \w+ [A-Z]+=", shown)


def test_the_next_step_in_a_message_is_a_subcommand(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "train", f"data.root={tmp_path}") == 2
    said = capsys.readouterr().err
    assert said.startswith("fer-lightning train: data.root=")
    assert f"fer-lightning data source=path/to/fer2013.csv root={tmp_path}" in said
    assert "fer-lightning train experiment=quickstart" in said


@pytest.mark.parametrize("name", sorted(commands.COMMANDS.keys() - {"train"}))
def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch, capsys, name):
    """`train` has the tests of tests/smoke/test_kill.py."""
    monkeypatch.setattr(command, "read_arguments", press_ctrl_c)
    monkeypatch.setattr(command.Parser, "parse_intermixed_args", press_ctrl_c)
    served = name in ("live", "game")
    assert (run(monkeypatch, name) or 0) == (0 if served else STOPPED)
    assert ("Ended." if served else "Stopped. ") in capsys.readouterr().err


def press_ctrl_c(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("python -m fer_lightning.faces.model_file", "python -m fer_lightning.faces.model_file"),
        ("/home/me/train.py: old", "/home/me/train.py: old"),
        ("use python -m fer_lightning.evaluate.", "use fer-lightning evaluate."),
        ("python train.py model=emonext", "fer-lightning train model=emonext"),
        ("make collect PROVIDER=local FROM=folder.", "fer-lightning collect provider=local provider.path=folder."),
        ("make collect SIZE=112 STEPS='root=a b' now", "fer-lightning collect faces.size=112 root=a b now"),
        ("  python train.py     on FER2013\n", "  fer-lightning train  on FER2013\n"),
    ],
)
def test_commands_in_a_text_become_subcommands(text, renamed):
    assert commands.as_subcommands(text) == renamed


def test_a_message_of_data_names_its_keys_and_not_variables_of_make(monkeypatch, capsys, tmp_path):
    source = tmp_path / "SIZE" / "faces.csv"
    source.parent.mkdir()
    source.write_text(f"emotion,pixels,Usage\n0,{' '.join(['1'] * 2304)},Training\n")
    assert run(monkeypatch, "data", f"source={source}", "size=64", f"root={tmp_path / 'store'}") == 2
    said = capsys.readouterr().err
    assert "Omit size and color" in said
    assert f"{tmp_path}/SIZE/faces.csv" in commands.as_subcommands(f"FROM={source}", "data")


def test_an_unknown_subcommand_is_refused_with_the_nearest(monkeypatch, capsys):
    assert run(monkeypatch, "predikt") == 2
    assert "predikt: no such command. Did you mean predict?" in capsys.readouterr().err


@pytest.mark.slow
def test_predict_live_game_and_site_start_without_the_training_packages(tmp_path):
    faces = tmp_path / "faces.png"
    faces.write_bytes(encoded(portrait()))
    site = tmp_path / "site"
    script = WITHOUT_TRAIN + STARTS + REFUSES
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script, str(faces), str(site)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (site / "files" / "model-card.md").is_file()


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch.nn", "train"),
        ("captum", "train"),
        *((name, name) for name in ("mlflow", "optuna", "tensorboard", "wandb")),
    ],
)
def test_a_missing_package_is_reported_with_its_extra(module, extra):
    message = error_message(ModuleNotFoundError(name=module))
    assert f"pip install 'fer_lightning[{extra}]'" in message


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("tensorboard", lambda folder: build_tensorboard(folder, {})),
        ("mlflow", lambda folder: build_mlflow(folder, {"output_dir": folder}, "tests", None)),
        ("optuna", lambda folder: read_space({}, ["optim.lr=interval(0.01,0.1)"])),
    ],
)
def test_an_option_whose_package_is_missing_names_the_extra(monkeypatch, tmp_path, name, build):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{name} is not installed. .*fer_lightning\[{name}\]"):
        build(str(tmp_path))


def test_a_missing_module_of_this_package_is_a_fault_of_the_code():
    assert error_message(ModuleNotFoundError(name="fer_lightning.nothing")) is None


@pytest.mark.slow
def test_a_wheel_has_all_files_and_works_in_another_folder(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    result = subprocess.run(build, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
    listed = ["git", "ls-files", "fer_lightning", "hydra_plugins", "conf"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {f"fer_lightning/{path}" if path.startswith("conf/") else path for path in tracked} <= names
    assert not any(name.startswith(("conf/", "tests/")) for name in names)
    script = "import sys; sys.argv[1:] = ['train', 'loss=focl']; from fer_lightning.cli.commands import main; main()"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "Did you mean loss=focal?" in result.stderr
