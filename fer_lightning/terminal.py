"""Console and progress bar of the commands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]  # called with the number of things done and the number of all


def plain_console(**options: Any) -> "Console":
    """Return a console that prints names as they are, also with brackets and colons.

    options  those of rich's Console
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, **options)


@contextmanager
def progress_bar(title: str, console: "Console | None" = None) -> Iterator[Progress | None]:
    """Show a progress bar if the console is a terminal; yield the function that updates it, or None.

    console  None: standard error
    """
    if not (console.is_terminal if console else sys.stderr.isatty()):
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console or plain_console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
