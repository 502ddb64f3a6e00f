"""A few generated faces in every form in which FER2013 is held."""

import csv
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.data import synthetic
from fer_lightning.data.ingest import ingest
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import TAXONOMIES, USAGES

CLASSES = TAXONOMIES["fer2013"].classes
FOLDERS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


class Samples:
    """`per_class` rows for every usage and class, in mixed order, one blank, one pair identical."""

    def __init__(self, seed: int = 0, per_class: int = 3):
        random = np.random.default_rng(seed)
        rows = [(usage, code) for usage in USAGES for code in range(7) for _ in range(per_class)]
        self.rows = [rows[place] for place in random.permutation(len(rows))]
        self.pixels = random.integers(0, 256, (len(rows), 48, 48), np.uint8)
        self.pixels[0] = 0
        twins = [place for place, row in enumerate(self.rows) if row == ("Training", 3)]
        self.pixels[twins[1]] = self.pixels[twins[0]]

    def csv(
        self, path: Path, columns=("emotion", "pixels", "Usage"), quote=False, end="\n", bom=False, mark=","
    ) -> Path:
        """Return the values in the order of `columns`; a name may have spaces around it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        encoding = "utf-8-sig" if bom else "utf-8"
        with open(path, "w", newline="", encoding=encoding) as handle:
            quoting = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
            writer = csv.writer(handle, delimiter=mark, lineterminator=end, quoting=quoting)
            writer.writerow(columns)
            for (usage, code), image in zip(self.rows, self.pixels, strict=True):
                row = {"emotion": code, "pixels": " ".join(map(str, image.ravel())), "Usage": usage}
                writer.writerow([row[column.strip()] for column in columns])
        return path

    def folders(self, path: Path, splits=FOLDERS, classes=CLASSES, suffix=".png") -> Path:
        for place, ((usage, code), image) in enumerate(zip(self.rows, self.pixels, strict=True)):
            folder = path / splits[usage] / classes[code]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{place:05d}{suffix}")
        return path


def zipped(source: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            archive.write(path, path.relative_to(source.parent))
    return target


def tarred(source: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as archive:
        archive.add(source, source.name)
    return target


def write_forms(samples: Samples, root: Path) -> dict[str, Path]:
    """The same rows in each lossless form, by the form's name."""
    odd = ("Anger", "DISGUST", "fearful", "Happiness", "sadness", "Surprised", "Neutral")
    wrapped = root / "wrapped" / "fer"
    made = {
        "csv": samples.csv(root / "fer2013.csv"),
        "windows csv": samples.csv(root / "windows.csv", quote=True, end="\r\n", bom=True),
        "semicolons": samples.csv(root / "semicolons.csv", quote=True, mark=";"),
        "tabs": samples.csv(root / "tabs.tsv", ("pixels", "Usage", "emotion"), mark="\t"),
        "icml": samples.csv(root / "icml_face_data.csv", ("emotion", " Usage", " pixels")),
        "folders": samples.folders(root / "folders"),
        "odd names": samples.folders(
            root / "odd",
            {"Training": "Training", "PublicTest": "Public_Test", "PrivateTest": "privatetest"},
            odd,
            ".PNG",
        ),
    }
    shutil.copytree(made["folders"], wrapped)
    (wrapped / ".DS_Store").write_bytes(b"\0")
    made["wrapped folders"] = root / "wrapped"
    made["zip of csv"] = zipped(made["csv"], root / "csv.zip")
    made["zip of folders"] = zipped(made["folders"], root / "folders.zip")
    made["tar of folders"] = tarred(made["odd names"], root / "folders.tar")
    made["tar.gz of csv"] = tarred(made["csv"], root / "fer2013.tar.gz")
    return made


def drawn_store(root: Path, form: ImageForm, rows: int = 100) -> str:
    """A store of drawn faces in this form, whose channels differ if it is RGB; -> its folder."""
    drawn = synthetic.load(rows=rows)
    arrays = {
        "images": form.fit_all(np.stack([drawn.pixels, 255 - drawn.pixels, drawn.pixels // 2], axis=3)),
        "labels": np.array(drawn.classes)[drawn.labels],
        "usage": np.array(USAGES)[drawn.usage],
    }
    root.mkdir()
    np.savez(root / "faces.npz", **arrays)
    ingest(str(root / "faces.npz"), str(root / "store"), form=form)
    return str(root / "store")
