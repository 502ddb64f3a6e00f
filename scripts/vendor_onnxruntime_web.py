"""Write the files of onnxruntime-web that the pages load into fer_lightning/web/runtime/, compressed.

    python scripts/vendor_onnxruntime_web.py            needs npm, which downloads the package
    python scripts/vendor_onnxruntime_web.py --check    change no file; exit status 1 if a file differs

The version and the SHA-256 of the package are below. To change the version, change both and run the command again.
"""

import argparse
import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fer_lightning.files import write_atomically  # noqa: E402

FOLDER = ROOT / "fer_lightning" / "web" / "runtime"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
PACKAGE_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"  # pragma: allowlist secret
FILES = {  # name in the package: name here; static hosts know .js, but not all know .mjs
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
ALLOWED = "<!-- pragma: allowlist secret -->"  # for the search for secrets in `make security`
README = """\
# onnxruntime-web {version}

The pages run the face detector and the network in the browser with these files. They are parts of the npm package
[{package}](https://www.npmjs.com/package/{package}/v/{version}), unchanged and compressed with gzip.
The end .mjs is .js here.

- Source: https://github.com/microsoft/onnxruntime
- Licence: MIT, Copyright (c) Microsoft Corporation; see `LICENSE`
- SHA-256 of the package `{package}-{version}.tgz`: `{sha256}` <!-- pragma: allowlist secret -->

SHA-256 of each file before compression, and its size in bytes before and after compression:

| file | SHA-256 | bytes | compressed |
| --- | --- | --- | --- |
{rows}

`python scripts/vendor_onnxruntime_web.py` writes this folder again, with npm.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args(arguments).check
    files = unpack(download())
    if check:
        different = [name for name, content in files.items() if vendored(name) != content]
        print("\n".join(f"{FOLDER / name}.gz: differs from the package" for name in different) or "no file differs")
        return 1 if different else 0
    compressed = {name: gzip.compress(content, 9, mtime=0) for name, content in files.items()}
    for name, content in compressed.items():
        write_atomically(FOLDER / f"{name}.gz", content)
    rows = "\n".join(
        f"| {name} | `{sha256(content)}` {ALLOWED} | {len(content):,} | {len(compressed[name]):,} |"
        for name, content in files.items()
    )
    words = README.format(package=PACKAGE, version=VERSION, sha256=PACKAGE_SHA256, rows=rows)
    write_atomically(FOLDER / "README.md", words)
    return 0


def download() -> bytes:
    """Return the content of the npm package. End the program if npm fails or the content is another one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed: {done.stderr.strip()}")
        content = Path(folder, done.stdout.split()[-1]).read_bytes()
    if sha256(content) != PACKAGE_SHA256:
        sys.exit(f"{PACKAGE}@{VERSION}: SHA-256 is {sha256(content)}, expected {PACKAGE_SHA256}.")
    return content


def unpack(package: bytes) -> dict[str, bytes]:
    """Return the content of each file in FILES."""
    with tempfile.TemporaryFile() as file:
        file.write(package)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            return {name: archive.extractfile(f"package/dist/{source}").read() for source, name in FILES.items()}


def vendored(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
