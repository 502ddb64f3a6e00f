"""What scripts/gpu_plan.sh packs: the faces in one archive, and the names of the libraries that a machine lacks.

    python scripts/pack_for_gpu.py faces data/fer2013 faces.tar.xz
    python scripts/pack_for_gpu.py missing torch torchvision lightning timm torchmetrics

`missing` prints name==version, one a line, of every installed distribution that training and its tests need and that
a machine with the named ones, and what these need, does not have.
"""

import lzma
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from fer_lightning.data.store import MANIFEST, read_manifest

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = ("wandb",)  # for logger=wandb alone
TESTS = ("pytest", "pytest-timeout")
# Neighbouring pixels resemble each other: their differences take a fifth less than they do.
DIFFERENCES = [{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**26}]


def pack_faces(store: Path, archive: Path) -> None:
    """The store's manifest and the rows that it names, as data/fer2013; what was derived from them stays behind."""
    names = [MANIFEST, read_manifest(store)["folder"]]
    with lzma.open(archive, "wb", filters=DIFFERENCES) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            tar.add(store / name, f"data/fer2013/{name}")


def missing(there: list[str]) -> dict[str, str]:
    """{name: version} of the installed distributions that a machine with those named lacks."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    needed = [Requirement(text).name for line in lines if (text := line.partition("#")[0].strip())]
    present = closure(there, {})
    return closure([name for name in (*needed, *TESTS) if name not in ELSEWHERE], present)


def closure(names: list[str], present: dict[str, str]) -> dict[str, str]:
    """{name: version} of these distributions and all that they need, without those that are `present`."""
    found: dict[str, str] = {}
    waiting = [name.lower().replace("_", "-") for name in names]
    while waiting:
        name = waiting.pop()
        if name in found or name in present:
            continue
        known = distribution(name)
        found[name] = known.version
        needs = [Requirement(text) for text in known.requires or []]
        waiting += [
            need.name.lower().replace("_", "-")
            for need in needs
            if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return found


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "faces":
        pack_faces(*map(Path, arguments))
    elif command == "missing":
        for name, version in sorted(missing(arguments).items()):
            print(f"{name}=={version}")
    else:
        sys.exit(__doc__)
