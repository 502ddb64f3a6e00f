"""Write a static folder with a page that finds and labels faces in the browser; any web server can host it.

    python -m fer_lightning.site out=site
    python -m fer_lightning.site out=site model=face.onnx
    python -m http.server --directory site

The page reads photographs and the camera of its visitor. No image leaves the browser. The folder contains the model, so
that every visitor can copy it.
"""

import shlex
from pathlib import Path

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.paths import CONF
from fer_lightning.site.settings import SiteSettings

COMMAND = Command(
    "python -m fer_lightning.site",
    SiteSettings,
    CONF / "site" / "site.yaml",
    example="out=site",
)


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("site", "No site is half written"):
        run(command.read_arguments(COMMAND, __doc__, arguments))


def run(words: list[str]) -> None:
    """Write the folder and print what it contains. Raise UserError for invalid settings."""
    settings = command.settings(COMMAND, words)
    from fer_lightning.faces.detector import YuNetDetector
    from fer_lightning.faces.face_model import FaceModel
    from fer_lightning.faces.model_file import find_model
    from fer_lightning.faces.shipped import model_path
    from fer_lightning.site.folder import write_site

    out, model = Path(settings.out), model_path(settings.model)
    detector = YuNetDetector(find_model(settings.detector))
    size = write_site(out, FaceModel(model, threads=1), detector, settings.min_confidence)
    print(f"{out}: a page with {model.name}, {size / 1e6:.1f} MB. Everyone who opens it can copy the model.")
    print(f"look at it: python -m http.server --directory {shlex.quote(str(out))}, then open http://127.0.0.1:8000")


if __name__ == "__main__":
    main()
