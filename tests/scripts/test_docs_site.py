"""Tests of scripts/docs_site.py and of the site that `make docs` builds."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from scripts import docs_site


def test_fields_of_a_docstring_become_a_list():
    text = "Two numbers.\n\nlow, high  bounds,\n           both included\nseed  of the draw\n\nMore text."
    listed = "Two numbers.\n\n\n- `low, high`: bounds,\n  both included\n- `seed`: of the draw\n\nMore text."
    assert docs_site.with_lists(text) == listed


def test_prose_is_not_changed():
    text = "Return the mean.\n\nIt is NaN for an empty array."
    assert docs_site.with_lists(text) == text


def build(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *options]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    result = build("--site-dir", str(tmp_path / "site"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "site" / "repository" / "conf" / "local" / "README.md.txt").is_file()


@pytest.mark.slow
def test_a_broken_link_and_a_missing_docstring_are_reported(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(
        "# Page\n\n[a](missing.md) [b](#nowhere) [c](../conf/no.yaml)\n\n::: fer_lightning.models.network.Network\n"
    )
    config = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    config = config.replace("docs_dir: docs", f"docs_dir: {docs}").replace("scripts/", f"{ROOT}/scripts/")
    (tmp_path / "mkdocs.yml").write_text(config.replace("paths: [.]", f"paths: [{ROOT}]"))
    result = build("--config-file", str(tmp_path / "mkdocs.yml"), "--site-dir", str(tmp_path / "site"))
    assert result.returncode != 0
    for fault in ("missing.md", "#nowhere", "../conf/no.yaml", "Network.forward has no docstring"):
        assert fault in result.stderr
