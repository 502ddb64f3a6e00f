"""Gather faces for emotions that no data set has, look at them, and make a data set of them.

    python -m fer_lightning.collect emotion=frustration provider=openverse target=200
    python -m fer_lightning.collect provider=local provider.path=photographs
    python -m fer_lightning.collect review merge export           single steps, in this order
    python -m fer_lightning.collect review review.second_pass=true review.annotator=second
    python -m fer_lightning.collect purge --id 3f0dfb3d           take a picture out for good, with every copy of it
    python -m fer_lightning.collect verify                        is everything there, and as it was?

Without a step all of these run, each of which does only what is missing:

    search   ask the provider for pictures        merge    make labels and splits of the decisions
    fetch    get them, decode them, keep them     tally    what there is now, and where the others were lost
    detect   find the face and cut it out         export   custom.csv, provenance, attribution, dataset card
    dedupe   set copies aside
    review   decide, on a page in the browser

Keys and the address at which you can be reached are read from .env: see .env.example. Every setting, with its comment,
stands in conf/collect/.
"""

import argparse
import os
import signal
import sqlite3
import sys
import warnings
from typing import NoReturn

from dotenv import load_dotenv
from omegaconf import DictConfig, OmegaConf

from fer_lightning.collect.settings import CollectSettings
from fer_lightning.config import command
from fer_lightning.config.check import nearest
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF, ROOT

CHAIN = ("search", "fetch", "detect", "dedupe", "review", "merge", "tally", "export")
ALONE = ("purge", "verify")
# Settings that hold a path or somebody's name.
TEXTS = (
    "root",
    "fer2013",
    "provider.path",
    "provider.licence",
    "provider.creator",
    "faces.model",
    "review.annotator",
    "export.folder",
)
COMMAND = Command("python -m fer_lightning.collect", CollectSettings, CONF / "collect" / "collect.yaml", TEXTS)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_intermixed_args(arguments)
    steps = [word for word in options.words if "=" not in word]
    overrides = [word for word in options.words if "=" in word]
    signal.signal(signal.SIGTERM, _terminate)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    os.umask(0o077)  # pictures of people are for this account alone
    try:
        with command.failures_in_words("collect", "What was done is kept"):
            _refuse_steps(steps, options)
            load_dotenv(ROOT / ".env")
            cfg = config(overrides)
            from fer_lightning.collect.session import Session

            settings, chain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True), steps or CHAIN
            with Session(settings, begins="search" in chain) as session:
                if steps == ["purge"]:
                    session.purge(image=options.id, creator=options.creator, url=options.url, reason=options.reason)
                else:
                    session.run(chain, chained=not steps)
    except sqlite3.OperationalError as error:
        reason = f"the collection's database: {error}"
        command.refuse("collect", f"{reason}. What was done is kept: mend that and give the same command again.")
    except KeyboardInterrupt:
        print("\nStopped. What was done is kept; the same command goes on.", file=sys.stderr)
        sys.exit(130)


def config(overrides: list[str]) -> DictConfig:
    """The typed command line; UserError where it cannot be meant."""
    return command.settings(COMMAND, overrides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        COMMAND.program,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{COMMAND.program} [step ...] [key=value ...]",
    )
    parser.add_argument("words", nargs="*", metavar="step or key=value", help="see above")
    purged = parser.add_argument_group("what `purge` removes")
    purged.add_argument("--id", help="a picture: its image_id, or the first 8 or more digits of it")
    purged.add_argument("--creator", help="all pictures of a creator, by name or by the address of their page")
    purged.add_argument("--url", help="the picture at an address, or those on the page at that address")
    purged.add_argument("--reason", default="asked to be removed", help="kept on the list of what never comes back")
    return parser


def _refuse_steps(steps: list[str], options: argparse.Namespace) -> None:
    """UserError for what is no step, and for a purge that names nothing or more than one thing."""
    known = (*CHAIN, *ALONE)
    for step in steps:
        if step not in known:
            raise UserError(
                f"{step}: no such step.{nearest(step, list(known))} Steps: {', '.join(known)}; "
                f"settings are written key=value."
            )
    named = [name for name in ("id", "creator", "url") if getattr(options, name) is not None]
    if "purge" in steps and (len(steps) > 1 or len(named) != 1):
        raise UserError(
            f"purge runs alone and takes one of --id, --creator, --url. E.g. {COMMAND.program} purge --id 3f0dfb3d"
        )
    if named and "purge" not in steps:
        raise UserError(f"--{named[0]} belongs to purge: {COMMAND.program} purge --{named[0]} ...")


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
