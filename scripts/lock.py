"""Write the lock files: versions and SHA-256 of the packages that pip would install today for requirements.txt.

    make lock

requirements-torch.lock has PyTorch with its CUDA libraries; requirements.lock has all other packages. They are valid
for the Python version and the kind of machine in their first line. With `--fits`, the exit status is 0 if they are
valid here and 1 otherwise. To renew only one package, keep the others with PIP_CONSTRAINT=FILE, a file of
`name==version` lines.

    python scripts/lock.py --torch-index URL

writes requirements-torch-cpu.lock: the same versions of PyTorch from the index at URL, whose builds have no CUDA.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# PyTorch and the packages that only its CUDA build needs.
TORCH_STACK = re.compile(r"torch|torchvision|triton|nvidia-.+|cuda-.+")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--fits", action="store_true", help="write nothing; status 0 if the lock files are valid here")
    choice.add_argument("--torch-index", metavar="URL", help="write only requirements-torch-cpu.lock, from this index")
    given = parser.parse_args(arguments)
    if given.fits:
        return 0 if fits(ROOT / "requirements.lock") else 1
    if given.torch_index:
        (ROOT / "requirements-torch-cpu.lock").write_text(locked(sorted(map(pin, without_cuda(given.torch_index)))))
        return 0
    pins = sorted(pin(item) for item in resolve("-r", "requirements.txt"))
    of_torch = {line for line in pins if TORCH_STACK.fullmatch(line.partition("==")[0])}
    (ROOT / "requirements-torch.lock").write_text(locked(line for line in pins if line in of_torch))
    (ROOT / "requirements.lock").write_text(locked(line for line in pins if line not in of_torch))
    return 0


def fits(lock: Path) -> bool:
    """Return True if a lock file was made for this Python version and kind of machine."""
    return lock.read_text().startswith(headline())


def headline() -> str:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"# Python {python}, {platform.system()} {platform.machine()}."


def locked(pins: Iterable[str]) -> str:
    return "\n".join((f"{headline()} Made by `make lock` from requirements.txt.", *pins, ""))


def without_cuda(index: str) -> list[dict[str, Any]]:
    """Return pip's report of the locked versions of torch and torchvision in another index."""
    text = (ROOT / "requirements-torch.lock").read_text()
    versions = re.findall(r"^(?:torch|torchvision)==\S+", text, re.M)
    return resolve("--no-deps", "--index-url", index, *versions)


def resolve(*requirements: str) -> list[dict[str, Any]]:
    """Return pip's report of each package that it would install into an empty environment, except this project."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", "-"]
    result = subprocess.run([*command, *requirements], stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    return [item for item in json.loads(result.stdout)["install"] if "archive_info" in item["download_info"]]


def pin(item: dict[str, Any]) -> str:
    """Return name, version and hash of the file that pip chose."""
    name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name}=={item['metadata']['version']} --hash=sha256:{digest}"


if __name__ == "__main__":
    sys.exit(main())
