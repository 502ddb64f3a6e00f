"""One call of `python -m fer_lightning.collect`: build what the steps need, run them and print their results."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import yaml

from fer_lightning.collect.http.settings import ClientSettings
from fer_lightning.collect.providers.local import Local
from fer_lightning.collect.providers.provider import Provider
from fer_lightning.collect.review.server import check_options, serve, undecided
from fer_lightning.collect.settings import CollectSettings
from fer_lightning.collect.steps import tally
from fer_lightning.collect.steps.export import NothingToExport, export
from fer_lightning.collect.steps.export_folders import CSV
from fer_lightning.collect.store.collection import FILE, FUNNEL, LOST, Collection
from fer_lightning.collect.store.form import chosen_form
from fer_lightning.collect.store.funnel import funnels, lost, total
from fer_lightning.config.groups import options
from fer_lightning.config.option_settings import option_class
from fer_lightning.config.settings import part, values_of
from fer_lightning.data.store import store_problem
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.faces.settings import FaceRules
from fer_lightning.labels import TAXONOMIES
from fer_lightning.machine import fitting_experiment
from fer_lightning.paths import CONF
from fer_lightning.terminal import plain_console, progress_bar
from fer_lightning.wording import message, typed

CROPPED = (
    "If your images are faces that are already cropped, run the same command again with "
    "faces.kind=whole faces.min_face_px=48; make collect takes both as STEPS='faces.kind=whole faces.min_face_px=48'"
)
KEYS = ("COLLECT_CONTACT", "GOOGLE_API_KEY", "GOOGLE_CX")


class CollectRun:
    """All steps on one collection, as a context manager. Every step except `review` locks the collection."""

    def __init__(self, settings: CollectSettings, *, begins: bool) -> None:
        """Open the collection; if `begins` is true, check the provider, and create the collection if it is missing."""
        self.settings = settings
        self.emotion = settings.emotion.name
        check_options(annotator=settings.review.annotator, share=settings.review.share, port=settings.review.port)
        if not begins and not Path(settings.root, FILE).exists():
            raise UserError(
                f"root={settings.root}: this folder holds no collection. Start one with `search`: make collect"
            )
        if begins:
            self.provider.ready()  # before there is a collection
        self.collection = Collection(settings.root)
        self.form = chosen_form(self.collection, size=settings.faces.size, color=settings.faces.color)
        self.console = plain_console()
        self.partly = False  # True if a part of the user's own images could not be read

    def __enter__(self) -> "CollectRun":
        return self

    def __exit__(self, *_: object) -> None:
        self.collection.close()

    def run(self, steps: Iterable[str], *, chained: bool) -> None:
        """Run the steps in order. If `chained`, a step that has nothing to do is skipped."""
        from fer_lightning.collect.steps.purge import require_finished

        require_finished(self.collection)
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
        """Print one line without wrapping it, so that a command in it can be copied."""
        self.console.print(f"{step:8} ", style="bold", end="", highlight=False)
        self.console.print(message(text), highlight=False, soft_wrap=True)

    # -- gathering

    def search(self) -> None:
        from fer_lightning.collect.steps.queries import queries
        from fer_lightning.collect.steps.search import search

        provider = self.provider
        self.partly = isinstance(provider, Local) and provider.left_out.partly
        with progress_bar(f"searching {provider.name}", self.console) as progress:
            result = search(
                self.collection,
                provider,
                queries(self.settings.emotion, seed=self.settings.seed),
                target=self.settings.target,
                oversample=self.settings.oversample,
                emotion=self.emotion,
                config_hash=self.config_hash,
                version=version("fer_lightning"),
                progress=progress,
            )
        self.say(
            "search",
            f"{counted(result.new, 'new image')} of {self.emotion} from {provider.name}: {result.stopped_because}",
        )
        left_out = {**result.dropped, "blocked by an earlier purge": result.denied, "failed requests": result.failed}
        for reason, count in left_out.items():
            if count:
                self.say("", f"{count:,} {reason}")
        if result.failed and not self.collection.value("SELECT 1 FROM candidate LIMIT 1"):
            raise UserError(
                f"provider={provider.name}: the search found nothing, and the collection holds no images yet. "
                f"See the messages above for the reason."
            )

    def fetch(self) -> None:
        from fer_lightning.collect.steps.fetch import fetch

        with progress_bar("fetching", self.console) as progress:
            result = fetch(
                self.collection,
                client=self.client,
                provider=self.provider.name,
                hosts=self.provider.hosts,
                at_once=self.settings.fetch.at_once,
                progress=progress,
            )
        self.say(
            "fetch",
            f"{counted(result.stored, 'image')} stored, {result.refused:,} rejected, "
            f"{result.failed:,} failed and to be tried again",
        )

    def detect(self) -> None:
        from fer_lightning.collect.steps.detect import detect
        from fer_lightning.faces.detector import open_detector

        faces = self.settings.faces
        detector = open_detector(faces.model, kind=faces.kind)
        with progress_bar("finding faces", self.console) as progress:
            result = detect(
                self.collection,
                detector=detector,
                rules=part(FaceRules, faces),
                form=self.form,
                emotion=self.emotion,
                provider=self.provider.name,
                query=self.provider.everything if isinstance(self.provider, Local) and self.provider.source else None,
                progress=progress,
            )
        looked_at = result.faces + result.refused.total()
        self.say(
            "detect", f"{counted(result.faces, 'face')} in {counted(looked_at, 'new image')}, found by {detector.name}"
        )
        if result.refused and not result.faces:
            reasons = ", ".join(f"{reason} ({count:,})" for reason, count in result.refused.most_common())
            self.say("", f"no image has a usable face: {reasons}. {CROPPED}")

    def dedupe(self) -> None:
        from fer_lightning.collect.steps.dedupe import dedupe, fer2013_of

        root = self.settings.fer2013
        problem = store_problem(root)
        with progress_bar("looking for copies", self.console) as progress:
            fer2013 = None if problem else fer2013_of(self.collection, Path(root), progress)
            result = dedupe(self.collection, fer2013=fer2013, progress=progress)
        self.say(
            "dedupe",
            f"{counted(result.unique, 'face')} kept, {counted(result.copies, 'copy', 'copies')} set aside, "
            f"{result.flagged:,} marked as similar",
        )
        if problem:
            reason = problem.splitlines()[0].rstrip(";").replace("data.root=", "fer2013=", 1)
            self.say("", f"not compared with FER2013: {reason}")

    # -- deciding

    def review(self, *, chained: bool = False) -> None:
        review = self.settings.review
        whose = {
            "emotion": None if review.second_pass else self.emotion,  # hidden from a blind reviewer
            "annotator": review.annotator,
            "pass_": 2 if review.second_pass else 1,
            "classes": TAXONOMIES[self.settings.export.taxonomy].extended().classes,
            "share": review.share,
            "seed": self.settings.seed,
        }
        if chained and not undecided(self.collection, **whose):
            self.say("review", "no face is undecided")
            return
        definitions = _definitions() | {self.emotion: self.settings.emotion.definition}
        serve(self.collection, port=review.port, definitions=definitions, **whose)

    def merge(self) -> None:
        from fer_lightning.collect.steps.merge import images_of_minors, merge

        with progress_bar("merging", self.console):
            result = merge(self.collection, seed=self.settings.seed)
        self.say(
            "merge",
            f"{counted(result.accepted, 'face')} accepted, {result.rejected:,} rejected, {result.open:,} open; "
            f"{result.changed:,} of these are new or changed",
        )
        if minors := images_of_minors(self.collection):
            self.say(
                "",
                f"{counted(len(minors), 'image')} of apparent minors are still in {self.collection.root}; to remove "
                "them: python -m fer_lightning.collect purge --minors",
            )

    def tally(self) -> None:
        from fer_lightning.collect.review.agreement import agreement
        from fer_lightning.collect.review.decisions import current

        parts = funnels(self.collection, emotion=self.emotion)
        if parts:
            self.console.print(tally.funnel_table(parts))
            self.console.print(tally.loss_table(total(parts)))
            tally.write_funnel(self.collection.root / FUNNEL, parts)
            tally.write_lost(self.collection.root / LOST, lost(self.collection))
            self.say("tally", f"wrote losses per query to {self.collection.root / FUNNEL}, losses per image to {LOST}")
        if counts := tally.classes(self.collection):
            self.console.print(tally.class_table(counts))
        passes = agreement(current(self.collection, pass_=1), current(self.collection, pass_=2))
        if passes.faces:
            self.say("tally", passes.describe())

    def export(self) -> None:
        """Merge the latest decisions, then write the export."""
        from fer_lightning.collect.steps.merge import merge

        options = self.settings.export
        with progress_bar("exporting", self.console):
            merge(self.collection, seed=self.settings.seed)
            result = export(
                self.collection,
                folder=Path(options.folder),
                taxonomy=options.taxonomy,
                release=options.release,
                non_commercial=options.non_commercial,
                licensed_providers=_licensed_providers(),
            )
        path = result.folder / CSV
        self.say("export", f"{counted(result.rows, 'face')} in {path}; {result.releasable:,} may be published")
        for reason, count in result.withheld.items():
            self.say("", f"{count:,} may not be published: {reason}")
        for reason, count in result.left_out.items():
            self.say("", f"{count:,} not exported: {reason}")
        self._say_what_next(path, options.taxonomy)

    def _say_what_next(self, path: Path, taxonomy: str) -> None:
        there = tally.classes(self.collection)
        classes, sources = TAXONOMIES[taxonomy].classes, TAXONOMIES[taxonomy].sources
        own = [name for name, source in zip(classes, sources, strict=True) if source == "own"]
        if missing := [name for name in own if name not in there]:
            self.say(
                "next",
                f"{taxonomy} also needs {', '.join(missing)}. Run the same make collect with EMOTION={missing[0]}",
            )
        else:
            words = f"data.taxonomy={taxonomy} {typed('data.extra', path)}{self._store_words()}"
            self.say("next", f"python train.py{fitting_experiment()} {words}")

    def _store_words(self) -> str:
        """Return what a training must also name if the faces do not have the form of FER2013."""
        if self.form == FER2013_FORM:
            return ""
        channels = " model.in_channels=3" if self.form.color else ""
        store = f"make data {self.form.make_variables} ROOT=STORE FROM=..."
        return f"{channels} data.root=STORE, where STORE holds faces of {self.form.description} pixels: {store}"

    # -- keeping

    def purge(self, *, image: str | None, creator: str | None, url: str | None, minors: bool, reason: str) -> None:
        from fer_lightning.collect.steps.purge import purge

        with self.collection.locked("steps"), self.collection.locked("review"):
            result = purge(
                self.collection,
                image=image,
                creator=creator,
                url=url,
                minors=minors,
                reason=reason,
                export_folder=Path(self.settings.export.folder),
                fer2013=Path(self.settings.fer2013),
            )
            if result.candidates:
                self.say(
                    "purge",
                    f"removed {counted(result.images, 'image')} with {counted(result.candidates, 'URL')} and "
                    f"{counted(result.accepted, 'accepted face')}; they will not be collected again",
                )
            else:
                blocked = "" if minors else ". It is blocked now"
                self.say("purge", f"the collection holds no such image{blocked}")
            for folder in (*result.exports, *result.stores):
                self.say(
                    "",
                    f"removed {folder}, which held or may have held some of them; `export` and the next training "
                    "rebuild it",
                )
            for folder in result.kept:
                self.say(
                    "", f"kept {folder}: it holds some of them, but another collection wrote it. Purge that one too"
                )
            for folder in result.missing:
                self.say("", f"not found: {folder}, an export of this collection. If you moved it, delete it yourself")

    def verify(self) -> None:
        from fer_lightning.collect.steps.verify import verify

        with progress_bar("verifying", self.console) as progress:
            result = verify(self.collection, progress=progress)
        for fault in result.faults:
            self.say("", fault)
        strays = f", {counted(result.strays, 'stray file')} removed" if result.strays else ""
        self.say("verify", f"{counted(result.images, 'image')}, {counted(len(result.faults), 'fault')}{strays}")
        if self.settings.verify.online:
            self._verify_pages()
        if result.faults:
            raise UserError(
                f"{self.collection.root}: {counted(len(result.faults), 'fault')} found; see the list above."
            )

    def _verify_pages(self) -> None:
        from fer_lightning.collect.steps.verify import pages_that_are_gone

        with progress_bar("requesting pages", self.console) as progress:
            gone = pages_that_are_gone(self.collection, client=self.client, progress=progress)
        for image, page in gone:
            self.say(
                "",
                f"{page} no longer exists and cannot prove the licence. To remove it: purge --id {image[:12]}",
            )
        self.say("verify", f"{counted(len(gone), 'page')} of accepted images no longer exist{'s' * (len(gone) == 1)}")

    # -- parts

    @cached_property
    def client(self):
        from fer_lightning.collect.http.client import ImageClient

        settings = part(ClientSettings, self.settings.fetch)
        return ImageClient(user_agent=user_agent(self.keys.get("COLLECT_CONTACT")), **asdict(settings))

    @cached_property
    def provider(self):
        return replace(self.settings.provider, client=self.client, keys=self.keys)

    @property
    def keys(self) -> dict[str, str]:
        return {name: os.environ[name].strip() for name in KEYS if os.environ.get(name, "").strip()}

    @property
    def config_hash(self) -> str:
        """Hash of all settings that decide what is searched for."""
        settings = self.settings
        decisive = {
            "emotion": values_of(settings.emotion),
            "provider": {"name": settings.provider.name, **values_of(settings.provider)},
            "seed": settings.seed,
            "oversample": settings.oversample,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return the count with its noun: "1 face", "2 faces"."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def user_agent(contact: str | None) -> str:
    """Return the User-Agent header: this program with its version, and the contact if there is one."""
    who = f"fer_lightning/{version('fer_lightning')}"
    return f"{who} ({contact}) requests/{version('requests')}" if contact else f"{who} requests/{version('requests')}"


def _definitions() -> dict[str, str]:
    """Return the definition of every emotion in conf/collect/emotion/; a blind reviewer sees all of them."""
    nodes = [yaml.safe_load(path.read_text()) for path in sorted((CONF / "collect" / "emotion").glob("*.yaml"))]
    return {node["name"]: node["definition"] for node in nodes}


def _licensed_providers() -> list[str]:
    classes = [option_class(Provider, "collect/provider", option) for option in options("collect/provider")]
    return [provider.name for provider in classes if provider.states_licences]
