"""One call of `python -m fer_lightning.collect`: builds what the steps need from the settings, runs them, says what
came out."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_class
from rich.console import Console
from rich.progress import Progress as Bars

from fer_lightning.collect.review.server import check_options, serve, undecided
from fer_lightning.collect.steps import tally
from fer_lightning.collect.steps.export import CSV, NothingToExport, export
from fer_lightning.collect.store.collection import FILE, Collection, Progress
from fer_lightning.collect.store.funnel import funnels, lost, total
from fer_lightning.config.allowed_targets import refuse_foreign_targets
from fer_lightning.config.check import check_node
from fer_lightning.data.store import store_problem
from fer_lightning.errors import UserError
from fer_lightning.faces.quality import Rules
from fer_lightning.files import write_atomically
from fer_lightning.labels import TAXONOMIES
from fer_lightning.paths import CONF

KEYS = ("COLLECT_CONTACT", "GOOGLE_API_KEY", "GOOGLE_CX")
# What every label of the review page may be: the classes that one can train on together.
LABELS = TAXONOMIES["learning_game_distracted"].classes

FUNNEL, LOST = "funnel.csv", "lost.csv"


class Session:
    """The steps over one collection. A context manager; all steps but `review` hold the collection for themselves."""

    def __init__(self, settings: dict[str, Any], *, begins: bool) -> None:
        """`begins`: whether a collection that is not there yet is to be made."""
        self.settings = settings
        self.emotion = settings["emotion"]["name"]
        _check(settings)
        if not begins and not Path(settings["root"], FILE).exists():
            raise UserError(
                f"root={settings['root']}: there is no collection in this folder. `search` begins one: make collect"
            )
        self.collection = Collection(settings["root"])
        self.console = Console()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.collection.close()

    def run(self, steps: Iterable[str], *, chained: bool) -> None:
        """The steps in their order. In the chain a step that has nothing to do yet is passed over."""
        for step in steps:
            if step == "review":
                self.review(chained=chained)
                continue
            with self.collection.locked("steps"):
                try:
                    getattr(self, step)()
                except NothingToExport as nothing:
                    if not chained:
                        raise
                    self.say("export", str(nothing))

    def say(self, step: str, text: str) -> None:
        """A line, however long: a command that is shown can be copied."""
        self.console.print(f"[bold]{step:8}[/] ", end="", highlight=False)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    # -- gathering

    def search(self) -> None:
        from fer_lightning.collect.steps.queries import queries
        from fer_lightning.collect.steps.search import search

        provider = self.provider
        provider.ready()
        with self.watched(f"searching {provider.name}") as progress:
            result = search(
                self.collection,
                provider,
                queries(self.settings["emotion"], seed=self.settings["seed"]),
                target=self.settings["target"],
                oversample=self.settings["oversample"],
                emotion=self.emotion,
                config_hash=self.config_hash,
                version=version("fer_lightning"),
                progress=progress,
            )
        self.say(
            "search", f"{result.new:,} new pictures of {self.emotion} from {provider.name}: {result.stopped_because}"
        )
        left_out = {**result.dropped, "asked to be left out": result.denied, "requests that failed": result.failed}
        for reason, count in left_out.items():
            if count:
                self.say("", f"{count:,} {reason}")
        if result.failed and not self.collection.value("SELECT 1 FROM candidate LIMIT 1"):
            raise UserError(f"{provider.name} gave nothing, and there is nothing else to go on with; see above")

    def fetch(self) -> None:
        from fer_lightning.collect.steps.fetch import fetch

        with self.watched("fetching") as progress:
            result = fetch(
                self.collection,
                client=self.client,
                provider=self.provider.name,
                hosts=self.provider.hosts,
                at_once=self.settings["fetch"]["at_once"],
                progress=progress,
            )
        self.say(
            "fetch", f"{result.stored:,} pictures kept, {result.refused:,} refused, {result.failed:,} failed for now"
        )

    def detect(self) -> None:
        from fer_lightning.collect.steps.detect import detect
        from fer_lightning.faces.detector import open_detector

        faces = self.settings["faces"]
        detector = open_detector(faces["model"], kind=faces["kind"])
        with self.watched("finding faces") as progress:
            result = detect(self.collection, detector=detector, rules=_rules(self.settings), progress=progress)
        looked_at = result.faces + result.refused.total()
        self.say("detect", f"{result.faces:,} faces in {looked_at:,} new pictures, by {detector.name}")

    def dedupe(self) -> None:
        from fer_lightning.collect.steps.dedupe import dedupe, fer2013_of

        root = self.settings["fer2013"]
        problem = store_problem(root)
        with self.watched("looking for copies") as progress:
            fer2013 = None if problem else fer2013_of(self.collection, Path(root), progress)
            result = dedupe(self.collection, fer2013=fer2013, progress=progress)
        self.say("dedupe", f"{result.unique:,} faces kept, {result.copies:,} copies, {result.flagged:,} alike ones")
        if problem:
            self.say("", f"not held against FER2013: {problem.splitlines()[0].rstrip(';')}")

    # -- deciding

    def review(self, *, chained: bool = False) -> None:
        review = self.settings["review"]
        whose = {
            "emotion": None if review["second_pass"] else self.emotion,  # a blind look must not know
            "annotator": review["annotator"],
            "pass_": 2 if review["second_pass"] else 1,
            "classes": LABELS,
            "share": review["share"],
            "seed": self.settings["seed"],
        }
        if chained and not undecided(self.collection, **whose):
            self.say("review", "no face waits for a decision")
            return
        definitions = _definitions() | {self.emotion: self.settings["emotion"]["definition"]}
        serve(self.collection, port=review["port"], definitions=definitions, **whose)

    def merge(self) -> None:
        from fer_lightning.collect.steps.merge import merge

        with self.watched("merging"):
            result = merge(self.collection, seed=self.settings["seed"])
        self.say(
            "merge",
            f"{result.accepted:,} faces accepted, {result.rejected:,} rejected, {result.open:,} open; "
            f"{result.changed:,} of them new or changed",
        )

    def tally(self) -> None:
        from fer_lightning.collect.review.agreement import agreement
        from fer_lightning.collect.review.decisions import current

        parts = funnels(self.collection, emotion=self.emotion)
        if parts:
            self.console.print(tally.funnel_table(parts))
            self.console.print(tally.loss_table(total(parts)))
            write_atomically(self.collection.root / FUNNEL, tally.funnel_csv(parts))
            write_atomically(self.collection.root / LOST, tally.lost_csv(lost(self.collection)))
            self.say("tally", f"each query's losses are in {self.collection.root / FUNNEL}, each picture's in {LOST}")
        if counts := tally.classes(self.collection):
            self.console.print(tally.class_table(counts))
        found = agreement(current(self.collection, pass_=1), current(self.collection, pass_=2))
        if found.faces:
            self.say("tally", found.in_words())

    def export(self) -> None:
        """After a merge, for what somebody has decided since the last one counts."""
        from fer_lightning.collect.steps.merge import merge

        options = self.settings["export"]
        with self.watched("exporting"):
            merge(self.collection, seed=self.settings["seed"])
            result = export(
                self.collection,
                folder=Path(options["folder"]),
                taxonomy=options["taxonomy"],
                release=options["release"],
                non_commercial=options["non_commercial"],
                licence_known=_providers_that_know_licences(),
            )
        path = result.folder / CSV
        self.say("export", f"{result.rows:,} faces in {path}, {result.releasable:,} of which may be published")
        for reason, count in result.withheld.items():
            self.say("", f"{count:,} may not: {reason}")
        for reason, count in result.left_out.items():
            self.say("", f"{count:,} left out: {reason}")
        self._say_what_next(path, options["taxonomy"])

    def _say_what_next(self, path: Path, taxonomy: str) -> None:
        there = tally.classes(self.collection)
        own = [name for name in TAXONOMIES[taxonomy].classes if name not in TAXONOMIES["fer2013"].classes]
        if missing := [name for name in own if name not in there]:
            self.say(
                "next", f"{taxonomy} needs {', '.join(missing)} too: collect in the same way with EMOTION={missing[0]}"
            )
        else:
            self.say("next", f"python train.py data.taxonomy={taxonomy} data.extra={path}")

    # -- keeping

    def purge(self, *, image: str | None, creator: str | None, url: str | None, reason: str) -> None:
        from fer_lightning.collect.steps.purge import purge, remove_stores

        with self.collection.locked("steps"), self.collection.locked("review"):
            result = purge(self.collection, image=image, creator=creator, url=url, reason=reason)
            if not result.candidates:
                self.say("purge", "nothing of it is here, so nothing is gone; it will not be collected")
                return
            self.say(
                "purge",
                f"{result.pictures:,} pictures with {result.candidates:,} addresses are gone, {result.accepted:,} of "
                f"them accepted faces; they will not be collected again",
            )
            stores = remove_stores(Path(self.settings["fer2013"]), result.exports)
            for folder in (*result.exports, *stores):
                self.say("", f"{folder} had some of them and is gone too; `export` and the next training write it anew")

    def verify(self) -> None:
        from fer_lightning.collect.steps.verify import verify

        with self.watched("verifying") as progress:
            result = verify(self.collection, progress=progress)
        for fault in result.faults:
            self.say("", fault)
        strays = f", {result.strays:,} unfinished files removed" if result.strays else ""
        self.say("verify", f"{result.pictures:,} pictures, {len(result.faults):,} faults{strays}")
        if self.settings["verify"]["online"]:
            self._verify_pages()
        if result.faults:
            raise UserError(f"{self.collection.root}: {len(result.faults)} faults, see above")

    def _verify_pages(self) -> None:
        from fer_lightning.collect.steps.verify import pages_that_are_gone

        with self.watched("asking for pages") as progress:
            gone = pages_that_are_gone(self.collection, client=self.client, progress=progress)
        for image, page in gone:
            self.say("", f"{page} is gone, and with it the proof of the licence; purge --id {image[:12]} lets it go")
        self.say("verify", f"{len(gone):,} pages of accepted pictures are gone")

    # -- parts

    @cached_property
    def client(self):
        from fer_lightning.collect.http.client import Client

        fetch = self.settings["fetch"]
        return Client(
            user_agent=user_agent(self.keys.get("COLLECT_CONTACT")),
            requests_per_second=fetch["requests_per_second"],
            deadline=fetch["deadline"],
            max_bytes=fetch["max_bytes"],
            allow_loopback=fetch["allow_loopback"],
        )

    @cached_property
    def provider(self):
        options = {name: value for name, value in self.settings["provider"].items() if name != "_target_"}
        made = get_class(self.settings["provider"]["_target_"])
        return made(**options, client=self.client, keys=self.keys)

    @property
    def keys(self) -> dict[str, str]:
        return {name: os.environ[name].strip() for name in KEYS if os.environ.get(name, "").strip()}

    @property
    def config_hash(self) -> str:
        """Of all that decides what is searched for."""
        decisive = {name: self.settings[name] for name in ("emotion", "provider", "seed", "oversample")}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]

    @contextmanager
    def watched(self, what: str) -> Iterator[Progress | None]:
        """With a bar on a terminal."""
        if not sys.stdout.isatty():
            yield None
            return
        with Bars(console=self.console, transient=True) as bars:
            task = bars.add_task(what, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def user_agent(contact: str | None) -> str:
    """Who asks, and whom to write to."""
    who = f"fer_lightning/{version('fer_lightning')}"
    return f"{who} ({contact}) requests/{version('requests')}" if contact else f"{who} requests/{version('requests')}"


def _check(settings: dict[str, Any]) -> None:
    """UserError for what the schema cannot see."""
    refuse_foreign_targets(settings)
    check_node("provider", settings["provider"], {"client", "keys"})
    if settings["target"] < 1:
        raise UserError(f"target={settings['target']}: how many faces are wanted, 1 or more")
    if not 1 <= settings["oversample"] <= 1000:
        raise UserError(f"oversample={settings['oversample']}: candidates for each wanted face, 1 to 1000")
    if settings["export"]["taxonomy"] not in TAXONOMIES:
        allowed = ", ".join(TAXONOMIES)
        raise UserError(f"export.taxonomy={settings['export']['taxonomy']}: no such taxonomy. Allowed: {allowed}.")
    for name in ("at_once", "requests_per_second", "deadline", "max_bytes"):
        if not settings["fetch"][name] > 0:
            raise UserError(f"fetch.{name}={settings['fetch'][name]}: more than 0")
    _rules(settings)
    review = settings["review"]
    check_options(annotator=review["annotator"], share=review["share"], port=review["port"])


def _rules(settings: dict[str, Any]) -> Rules:
    return Rules(**{name: value for name, value in settings["faces"].items() if name not in ("kind", "model")})


def _definitions() -> dict[str, str]:
    """Of every emotion that can be searched for, for those who look again without knowing which one it was."""
    return {node["name"]: node["definition"] for node in _options("emotion")}


def _providers_that_know_licences() -> list[str]:
    classes = [get_class(node["_target_"]) for node in _options("provider")]
    return [provider.name for provider in classes if provider.licence_known]


def _options(group: str) -> list[dict[str, Any]]:
    """What the files of a group of conf/collect/ say."""
    return [yaml.safe_load(path.read_text()) for path in sorted((CONF / "collect" / group).glob("*.yaml"))]
