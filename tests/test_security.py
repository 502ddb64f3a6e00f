"""Nothing in the package or its scripts unpickles a file or runs text as code, by their syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

SOURCES = [*sorted((ROOT / "fer_lightning").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py")), ROOT / "train.py"]
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
# The last parts of dotted calls that run what a file or a text says.
UNSAFE = ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "jit.load", "hub.load", "read_pickle")
UNSAFE += ("os.system", "os.popen")
LOADERS = ("torch.load", "load_from_checkpoint")


def faults(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"line {node.lineno}: imports {m}" for m in modules if m.partition(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.Call):
            yield from (f"line {node.lineno}: {fault}" for fault in _call_faults(node))


def _call_faults(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in RUNS_TEXT:
        yield f"{name}() runs text as code"
    if "shell" in keywords and not _is(keywords["shell"], False):
        yield "shell=True runs text as code"
    if "allow_pickle" in keywords and not _is(keywords["allow_pickle"], False):
        yield "allow_pickle=True"
    if any(f".{name}".endswith(f".{unsafe}") for unsafe in UNSAFE):
        yield f"{name}() runs what a file or a text says"
    loads = "ckpt_path" in keywords or any(f".{name}".endswith(f".{loader}") for loader in LOADERS)
    if loads and not _is(keywords.get("weights_only"), True):
        yield f"{name}() without weights_only=True"


def _is(value: ast.expr | None, wanted: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_a_file_or_runs_text(path: Path):
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "pandas.read_pickle(path)",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=maybe)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "Model.load_from_checkpoint(path)",
        "self.trainer.test(model, ckpt_path=path)",
        "torch.hub.load('a/b', 'c')",
        "eval('1')",
        "subprocess.run(text, shell=True)",
    ],
)
def test_each_of_them_would_be_found(text):
    assert len(list(faults(text))) == 1


def test_secrets_stay_out_of_git():
    ignored = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, text=True, check=False)
    if ignored.returncode > 1:
        pytest.skip("no git repository here")
    assert ignored.stdout == ".env\n"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert not [name for name in tracked if Path(name).name == ".env" or name.endswith((".pem", ".key"))]
    assert all(line.endswith("=") for line in _settings(".env.example"))


def _settings(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
