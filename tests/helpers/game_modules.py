"""The pages' modules without a browser: node runs them, and prints what a test asks for as JSON."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node runs the pages' modules")


def run(folder: Path, script: str, room: str = "game") -> Any:
    """Return the default export of `script`, a module beside those of fer_lightning/ROOM/page."""
    page = Path(str(files(f"fer_lightning.{room}"))) / "page"
    for path in page.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(script)
    show = "import('./script.js').then((made) => console.log(JSON.stringify(made.default)))"
    done = subprocess.run([NODE, "-e", show], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
