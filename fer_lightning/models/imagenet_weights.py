"""Find or download timm's ImageNet weights, without torch, so that a missing file is reported at once."""

import os
import shutil
import sys
import threading
import urllib.request
from pathlib import Path
from textwrap import shorten

from fer_lightning.errors import UserError

PROBE_SECONDS = 3.0
LONGEST = 300  # characters of a loader's message, which may name each key
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
    """Return the weights file of a ConvNeXt, and download it if it is missing.

    Raise UserError with the name and folder of the file if it cannot be downloaded.
    """
    name = timm_name(size, pretrained)
    return weights_file(name, f"timm/{name}", folder)


def local_file(name: str, folder: str | Path | None = None) -> Path:
    """Return the path that is searched first for the weights of a timm network: <folder>/<name>.safetensors."""
    return Path(folder or os.environ.get("FER_PRETRAINED") or "data/pretrained") / f"{name}.safetensors"


def not_its_weights(file: str | Path, name: str, error: Exception) -> UserError:
    """Return the error for a file that does not hold the weights of a timm network."""
    reason = shorten(str(error), LONGEST, placeholder=" ...")
    return UserError(
        f"{file}: does not hold the weights of {name}: {reason}\nDelete or replace it, and run the same command again."
    )


def weights_file(name: str, repository: str, folder: str | Path | None = None) -> Path:
    """Return <folder>/<name>.safetensors, the copy in the Hugging Face cache, or a new download into the folder.

    folder  None: FER_PRETRAINED, or data/pretrained if it is not set

    Raise UserError with the name and folder of the file if the hub does not answer within PROBE_SECONDS, or if
    HF_HUB_OFFLINE=1.
    """
    file = local_file(name, folder)
    if file.is_file():
        return file
    cached = _in_hub_cache(repository)
    if cached:
        return cached
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if not endpoint.startswith(("https://", "http://")):
        raise UserError(f"HF_ENDPOINT={endpoint}: must be an address that begins with https:// or http://.")
    url = f"{endpoint}/{repository}/resolve/main/model.safetensors"
    if not _answers(url):
        raise UserError(
            f"{file}: the pretrained weights of {name} are missing. They are not in the Hugging Face cache either, "
            f"and {endpoint} cannot be reached.\n"
            f"On a machine with a network, download  {url}\n"
            f"and save it as  {file.absolute()}  (or set FER_PRETRAINED to the folder that holds {file.name}).\n"
            "To train without pretrained weights, remove model.pretrained from the command."
        )
    _download(url, file)
    return file


def _in_hub_cache(repository: str) -> Path | None:
    """Return the newest model.safetensors of a repository in the cache of huggingface_hub; None if it is not there."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    files = hub.glob(f"models--{repository.replace('/', '--')}/snapshots/*/model.safetensors")
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def _answers(url: str) -> bool:
    """Return True if the URL answers within PROBE_SECONDS. A thread asks, because name resolution has no timeout."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    answers = []

    def probe():
        try:
            probe = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(probe, timeout=PROBE_SECONDS) as reply:  # nosec B310: http(s) only
                answers.append(reply.status == 200)
        except OSError:
            pass

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers == [True]


def _download(url: str, file: Path) -> None:
    """Download url to a temporary file, which gets its final name only when it is complete."""
    print(f"downloading {url} to {file}", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with (
            urllib.request.urlopen(url, timeout=30) as reply,  # nosec B310: http(s) only
            partial.open("wb") as out,
        ):
            shutil.copyfileobj(reply, out, 1 << 20)
            expected = reply.headers.get("Content-Length")
        if expected and partial.stat().st_size != int(expected):
            raise OSError(f"{partial.stat().st_size} of {expected} bytes were received")
        partial.replace(file)
    except OSError as error:
        raise UserError(f"{url}: the download failed ({error}). Run the same command again.") from error
    finally:
        partial.unlink(missing_ok=True)
