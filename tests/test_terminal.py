"""The progress bar of the commands."""

import io

from rich.console import Console

from fer_lightning.terminal import progress_bar


def test_a_terminal_shows_the_progress():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with progress_bar("reading", console) as progress:
        progress(3, 10)
    assert "reading" in console.file.getvalue()
    assert "3/10" in console.file.getvalue()


def test_without_a_terminal_nothing_is_shown(capsys):
    with progress_bar("reading") as progress:
        assert progress is None
    assert capsys.readouterr().err == ""
