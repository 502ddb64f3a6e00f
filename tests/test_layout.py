"""The layout of the package: which folder may import which, and what lies at its root."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "fer_lightning"
LEAVES = {"errors", "failures", "files", "inputs", "labels", "machine", "paths", "seeding", "terminal", "wording"}
PUBLIC = {"compat", "evaluation", "predict"}  # folders with a name that fer_lightning/__init__.py offers
# Each folder imports only leaves and folders before it.
ORDER = (
    "compat",
    "config",
    "statistics",
    "web",
    "faces",
    "data",
    "augment",
    "stn",
    "models",
    "losses",
    "samplers",
    "schedules",
    "optimizers",
    "check",
    "runs",
    "pages",
    "audit",
    "training",
    "evaluation",
    "explain",
    "teach",
    "report",
    "launch",
    "export",
    "predict",
    "player",
    "difficulty",
    "simulate",
    "live",
    "game",
    "site",
    "collect",
    "cli",
)


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file names in import statements, below the package, e.g. `data.store`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fer_lightning"):
            base = node.module.removeprefix("fer_lightning").lstrip(".")
            yield from ([base] if base else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name.removeprefix("fer_lightning.") for name in names if name.startswith("fer_lightning."))


def upward_imports(package: Path) -> list[str]:
    """Every import of a folder that does not come before the importing file's own."""
    found = []
    for path in sorted(package.rglob("*.py")):
        folder = path.relative_to(package).parts[0]
        place = ORDER.index(folder) if folder in ORDER else -1
        for module in imports(path):
            target = module.partition(".")[0]
            allowed = {*LEAVES, folder, *ORDER[: max(place, 0)]} if folder != "__init__.py" else PUBLIC
            if target not in allowed:
                found.append(f"{path.relative_to(package)} imports {module}")
    return found


def test_folders_import_only_what_comes_before_them():
    assert upward_imports(PACKAGE) == []


def test_a_planted_upward_import_is_found(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "store.py").write_text("from fer_lightning.report import sweep\n")
    assert upward_imports(tmp_path) == ["data/store.py imports report"]


def test_only_leaves_lie_at_the_root():
    assert {path.stem for path in PACKAGE.glob("*.py")} == LEAVES | {"__init__"}


def test_the_order_names_every_folder():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ORDER)


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_import_only_each_other(leaf):
    assert {module.partition(".")[0] for module in imports(PACKAGE / f"{leaf}.py")} <= LEAVES
