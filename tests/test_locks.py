"""Locks of files."""

import errno
import fcntl

import pytest

from fer_lightning.files import take_lock


def test_a_lock_is_held_by_one_and_freed_when_its_file_is_closed(tmp_path):
    with open(tmp_path / ".lock", "w") as first, open(tmp_path / ".lock", "w") as second:
        assert take_lock(first)
        assert not take_lock(second)
        first.close()
        assert take_lock(second)


def fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "the reason")

    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_file_system_without_locks_is_named_in_a_warning(tmp_path, monkeypatch):
    fail_with(errno.ENOLCK, monkeypatch)
    with (
        open(tmp_path / ".lock", "w") as file,
        pytest.warns(UserWarning, match="this file system has no locks"),
    ):
        assert take_lock(file)


def test_another_error_names_the_file(tmp_path, monkeypatch):
    fail_with(errno.EIO, monkeypatch)
    with open(tmp_path / ".lock", "w") as file, pytest.raises(OSError, match="the reason") as error:
        take_lock(file)
    assert error.value.filename == str(tmp_path / ".lock")
