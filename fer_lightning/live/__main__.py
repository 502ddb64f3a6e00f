"""Serve the live page and the game on this machine: faces of a camera, the player's state, the game's level.

    python -m fer_lightning.live                                    use the browser's camera
    python -m fer_lightning.live model=face.onnx source=video.mp4   use a camera (0, 1, ...) or a video of this machine
    python -m fer_lightning.live page=game model=null               open the game; without a model no camera is used

The command prints the address to open.
docs/protocol.md describes how other games connect.
"""

import os
import signal
import sys
import warnings
from dataclasses import replace
from typing import NoReturn

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.option_settings import chosen_option
from fer_lightning.faces.shipped import existing_model
from fer_lightning.live.settings import LiveSettings
from fer_lightning.paths import CONF

COMMAND = Command(
    "python -m fer_lightning.live",
    LiveSettings,
    CONF / "live" / "live.yaml",
    example="model=face.onnx",
)


def main(
    words: list[str] | None = None, *, program: str = "live", page: str | None = None, help_text: str = ""
) -> None:
    """Run the command line.

    page       page that the printed address opens unless the command line sets it
    help_text  help text, if another program calls this
    """
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    os.umask(0o077)  # only this account may read the token of the address
    try:
        with command.report_errors(program, "No data of a game is stored", again=None):
            shown = replace(COMMAND, program=f"python -m fer_lightning.{program}")
            given = command.read_arguments(shown, help_text or __doc__, words)
            run([f"page={page}", *given] if page else given)
    except KeyboardInterrupt:
        print("Ended.", file=sys.stderr)


def run(words: list[str]) -> None:
    """Serve with the settings of the command line until the process ends. Raise UserError for invalid settings."""
    settings = command.settings(COMMAND, words)
    settings = replace(settings, model=existing_model(settings.model))
    from fer_lightning.live.server import serve

    serve(settings, chosen_option(COMMAND, "policy", words))


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
