"""Where timm's ImageNet weights are, or how to get them; imports no torch, so that a missing file is told at once."""

import os
import shutil
import sys
import threading
import urllib.request
from pathlib import Path

from fer_lightning.errors import UserError

PROBE_SECONDS = 3.0
# timm's tags of the ConvNeXts, by model.size and model.pretrained.
TAGS = {
    "atto": {"in1k": "d2_in1k"},
    "femto": {"in1k": "d1_in1k"},
    "pico": {"in1k": "d1_in1k"},
    "nano": {"in1k": "d1h_in1k"},
    "tiny": {"in1k": "fb_in1k", "in22k": "fb_in22k"},
    "small": {"in1k": "fb_in1k", "in22k": "fb_in22k"},
    "base": {"in1k": "fb_in1k", "in22k": "fb_in22k"},
    "large": {"in1k": "fb_in1k", "in22k": "fb_in22k"},
    "xlarge": {"in22k": "fb_in22k"},
}


def timm_name(size: str, pretrained: str) -> str:
    """Return timm's name of a ConvNeXt with these weights, e.g. convnext_tiny.fb_in22k."""
    tags = TAGS[size]
    if pretrained not in tags:
        raise UserError(
            f"model.pretrained={pretrained}: ConvNeXt of model.size={size} was not published with these weights. "
            f"Set model.pretrained={' or '.join(tags)}, or another model.size."
        )
    return f"convnext_{size}.{tags[pretrained]}"


def locate(size: str, pretrained: str, folder: str | Path | None = None) -> Path:
    """The weights file of a ConvNeXt, found or fetched; otherwise a UserError that says what to put where."""
    name = timm_name(size, pretrained)
    return weights_file(name, f"timm/{name}", folder)


def local_file(name: str, folder: str | Path | None = None) -> Path:
    """Return where the weights of a timm network are looked for first: <folder>/<name>.safetensors."""
    return Path(folder or os.environ.get("FER_PRETRAINED") or "data/pretrained") / f"{name}.safetensors"


def weights_file(name: str, repository: str, folder: str | Path | None = None) -> Path:
    """<folder>/<name>.safetensors, or the Hugging Face cache's copy, or a fresh download into the folder.

    The folder is FER_PRETRAINED or data/pretrained unless given. Without an answer from the hub within PROBE_SECONDS
    (or with HF_HUB_OFFLINE=1) a UserError says which file to put where.
    """
    file = local_file(name, folder)
    if file.is_file():
        return file
    cached = _in_hub_cache(repository)
    if cached:
        return cached
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{repository}/resolve/main/model.safetensors"
    if not _answers(url):
        raise UserError(
            f"The pretrained weights of {name} are not here: there is no {file}, nothing in the Hugging Face cache, "
            f"and {endpoint} cannot be reached.\n"
            f"On a machine with a network, download  {url}\n"
            f"and save it as  {file.absolute()}  (or set FER_PRETRAINED to the folder that holds {file.name}).\n"
            "To train without pretrained weights, leave model.pretrained out."
        )
    _download(url, file)
    return file


def _in_hub_cache(repository: str) -> Path | None:
    """The newest model.safetensors that the huggingface_hub library has stored for a repository."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    found = hub.glob(f"models--{repository.replace('/', '--')}/snapshots/*/model.safetensors")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _answers(url: str) -> bool:
    """Whether the file can be had, decided within PROBE_SECONDS; by a thread, since name resolution has no timeout."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    answers = []

    def probe():
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS) as reply:
                answers.append(reply.status == 200)
        except OSError:
            pass

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers == [True]


def _download(url: str, file: Path) -> None:
    """Fetches url to file under a temporary name; an incomplete file never carries the final one."""
    print(f"downloading {url} to {file}", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with urllib.request.urlopen(url, timeout=30) as reply, partial.open("wb") as out:
            shutil.copyfileobj(reply, out, 1 << 20)
            expected = reply.headers.get("Content-Length")
        if expected and partial.stat().st_size != int(expected):
            raise OSError(f"{partial.stat().st_size} of {expected} bytes came")
        partial.replace(file)
    except OSError as error:
        raise UserError(f"The download of {url} failed ({error}). Run the same command again.") from error
    finally:
        partial.unlink(missing_ok=True)
