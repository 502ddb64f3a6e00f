"""Only fer_lightning/compat/ uses private names of libraries."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# Python's own function, and names that OmegaConf's users write in YAML.
PUBLIC = {"_exit", "_target_", "_partial_"}


def trees(package: Path) -> Iterator[tuple[Path, ast.Module]]:
    return ((path, ast.parse(path.read_text())) for path in sorted(package.rglob("*.py")))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(tree: ast.Module) -> Iterator[str]:
    """Names that a module defines, or sets on its own objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def private_uses(package: Path) -> list[str]:
    own = {name for _, tree in trees(package) for name in own_names(tree)}
    found = []
    for path, tree in trees(package):
        for node in ast.walk(tree):
            names = [node.attr] if isinstance(node, ast.Attribute) and node.attr not in own else []
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("fer_lightning"):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [f"{path.relative_to(package)} uses {name}" for name in names if is_private(name)]
    return found


@pytest.mark.slow
def test_private_names_of_libraries_are_only_in_compat():
    assert [use for use in private_uses(ROOT / "fer_lightning") if not use.startswith("compat/")] == []


def test_a_planted_private_name_is_found(tmp_path):
    (tmp_path / "a.py").write_text("from library._inner import name\n\nname._hidden = self._other\nself._own = 1\n")
    assert private_uses(tmp_path) == ["a.py uses _inner", "a.py uses _hidden", "a.py uses _other"]
