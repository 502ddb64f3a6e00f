"""Disks that run full and folders that cannot be written to, for one test; skipped where a machine offers none."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: str | Path) -> bool:
    try:
        return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A folder on a disk of its own, `size` as in 3m."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("a small disk cannot be mounted here: that takes root and Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path, size: str) -> None:
    assert _mount("-o", f"remount,size={size}", folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The same folder, in which nothing can be written: by its mode, or for root by a mount."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    mounted = not _refuses(folder) and _mount("--bind", folder, folder)
    if mounted:
        _mount("-o", "remount,ro,bind", folder)
    try:
        if not _refuses(folder):
            pytest.skip("a folder cannot be made read-only here: root passes by its mode, and mounting is not allowed")
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.chmod(0o755)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Make `folder` refuse new, renamed and removed files, although its mode allows them."""
    try:
        subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("chattr +i does not work here: that takes root and a file system such as ext4")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)


def _refuses(folder: Path) -> bool:
    try:
        (folder / ".probe").touch()
        os.unlink(folder / ".probe")
    except OSError:
        return True
    return False
