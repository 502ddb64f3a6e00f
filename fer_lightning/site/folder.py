"""Content of the static folder: page, modules of the live page, runtime and networks."""

import gzip
import json
import os
import shutil
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.evaluation.card import card
from fer_lightning.faces.browser_files import DETECTOR, MODEL, browser_files
from fer_lightning.faces.detector import YuNetDetector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.faces.settings import FaceRules
from fer_lightning.files import TEMPORARY, require_own_folder
from fer_lightning.live.hub import model_words
from fer_lightning.live.settings import FrameSettings
from fer_lightning.paths import PACKAGE
from fer_lightning.web.files import COMPRESSED, read_page
from fer_lightning.web.guard import content_security_policy

# Folders of the site, with the files of the package that they contain.
PARTS = {
    "site": ("site/page", ("site.js", "site.css")),
    "live": ("live/page", ("boxes.js", "faces.js", "looks.js", "live.css")),
    "shared": ("web/page", ("base.css", "icon.svg", "elements.js", "camera.js", "consent.js", "label.js")),
    "faces": (
        "faces/page",
        ("following.js", "pixels.js", "quality.js", "reader.js", "tracks.js", "views.js", "worker.js", "yunet.js"),
    ),
}
FACTS, CARD = "model.json", "model-card.md"  # in the folder of the networks
MARK = (f"files/{FACTS}", "{")  # of the folder of a site
CAMERA = FaceRules(min_score=0.7, min_face_px=48)  # the camera's images are smaller than photographs


def write_site(out: Path, model: FaceModel, detector: YuNetDetector, min_confidence: float = 0.0) -> int:
    """Write the folder `out`, completely or not at all. Return the size of its files in bytes.

    min_confidence  lowest probability of a label

    Raise UserError if `out` is a file, the current folder, or a folder with other content than a site.
    """
    if model.metadata.form != FER2013_FORM:
        raise UserError(
            f"model={model.path}: its network takes faces of {model.metadata.form.description} pixels, "
            f"and the page cuts "
            f"faces of {FER2013_FORM.description}. Use a model of such faces; predict and live run this one."
        )
    require_own_folder(out, "out", MARK)
    out = out.resolve()  # the target of a link is replaced, not the link
    _require_only_own(out)
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{kind}{TEMPORARY}") for kind in ("new", "old"))
    try:
        _fill(new, model, detector, min_confidence)
        if out.exists():
            os.replace(out, old)
        os.replace(new, out)
    finally:
        if old.exists() and not out.exists():  # interrupted between the two renames
            os.replace(old, out)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def _require_only_own(out: Path) -> None:
    """Raise UserError if the folder has an entry that no site has, because the whole folder is replaced."""
    if Path.cwd().is_relative_to(out):
        raise UserError(f"out={out}: contains the current folder. Name a folder inside it, such as out=site.")
    own = {*PARTS, "runtime", "files", "index.html"}
    others = sorted(path.name for path in out.iterdir() if path.name not in own) if out.is_dir() else []
    if others:
        raise UserError(
            f"out={out}: this folder also holds {', '.join(others)}, which a new site would delete. "
            "Write the site into another folder and copy its files."
        )


def _fill(folder: Path, model: FaceModel, detector: YuNetDetector, min_confidence: float) -> None:
    for name, (source, files) in PARTS.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            shutil.copyfile(PACKAGE / source / file, folder / name / file)
    (folder / "runtime").mkdir()
    for path in (PACKAGE / "web" / "runtime").glob(f"*{COMPRESSED}"):
        (folder / "runtime" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    shutil.copyfile(PACKAGE / "web" / "runtime" / "LICENSE", folder / "runtime" / "LICENSE")
    (folder / "files").mkdir()
    for name, content in browser_files(model, detector).items():
        (folder / "files" / name).write_bytes(content)
    (folder / "files" / FACTS).write_text(json.dumps(_page_facts(model) | {"min_confidence": min_confidence}))
    (folder / "files" / CARD).write_text(card(model.metadata, MODEL))
    policy = content_security_policy(images="'self' blob:", reader=True, framed="")
    page = read_page(PACKAGE / "site" / "page" / "index.html")
    (folder / "index.html").write_bytes(page.replace(b"@policy@", policy.encode()))


def _page_facts(model: FaceModel) -> dict:
    """Return what the page says about the model, and the rules for photographs and for the camera."""
    # rules, and the number of images from one whole search to the next
    rules = {"photo": (FaceRules(), 1), "camera": (CAMERA, FrameSettings().whole_every)}
    return {
        "model": model_words(model.metadata).model_dump(),
        "files": {"detector": f"files/{DETECTOR}", "model": f"files/{MODEL}", "card": f"files/{CARD}"},
        "rules": {
            name: {
                "min_score": of.min_score,
                "min_face_px": of.min_face_px,
                "ambiguous_area": of.ambiguous_area,
                "whole_every": whole_every,
            }
            for name, (of, whole_every) in rules.items()
        },
    }
