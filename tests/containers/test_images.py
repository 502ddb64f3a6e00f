"""No image is built here: the files that describe them are read, and their pip steps are run."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from fer_lightning.runs.run_folder import git_state

DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFINITION = (ROOT / "containers" / "fer_lightning.def").read_text()
LOCKS = (ROOT / "requirements-torch.lock", ROOT / "requirements.lock")
SECTIONS = {"arguments", "environment", "files", "help", "labels", "post", "runscript", "test"}


def instructions(name: str) -> list[str]:
    """Return the text after one of the Dockerfile's keywords, with continued lines joined."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.removeprefix(name).strip() for line in lines if line.startswith(name + " ")]


def locked_steps(text: str) -> list[str]:
    """The arguments of each `pip install` of a lock file."""
    found = re.findall(r"pip install (?:-q )?([^;&\n]+?)\s*(?:[;&\n]|$)", text)
    return [arguments for arguments in found if "--require-hashes" in arguments]


def section(name: str) -> str:
    return re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION, flags=re.M | re.S)[1]


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: pip install -r requirements-dev.txt")
    result = subprocess.run(
        [hadolint, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert not result.stdout


def test_images_and_make_install_take_the_same_steps():
    steps = locked_steps(DOCKERFILE)
    without_cuda = [step for step in steps if "--index-url" in step]
    assert len(steps) == 3
    assert len(without_cuda) == 1
    steps.remove(without_cuda[0])
    assert locked_steps(DEFINITION) == steps
    assert locked_steps((ROOT / "Makefile").read_text()) == steps


def test_both_images_have_the_python_of_the_locks():
    (base,) = instructions("FROM")
    name, _, digest = base.partition("@")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert f"\nFrom: {name.partition(':')[0]}@{digest}\n" in DEFINITION
    assert (ROOT / "requirements.lock").read_text().startswith(f"# Python {base.partition(':')[2].partition('-')[0]}, ")


def test_the_builder_gets_what_is_copied_and_nothing_else():
    copied = {source for line in instructions("COPY") for source in line.split()[:-1]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    packages = {path.partition("/")[0] for path in tracked.split()} - {"scripts", "tests"}
    assert packages <= copied


def test_the_user_is_not_root_and_owns_what_a_run_writes():
    assert instructions("ARG")[-2:] == ["UID=1000", 'COMMIT=""']
    assert instructions("USER") == ["$UID"]
    (accounts,) = (line for line in instructions("RUN") if "useradd" in line)
    assert re.search(r'useradd --uid "\$UID" .*\bfer\b.*mkdir data outputs.*chown fer data outputs', accounts)
    assert instructions("VOLUME") == ['["/app/data", "/app/outputs"]']


def test_a_run_in_the_image_names_the_commit_of_its_build(tmp_path, monkeypatch):
    assert instructions("ENV")[-1] == 'FER_COMMIT="$COMMIT"'
    for described, state in [("", (None, None)), ("abc", ("abc", False)), ("abc-dirty", ("abc", True))]:
        monkeypatch.setenv("FER_COMMIT", described)
        assert tuple(git_state(tmp_path).values()) == state


def test_the_definition_has_sound_sections():
    assert set(re.findall(r"^%(\w+)", DEFINITION, flags=re.M)) <= SECTIONS
    for name in ("post", "runscript", "test", "environment"):
        subprocess.run(["sh", "-n", "-c", section(name)], check=True)
    for line in section("files").splitlines():
        assert not line.strip() or (ROOT / line.split()[0]).exists()


def test_the_launchers_option_for_the_image_exists():
    assert "hydra.launcher.image=fer_lightning.sif" in DEFINITION
    assert "image" in yaml.safe_load((ROOT / "conf" / "hydra" / "launcher" / "discovery.yaml").read_text())


@pytest.mark.slow
def test_the_locked_libraries_fit_together():
    """`make install` takes the same steps in a clean environment, so this looks at what they made."""
    locked = re.findall(r"^([\w.-]+)==(\S+)", "".join(lock.read_text() for lock in LOCKS), flags=re.M)
    assert len(locked) > 50
    if any(installed_version(name) != locked_version for name, locked_version in locked):
        pytest.skip("this environment has other versions than the lock files: make install")
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
