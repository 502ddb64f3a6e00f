"""Every image and every labelled table of a source is read, or is counted and named."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fer_forms import Samples, tarred, zipped
from PIL import Image

from fer_lightning.data import ingest
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.inputs import PARTLY
from fer_lightning.labels import TAXONOMIES, USAGES

FER = TAXONOMIES["fer2013"]
NAMES = ("train", "val", "test")


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


def split_tables(samples: Samples, folder: Path, names=NAMES, columns=("emotion", "pixels")) -> Path:
    """One table of each split, without Usage unless `columns` names it."""
    for usage, name in zip(USAGES, names, strict=True):
        part = Samples()
        rows = [place for place, row in enumerate(samples.rows) if row[0] == usage]
        part.rows, part.pixels = [samples.rows[place] for place in rows], samples.pixels[rows]
        part.csv(folder / f"{name}.csv", columns)
    return folder


def counts(faces) -> list[int]:
    return np.bincount(faces.usage, minlength=3).tolist()


@pytest.mark.parametrize(
    "names", [NAMES, ("Training", "validation", "testing"), ("TRAIN", "public_test", "PrivateTest")]
)
@pytest.mark.parametrize("pack", [lambda folder, _: folder, zipped, tarred])
def test_labelled_tables_of_all_splits_are_read(names, pack, samples, tmp_path):
    folder = split_tables(samples, tmp_path / "faces", names)
    faces = read_faces(pack(folder, tmp_path / "packed"), FER)
    assert counts(faces) == [21, 21, 21]
    assert len(set(faces.source)) == 63
    assert not faces.partly
    for name in names:
        assert f"{name}.csv" in faces.form


def test_a_person_in_two_tables_is_one_source_and_unnamed_rows_are_not(samples, tmp_path):
    for name in ("train", "val"):
        samples.csv(tmp_path / f"{name}.csv", ("emotion", "pixels"))
        text = (tmp_path / f"{name}.csv").read_text().splitlines()
        rows = [f"{text[1]},Anna", f"{text[2]},", f"{text[3]},"]
        (tmp_path / f"{name}.csv").write_text("\n".join(["emotion,pixels,source", *rows]) + "\n")
    source = read_faces(tmp_path, FER).source
    assert source.count("Anna") == 2
    assert len(set(source)) == 5


def test_test_without_val_says_what_is_unknown(samples, tmp_path):
    split_tables(samples, tmp_path / "faces")
    (tmp_path / "faces/val.csv").unlink()
    faces = read_faces(tmp_path / "faces", FER)
    assert counts(faces) == [21, 0, 21]
    assert "merges PublicTest and PrivateTest" in faces.notes[0]


def test_the_column_usage_goes_before_the_name_of_a_table(samples, tmp_path):
    split_tables(samples, tmp_path, columns=("emotion", "pixels", "Usage"))
    (tmp_path / "train.csv").rename(tmp_path / "moved")
    (tmp_path / "val.csv").rename(tmp_path / "train.csv")
    (tmp_path / "moved").rename(tmp_path / "val.csv")
    assert counts(read_faces(tmp_path, FER)) == [21, 21, 21]


def test_two_tables_of_one_split_are_refused(samples, tmp_path):
    split_tables(samples, tmp_path)
    (tmp_path / "valid.csv").write_bytes((tmp_path / "val.csv").read_bytes())
    with pytest.raises(UserError, match=r"val\.csv and valid\.csv: both are the same split"):
        read_faces(tmp_path, FER)


def test_faces_beside_the_table_that_is_read_are_named(samples, tmp_path):
    samples.csv(tmp_path / "fer2013.csv")
    samples.csv(tmp_path / "mine.csv")
    samples.folders(tmp_path)
    faces = read_faces(tmp_path, FER)
    assert faces.partly
    assert any("64 files (63 .png, 1 .csv), image or table of faces beside the table" in note for note in faces.notes)


def archive(path: Path, members: list[tuple[str, str | bytes, bytes]]) -> Path:
    """A tar of (name, link or content, type)."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, what, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(what, bytes):
                member.size = len(what)
            else:
                member.linkname = what
            tar.addfile(member, io.BytesIO(what if isinstance(what, bytes) else b""))
    return path


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (48, 48), shade).save(file, "PNG")
    return file.getvalue()


REG, HARD, LINK, FIFO = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE


def test_links_inside_an_archive_are_read(tmp_path):
    members = [
        ("fer/sad/link.png", "../happy/a.png", LINK),
        ("fer/happy/a.png", png(10), REG),
        ("fer/happy/b.png", png(20), REG),
        ("./fer/sad/hard.png", "./fer/happy/b.png", HARD),
        ("fer/sad/chain.png", "link.png", LINK),
        ("fer/fear", "happy", LINK),
        ("fer/sad/through.png", "../fear/b.png", LINK),
        (".git/annex/c", png(30), REG),
        ("fer/angry/c.png", "../../.git/annex/c", LINK),
    ]
    faces = read_faces(archive(tmp_path / "links.tar.gz", members), FER)
    read = {
        (source.removeprefix("fer/"), pixels[0, 0]) for source, pixels in zip(faces.source, faces.pixels, strict=True)
    }
    assert read == {
        ("happy/a.png", 10), ("happy/b.png", 20), ("sad/link.png", 10), ("sad/hard.png", 20), ("sad/chain.png", 10),
        ("fear/a.png", 10), ("fear/b.png", 20), ("sad/through.png", 20), ("angry/c.png", 30),
    }  # fmt: skip
    assert not faces.partly


def test_links_that_cannot_be_followed_are_counted_and_named(tmp_path):
    members = [
        ("happy/a.png", png(10), REG),
        ("happy/b.png", "/etc/passwd", LINK),
        ("happy/c.png", "../../../x.png", LINK),
        ("happy/d.png", "gone.png", LINK),
        ("happy/e.png", "e.png", LINK),
        ("happy/f", "../happy", LINK),
        ("happy/g.png", "/etc/passwd", HARD),
        ("happy/h.png", "", FIFO),
    ]
    faces = read_faces(archive(tmp_path / "links.tar", members), FER)
    notes = " ".join(faces.notes)
    assert len(faces.labels) == 1
    assert faces.partly
    for reason in (
        "3 files (3 .png), link to something outside",
        "1 file (1 .png), link to nothing",
        "2 files (1 .png, 1 no suffix), link to a folder that contains it",
        "1 file (1 .png), pipe, device or socket",
    ):
        assert reason in notes
    assert "e.g. happy/b.png" in notes


def test_links_in_a_zip_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as packed:
        packed.writestr("happy/a.png", png(10))
        for name, target in (("sad/b.png", "../happy/a.png"), ("sad/c.png", "/etc/passwd")):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            packed.writestr(link, target)
    faces = read_faces(tmp_path / "links.zip", FER)
    assert sorted(faces.source) == ["happy/a.png", "sad/b.png"]
    assert "not read: 1 file (1 .png), link to something outside, e.g. sad/c.png" in faces.notes


def test_links_of_an_archive_count_towards_its_limits(tmp_path, monkeypatch):
    from fer_lightning.data.readers import files

    monkeypatch.setattr(files, "MAX_FILES", 30)
    members = [(f"happy/{number}.png", png(number), REG) for number in range(10)]
    members += [(name, "happy", LINK) for name in ("sad", "fear", "angry")]
    with pytest.raises(UserError, match="holds more than 30 files"):
        read_faces(archive(tmp_path / "bomb.tar", members), FER)


def test_a_folder_names_links_to_nothing_and_the_exit_status_is_partly(samples, tmp_path, capsys):
    folder = samples.folders(tmp_path / "fer")
    images = sorted(folder.rglob("*.png"))
    for path in images[::2]:
        path.unlink()
        path.symlink_to(f"/nowhere/{path.name}")
        path.with_name("loop").symlink_to(path.parent) if not path.with_name("loop").is_symlink() else None
        (path.parent / f"{path.stem}b.png").symlink_to(images[1])
    os.mkfifo(folder / "train/angry/pipe.png")
    command = [str(folder), str(tmp_path / "store")]
    assert ingest.main(command) == PARTLY
    out = capsys.readouterr().out
    assert "63 faces" in out
    assert "not read: 32 files (32 .png), link to nothing" in out
    assert "link to a folder that contains it" in out
    assert "1 file (1 .png), pipe, device or socket, e.g. train/angry/pipe.png" in out
    assert ingest.main(command) == PARTLY  # from the store


def test_files_of_the_operating_system_do_not_change_the_exit_status(samples, tmp_path, capsys):
    folder = samples.folders(tmp_path / "fer", suffix=".JPE")
    for name in ("Thumbs.db", ".DS_Store", "README.md"):
        (folder / name).write_bytes(b"x")
    assert ingest.main([str(folder), str(tmp_path / "store")]) == 0
    out = capsys.readouterr().out
    assert "63 faces" in out
    assert "not read: 2 files (1 no suffix, 1 .db), hidden file or file of the operating system" in out
    (tmp_path / "empty").mkdir()
    assert ingest.main([str(tmp_path / "empty"), str(tmp_path / "other")]) == 2


def test_folders_many_levels_deep_are_read(samples, tmp_path):
    samples.folders(tmp_path / "datasets/owner/name/versions/1/images/images/images")
    assert len(read_faces(tmp_path, FER).labels) == 63


@pytest.mark.parametrize("side", [48, 96])
@pytest.mark.parametrize("suffix", [".jpg", ".JFIF", ".png"])
def test_images_are_turned_upright_at_every_size(side, suffix, tmp_path):
    upright = np.linspace(0, 255, 48).astype(np.uint8)[:, None].repeat(48, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.kron(np.rot90(upright), np.ones((side // 48, side // 48), np.uint8))
    (tmp_path / "happy").mkdir()
    file = tmp_path / f"happy/a{suffix}"
    Image.fromarray(lying).save(file, "PNG" if suffix == ".png" else "JPEG", exif=exif)
    faces = read_faces(tmp_path, FER)
    assert np.abs(faces.pixels[0].astype(int) - upright).max() < 12
    assert "1 images were turned upright by their EXIF orientation" in faces.notes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test/x.png", "test/ is a split without class folders"),
        ("FER2013Test/x.png", r"FER\+'s images without its label\.csv.* fer2013\.csv with FERPLUS"),
        ("1/x.png", "1 is happy in affectnet,.* disgust in fer2013,.* surprise in rafdb"),
        ("train/happy/S01/deep/x.png", r"images must be in train\|val\|test/<class>/ or in <class>/, or in folders of"),
        ("angry/test/x.png", r"wrong order\. Move the images to test/angry/"),
        ("images/test/angry/x.png", r"images/ holds a second tree of splits"),
    ],
)
def test_folders_of_other_data_sets_are_refused_with_the_reason(name, message, tmp_path):
    for path in (tmp_path / "train/happy/a.png", tmp_path / name):
        path.parent.mkdir(parents=True)
        Image.new("L", (48, 48)).save(path)
    with pytest.raises(UserError, match=message):
        read_faces(tmp_path, FER)


def test_rows_of_spreadsheets_are_read(samples, tmp_path):
    path = samples.csv(tmp_path / "own.csv")
    head, *rows = path.read_text().splitlines()
    floats = [row.replace(",", ".0,", 1) for row in rows]
    path.write_text("\n".join([head, *floats, ",,", ",,"]) + "\n")
    faces = read_faces(path, FER)
    assert faces.labels.tolist() == [code for _, code in samples.rows]
    assert "2 rows with only empty fields were skipped" in faces.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"emotion;pixels;Usage\n0;1;Training\n", "row 0 .line 2.: the row has 1 pixels"),
        (b"emotion\tpixels\n0\t1\n", "row 0 .line 2.: the row has 1 pixels"),
        (b"\x93NUMPY\x01\0v\0" + b"x" * 99 + b"\n", r"a NumPy array \(\.npy\)"),
        (b"PAR1\x15\x04\n", "a Parquet file"),
        (b"abc\0defghijklmnop\n", "a binary file"),
    ],
)
def test_files_that_are_no_csv_are_named(content, message, tmp_path):
    (tmp_path / "faces.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_faces(tmp_path / "faces.csv", FER)
