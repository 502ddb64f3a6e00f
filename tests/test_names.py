"""Names: one class name of the package for one thing, one file name for one test file."""

import ast
from collections import Counter, defaultdict
from pathlib import Path

from conftest import ROOT


def duplicates(package: Path) -> dict[str, list[str]]:
    """Public class names that several modules define, with their files."""
    files = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(str(path.relative_to(package)))
    return {name: paths for name, paths in files.items() if len(paths) > 1}


def test_no_two_public_classes_have_one_name():
    assert duplicates(ROOT / "fer_lightning") == {}


def test_a_second_class_of_one_name_is_found(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("class Session:\n    pass\n")
    assert duplicates(tmp_path) == {"Session": ["a.py", "b.py"]}


def test_no_file_of_the_package_looks_like_a_test():
    assert [path.name for path in (ROOT / "fer_lightning").rglob("test_*.py")] == []


def test_no_two_test_files_have_one_name():
    """pytest imports test files only by their names."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []
