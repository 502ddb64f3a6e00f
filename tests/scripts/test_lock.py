"""The lock files are whole, fit requirements.txt, and are made from pip's own report."""

import importlib.metadata
import json
import re
import subprocess
import tomllib

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import lock

FILES = ("requirements-torch.lock", "requirements.lock")
LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def locked() -> dict[str, str]:
    """Version by name, over both files."""
    pins = [LINE.fullmatch(line) for name in FILES for line in (ROOT / name).read_text().splitlines()[1:]]
    assert None not in pins
    versions = {pin[1]: pin[2] for pin in pins}
    assert len(versions) == len(pins)
    return versions


def direct_requirements() -> list[Requirement]:
    """Return the requirements of requirements.txt: the packages of this project with the extras that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (editable,) = (line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#"))
    extras = re.fullmatch(r"-e \.\[(.+)\]", editable)[1].split(",")
    listed = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for group in listed for line in group]


def test_each_direct_requirement_is_locked_within_its_range():
    versions = locked()
    for requirement in direct_requirements():
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{requirement} is not locked: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: make lock"


def test_what_a_locked_package_needs_is_locked():
    """pip installs the locks with --no-deps. Packages whose locked version is not installed here are left out."""
    versions = locked()
    for name, version in versions.items():
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for needed in map(Requirement, package.requires or [] if package.version == version else []):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in versions, f"{name} needs {needed}"


def test_both_locks_are_made_for_one_python():
    first, second = ((ROOT / name).read_text().splitlines()[0] for name in FILES)
    assert first == second


def reported(name: str, digest: str) -> dict:
    return {
        "metadata": {"name": name, "version": "1.0"},
        "download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}},
    }


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with the locks of a report of four packages."""
    report = {"install": [reported(*package) for package in [("torch", "a"), ("Zoo_Keeper", "b"), ("timm", "c")]]}
    report["install"].append(reported("nvidia-cublas", "d"))
    report["install"].append({"metadata": {"name": "fer_lightning"}, "download_info": {"dir_info": {"editable": True}}})
    answer = subprocess.CompletedProcess([], 0, json.dumps(report))
    monkeypatch.setattr(lock.subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    assert lock.main([]) == 0
    return tmp_path


def test_a_report_becomes_two_locks(made):
    torch_stack, others = ((made / name).read_text().splitlines()[1:] for name in FILES)
    assert torch_stack == [f"nvidia-cublas==1.0 --hash=sha256:{'d' * 64}", f"torch==1.0 --hash=sha256:{'a' * 64}"]
    assert others == [f"timm==1.0 --hash=sha256:{'c' * 64}", f"zoo-keeper==1.0 --hash=sha256:{'b' * 64}"]


def test_builds_without_cuda_are_locked_from_their_index(made, monkeypatch):
    asked = []
    answer = subprocess.CompletedProcess([], 0, json.dumps({"install": [reported("torch", "e")]}))
    monkeypatch.setattr(lock.subprocess, "run", lambda command, **_: asked.extend(command) or answer)
    assert lock.main(["--torch-index", "https://index/cpu"]) == 0
    assert asked[-3:] == ["--index-url", "https://index/cpu", "torch==1.0"]
    (line,) = (made / "requirements-torch-cpu.lock").read_text().splitlines()[1:]
    assert line == f"torch==1.0 --hash=sha256:{'e' * 64}"


def test_a_lock_of_another_python_does_not_fit(made, monkeypatch):
    assert lock.main(["--fits"]) == 0
    monkeypatch.setattr(lock.platform, "python_version_tuple", lambda: ("3", "99", "0"))
    assert lock.main(["--fits"]) == 1
