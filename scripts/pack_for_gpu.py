"""Pack the faces in one archive, or list the libraries that a machine lacks, for scripts/gpu_plan.sh.

    python scripts/pack_for_gpu.py faces data/fer2013 faces.tar.xz
    python scripts/pack_for_gpu.py missing torch torchvision lightning timm torchmetrics

`missing` prints one name==version per line: the installed distributions that training and its tests need, except the
named ones and their dependencies.
"""

import argparse
import lzma
import tarfile
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from fer_lightning.data.store import MANIFEST, read_manifest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("pytest", "pytest-timeout")
# Neighbouring pixels are similar, so their differences take a fifth less space than the pixels.
DIFFERENCES = [{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**26}]


def pack_faces(store: Path, archive: Path) -> None:
    """Write the store's manifest and its rows as data/fer2013 to an archive, without files derived from them."""
    names = [MANIFEST, read_manifest(store)["folder"]]
    with lzma.open(archive, "wb", filters=DIFFERENCES) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            tar.add(store / name, f"data/fer2013/{name}")


def missing(installed: list[str]) -> dict[str, str]:
    """Return {name: version} of the distributions here that a machine with the `installed` ones lacks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = (*project["dependencies"], *project["optional-dependencies"]["train"])
    return closure([*(Requirement(text).name for text in direct), *TESTS], closure(installed, {}))


def closure(names: list[str], present: dict[str, str]) -> dict[str, str]:
    """Return {name: version} of these distributions and their dependencies, without those in `present`."""
    versions: dict[str, str] = {}
    waiting = [name.lower().replace("_", "-") for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions or name in present:
            continue
        package = distribution(name)
        versions[name] = package.version
        needs = [Requirement(text) for text in package.requires or []]
        waiting += [
            need.name.lower().replace("_", "-")
            for need in needs
            if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    faces = commands.add_parser("faces", help="pack the faces of a store")
    faces.add_argument("store", type=Path, help="folder of the store")
    faces.add_argument("archive", type=Path, help="file to write, ending in .tar.xz")
    lacking = commands.add_parser("missing", help="list the libraries that a machine lacks")
    lacking.add_argument("installed", nargs="*", help="names of the libraries that the machine has")
    given = parser.parse_args()
    if given.command == "faces":
        pack_faces(given.store, given.archive)
    else:
        for name, version in sorted(missing(given.installed).items()):
            print(f"{name}=={version}")


if __name__ == "__main__":
    main()
