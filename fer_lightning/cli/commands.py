"""Console command `fer-lightning`: one subcommand for each command of this package.

`fer-lightning predict ...` does the same as `python -m fer_lightning.predict ...`, and all that it prints names the
subcommands: an installed package has no train.py, and its Python may have another name than `python`.
"""

import io
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

from fer_lightning.errors import UserError
from fer_lightning.failures import report_errors
from fer_lightning.wording import did_you_mean

PROGRAM = "fer-lightning"
# Module of each subcommand, and what it does.
COMMANDS = {
    "predict": ("fer_lightning.predict", "expressions of all faces in photos and videos"),
    "live": ("fer_lightning.live", "expressions in front of a camera, on a local page"),
    "game": ("fer_lightning.game", "a game that adapts to its player"),
    "site": ("fer_lightning.site", "a page for any web server that reads faces in the browser"),
    "data": ("fer_lightning.data.ingest", "read FER2013 or other faces into a store"),
    "audit": ("fer_lightning.audit.audit", "faults of a store of faces"),
    "train": ("fer_lightning.cli.train", "train one network, or a sweep"),
    "evaluate": ("fer_lightning.evaluation.evaluate", "metrics of a run with intervals"),
    "compare": ("fer_lightning.evaluation.compare", "paired test of two runs"),
    "explain": ("fer_lightning.explain", "pixels that the predictions of a run depend on"),
    "report": ("fer_lightning.report", "report of a sweep"),
    "export": ("fer_lightning.export", "write a run as one ONNX file"),
    "teach": ("fer_lightning.teach", "write soft targets from finished runs"),
    "simulate": ("fer_lightning.simulate", "simulated players of the game"),
    "collect": ("fer_lightning.collect", "collect faces for new classes"),
}
TRAIN = "fer_lightning.cli.train"
_SUBCOMMANDS = {module: name for name, (module, _) in COMMANDS.items()}
_SUBCOMMANDS |= {f"fer_lightning.{name}": name for name in COMMANDS}
# `python -m fer_lightning.predict`, `python train.py` and train.py; neither a longer module nor a path.
_COMMAND = re.compile(
    rf"(?:python -m ({'|'.join(map(re.escape, _SUBCOMMANDS))})|(?:python )?(?<![\w/.-])train\.py)(?!\.?\w)"
)
# `make data FROM=faces.csv`, and the keys of the variables of the Makefile that have other names.
_TARGET = re.compile(rf"\bmake ({'|'.join(COMMANDS)})\b((?: [A-Z]+=(?:'[^']*'|\S*))*)")
_VARIABLES = {
    "data": {"FROM": "source"},
    "collect": {"FROM": "provider.path", "SIZE": "faces.size", "COLOR": "faces.color"},
    "report": {"DIR": "sweep"},
}
# Variables of `make data` in a sentence, such as "Omit SIZE" or FERPLUS=path; not parts of a path.
_DATA_VARIABLES = re.compile(r"(?<![\w/.-])(FROM|ROOT|FERPLUS|LABELS|PHOTOS|TAXONOMY|SIZE|COLOR)(?![\w/.-])")


def main() -> None:
    """Run the subcommand that the first word names, with the other words as its command line."""
    name, *words = sys.argv[1:] or ["--help"]
    with report_errors(PROGRAM):
        if name in ("-h", "--help"):
            print(help_text())
            return
        if name not in COMMANDS:
            raise UserError(f"{name}: no such command.{did_you_mean(name, list(COMMANDS))} See: {PROGRAM} --help")
        sys.argv = [PROGRAM, *words]
        with renamed_output(name):
            runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)


def as_subcommands(text: str, own: str = "") -> str:
    """Return the text with the subcommand instead of each `python -m MODULE`, `python train.py` and `make TARGET`.

    own  subcommand that writes the text: the variables of its target become its keys
    """
    renamed = "".join(map(_renamed, text.splitlines(keepends=True)))
    if own != "data":
        return renamed
    return _DATA_VARIABLES.sub(lambda match: _VARIABLES[own].get(match[1], match[1].lower()), renamed)


def _renamed(line: str) -> str:
    """Return the line with subcommands. A comment behind its command keeps its column."""
    renamed = _COMMAND.sub(lambda match: f"{PROGRAM} {_SUBCOMMANDS[match[1] or TRAIN]}", line)
    renamed = _TARGET.sub(_without_make, renamed)
    longer = len(renamed) - len(line)
    return re.sub(r"(?<=\S) {3,}", lambda gap: " " * max(2, len(gap[0]) - longer), renamed, count=1)


def _without_make(match: re.Match[str]) -> str:
    keys = _VARIABLES.get(match[1], {})
    return f"{PROGRAM} {match[1]}" + re.sub(
        r" (?:STEPS='([^']*)'|([A-Z]+)=)",
        lambda variable: f" {variable[1]}" if variable[1] else f" {keys.get(variable[2], variable[2].lower())}=",
        match[2],
    )


class RenamingStream(io.TextIOWrapper):
    """Text stream that writes each command as its subcommand. It never closes the stream below.

    own  subcommand that writes to it
    """

    def __init__(self, below: io.TextIOWrapper, own: str) -> None:
        self._own = own
        super().__init__(
            below.buffer,
            below.encoding,
            below.errors,
            line_buffering=below.line_buffering,
            write_through=below.write_through,
        )

    def write(self, text: str) -> int:
        super().write(as_subcommands(text, self._own))
        return len(text)

    def close(self) -> None:
        if not self.buffer.closed:
            self.flush()


@contextmanager
def renamed_output(own: str) -> Iterator[None]:
    """Name the subcommands in all that the subcommand `own` writes to standard output and standard error."""
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if isinstance(stream, io.TextIOWrapper):
                stream.flush()
                renaming = RenamingStream(stream, own)
                stack.callback(renaming.close)
                stack.enter_context(redirect(renaming))
        yield


def help_text() -> str:
    lines = [f"  {name:<9}  {description}" for name, (_, description) in COMMANDS.items()]
    return "\n".join((f"usage: {PROGRAM} COMMAND ...", "", *lines, "", f"More about one: {PROGRAM} COMMAND --help"))
