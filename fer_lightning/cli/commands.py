"""Console command `fer-lightning`: one subcommand for each command of this package.

`fer-lightning predict ...` does the same as `python -m fer_lightning.predict ...`.
"""

import runpy
import sys

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
        runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)


def help_text() -> str:
    lines = [f"  {name:<9}  {description}" for name, (_, description) in COMMANDS.items()]
    return "\n".join((f"usage: {PROGRAM} COMMAND ...", "", *lines, "", f"More about one: {PROGRAM} COMMAND --help"))
