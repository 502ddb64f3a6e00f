"""Collect faces for emotions that no data set has, review them, and build a data set from them.

    python -m fer_lightning.collect emotion=frustration provider=openverse target=200
    python -m fer_lightning.collect provider=local provider.path=photographs
    python -m fer_lightning.collect review merge export           only these steps, in this order
    python -m fer_lightning.collect review review.second_pass=true review.annotator=second
    python -m fer_lightning.collect purge --id 3f0dfb3d           remove an image and all its copies permanently
    python -m fer_lightning.collect purge --minors                remove all images of apparent minors
    python -m fer_lightning.collect verify                        check that all files are present and unchanged

If no step is named, all of these steps run. Each step does only the work that is still missing:

    search   ask the provider for images          merge    turn decisions into labels and splits
    fetch    download, decode and store them      tally    count the faces, and list why images were lost
    detect   find the face and crop it            export   write custom.csv, provenance, attribution, dataset card
    dedupe   set copies aside
    review   decide about each face in the browser

API keys and your contact address are read from .env: see .env.example.
"""

import argparse
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dotenv import load_dotenv

from fer_lightning.collect.settings import CollectSettings
from fer_lightning.collect.store.collection import FILE
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.failures import stop_on_sigterm, stop_status
from fer_lightning.inputs import PARTLY
from fer_lightning.paths import CONF, ENV_FILE
from fer_lightning.wording import did_you_mean

CHAIN = ("search", "fetch", "detect", "dedupe", "review", "merge", "tally", "export")
ALONE = ("purge", "verify")
COMMAND = Command("python -m fer_lightning.collect", CollectSettings, CONF / "collect" / "collect.yaml")


def main(arguments: list[str] | None = None) -> None:
    stop_on_sigterm()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    os.umask(0o077)  # images of people: only this account may read them
    try:
        with command.report_errors("collect", "Finished work is kept", again=None):
            options = _parser(arguments).parse_intermixed_args(arguments)
            steps = [word for word in options.words if "=" not in word]
            overrides = [word for word in options.words if "=" in word]
            _refuse_steps(steps, options)
            load_dotenv(ENV_FILE)
            settings, chain = config(overrides), steps or CHAIN
            from fer_lightning.collect.session import CollectRun

            with _explain_database_errors(settings.root), CollectRun(settings, begins="search" in chain) as session:
                if steps == ["purge"]:
                    session.purge(
                        image=options.id,
                        creator=options.creator,
                        url=options.url,
                        minors=options.minors,
                        reason=options.reason,
                    )
                else:
                    session.run(chain, chained=not steps)
            if session.partly:
                sys.exit(PARTLY)
    except KeyboardInterrupt as stop:
        print("\nStopped. Finished work is kept. Run the same command again to resume.", file=sys.stderr)
        sys.exit(stop_status(stop))


@contextmanager
def _explain_database_errors(root: str) -> Iterator[None]:
    """Raise UserError if the collection's database cannot be used or is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UserError(
            f"{root}: the collection's database: {error}. Finished work is kept. Fix this and run the same command "
            "again."
        ) from error
    except UserError:
        raise
    except Exception as error:  # odd values of a damaged database can raise any error
        if not isinstance(error, sqlite3.DatabaseError) and _is_sound(Path(root, FILE)):
            raise
        raise UserError(
            f"{root}: the collection's database {FILE} is damaged ({error}). Restore it from a copy, or recover what "
            f"is left: sqlite3 {FILE} .recover"
        ) from error


def _is_sound(path: Path) -> bool:
    """Return True if SQLite finds no damage in the database."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return False


def config(overrides: list[str]) -> CollectSettings:
    """Return the settings for the key=value arguments; raise UserError if a key or a value is not allowed."""
    return command.settings(COMMAND, overrides)


def _parser(arguments: list[str] | None) -> argparse.ArgumentParser:
    parser = command.Parser(COMMAND, __doc__, "[step ...]", sys.argv[1:] if arguments is None else arguments)
    parser.add_argument("words", nargs="*", metavar="step or key=value", help="see above and below")
    purged = parser.add_argument_group("what `purge` removes")
    purged.add_argument("--id", help="one image: its image_id, or the first 8 or more digits of it")
    purged.add_argument("--creator", help="all images of a creator: the name, or the URL of the creator's page")
    purged.add_argument("--url", help="the image at this URL, or all images on the page at this URL")
    purged.add_argument("--minors", action="store_true", help="all images with a face that a reviewer marked with M")
    purged.add_argument("--reason", default="asked to be removed", help="reason to store (default: %(default)s)")
    return parser


def _refuse_steps(steps: list[str], options: argparse.Namespace) -> None:
    """Raise UserError for an unknown step, and for a purge that does not name exactly one thing."""
    allowed = (*CHAIN, *ALONE)
    for step in steps:
        if step not in allowed:
            raise UserError(
                f"{step}: no such step.{did_you_mean(step, allowed)} Allowed steps: {', '.join(allowed)}. "
                f"Write a setting as key=value."
            )
    named = [name for name in ("id", "creator", "url", "minors") if getattr(options, name) not in (None, False)]
    if "purge" in steps and (len(steps) > 1 or len(named) != 1):
        raise UserError(
            f"purge: must be the only step, with exactly one of --id, --creator, --url, --minors. "
            f"Example: {COMMAND.program} purge --id 3f0dfb3d"
        )
    if named and "purge" not in steps:
        raise UserError(f"--{named[0]}: only purge takes this option. Use {COMMAND.program} purge --{named[0]} ...")


if __name__ == "__main__":
    main()
