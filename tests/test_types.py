"""The types of the public API, checked by mypy on a script of a user and on the modules of the API."""

import tomllib

import pytest
from conftest import ROOT

import fer_lightning

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]


def test_every_module_of_the_public_api_is_checked():
    modules = {f"{name.replace('.', '/')}.py" for name in fer_lightning._MODULES.values()}
    assert {"tests/helpers/typed_script.py", "fer_lightning/__init__.py", *modules} <= set(CONFIG["files"])


def test_mypy_finds_no_fault(monkeypatch):
    api = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install -r requirements-dev.txt")
    monkeypatch.chdir(ROOT)
    out, errors, status = api.run(["--no-color-output"])
    assert (status, errors) == (0, ""), out
