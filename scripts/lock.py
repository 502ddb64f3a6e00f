"""Remake the lock files: what pip would install today for requirements.txt, to the version and the SHA-256.

    make lock

requirements-torch.lock has PyTorch with its CUDA libraries, requirements.lock all the rest. They hold for the Python
and the machine that they are made on, which their first line names; with `--fits` the exit status says whether they
hold here. To renew one package alone, hold the others with PIP_CONSTRAINT=FILE, a file of `name==version` lines.
"""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# PyTorch, and what belongs to its CUDA build alone.
TORCH_STACK = re.compile(r"torch|torchvision|triton|nvidia-.+|cuda-.+")


def main(arguments: list[str]) -> int:
    if arguments == ["--fits"]:
        return 0 if fits(ROOT / "requirements.lock") else 1
    pins = sorted(pin(item) for item in resolve(ROOT / "requirements.txt"))
    of_torch = {line for line in pins if TORCH_STACK.fullmatch(line.partition("==")[0])}
    (ROOT / "requirements-torch.lock").write_text(locked(line for line in pins if line in of_torch))
    (ROOT / "requirements.lock").write_text(locked(line for line in pins if line not in of_torch))
    return 0


def fits(lock: Path) -> bool:
    """Whether a lock was made for this Python and machine."""
    return lock.read_text().startswith(headline())


def headline() -> str:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"# Python {python}, {platform.system()} {platform.machine()}."


def locked(pins: Iterable[str]) -> str:
    return "\n".join((f"{headline()} Made by `make lock` from requirements.txt.", *pins, ""))


def resolve(requirements: Path) -> list[dict[str, Any]]:
    """pip's report of each package that it would install into an empty environment."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", "-"]
    result = subprocess.run([*command, "-r", str(requirements)], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout)["install"]


def pin(item: dict[str, Any]) -> str:
    """Name, version and the hash of the very file that pip chose."""
    name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name}=={item['metadata']['version']} --hash=sha256:{digest}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
