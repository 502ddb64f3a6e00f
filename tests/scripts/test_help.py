"""Each script starts, and --help explains it and does nothing else."""

import pytest
from conftest import ROOT
from smoke_processes import run_forked

pytest.importorskip("playwright", reason="playwright is not installed")
SCRIPTS = [path for path in sorted((ROOT / "scripts").glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_help_is_the_docstring_and_changes_no_file(path):
    before = changed_at()
    shown = run_forked("--help", script=str(path.relative_to(ROOT)))
    assert shown.returncode == 0, shown.stderr
    summary = docstring_of(path).splitlines()[0].rstrip(".")
    assert " ".join(summary.split()) in " ".join(shown.stdout.split())
    assert changed_at() == before


def docstring_of(path) -> str:
    return compile(path.read_text(), str(path), "exec").co_consts[0]


def changed_at() -> dict[str, int]:
    """Times of the last change of the files that scripts write."""
    written = [*ROOT.glob("requirements*"), *(ROOT / "docs").rglob("*.*")]
    return {str(path): path.stat().st_mtime_ns for path in written}
