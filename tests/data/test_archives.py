"""Archives are read in place, within bounds, and nothing of them is written anywhere."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from fer_forms import Samples, tarred, zipped

from fer_lightning.data.readers import files
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

FER = TAXONOMIES["fer2013"]


@pytest.mark.parametrize("name", ["../outside.csv", "/fer2013.csv", "train/../../x.csv"])
def test_archive_members_pointing_outside_are_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "emotion,pixels\n")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    for path in (tmp_path / "bad.zip", tmp_path / "bad.tar"):
        with pytest.raises(UserError, match="points outside the archive"):
            read_faces(path, FER)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_archives_are_not_followed(kind, tmp_path):
    secret = tmp_path / "fer2013.csv"
    Samples().csv(secret)
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("fer2013.csv")
        link.type, link.linkname = kind, str(secret)
        archive.addfile(link)
    with pytest.raises(UserError, match=r"there must be fer2013\.csv.*it holds nothing"):
        read_faces(tmp_path / "links.tar", FER)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archives_that_end_too_early_are_named(kind, tmp_path):
    csv = Samples().csv(tmp_path / "fer2013.csv")
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    if kind == "zip":
        zipped(csv, whole)
    else:
        with tarfile.open(whole, "w:" + kind[4:]) as archive:
            archive.add(csv, "fer2013.csv")
    assert len(read_faces(whole, FER).labels) == 63
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"cut\.{kind}: (the file begins like a|the archive is damaged)"):
        read_faces(cut, FER)


def test_bytes_that_were_changed_inside_an_archive_are_noticed(tmp_path):
    path = zipped(Samples().csv(tmp_path / "fer2013.csv"), tmp_path / "csv.zip")
    data = bytearray(path.read_bytes())
    place = data.index(b" ", 20_000) + 1
    data[place] = ord("1") if data[place] != ord("1") else ord("2")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"the archive is damaged \(Bad CRC-32 for file 'fer2013.csv'\)"):
        read_faces(path, FER)


def lying_zip(path: Path, name: str, content: bytes, claimed: int) -> Path:
    """A zip whose headers give another size than the member has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\3\4") + 22, claimed)
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, claimed)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "size", "claimed", "message"),
    [
        ("happy/a.png", 50 << 20, 1000, "Bad CRC-32"),
        ("fer2013.csv", 50 << 20, 1000, "Bad CRC-32"),
        ("happy/a.png", 50 << 20, 50 << 20, r"happy/a\.png: the file is larger than 32 MiB"),
    ],
)
def test_a_member_is_read_no_further_than_its_bounds(name, size, claimed, message, tmp_path):
    path = lying_zip(tmp_path / "bomb.zip", name, bytes(size), claimed)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=message):
        read_faces(path, FER)


@pytest.mark.parametrize(("method", "number"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)])
def test_packing_that_cannot_be_unpacked_in_bounds_is_refused(method, number, tmp_path):
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", method) as archive:
        archive.writestr("fer2013.csv", bytes(1000))
    with pytest.raises(UserError, match=f"'fer2013.csv' is packed with method {number}"):
        read_faces(tmp_path / "odd.zip", FER)


@pytest.mark.parametrize(
    ("kind", "limit", "value"),
    [
        ("zip", "MAX_FILES", 62),
        ("tar.gz", "MAX_FILES", 62),
        ("zip", "MAX_BYTES", 1000),
        ("tar.gz", "MAX_BYTES", 1000),
        ("zip", "MAX_DIRECTORY", 1000),
    ],
)
def test_what_holds_far_too_much_is_refused_before_it_is_read(kind, limit, value, tmp_path, monkeypatch):
    folder = Samples().folders(tmp_path / "fer")
    path = {"zip": zipped, "tar.gz": tarred}[kind](folder, tmp_path / f"fer.{kind}")
    monkeypatch.setattr(files, limit, value)
    with pytest.raises(UserError, match=r"holds more than .* unpack the archive yourself|headers .* are larger"):
        read_faces(path, FER)


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("packed", [True, False])
def test_a_header_of_a_tar_is_read_no_further_than_its_bounds(kind, packed, tmp_path):
    path = tmp_path / "bomb.tar"
    with (gzip.open if packed else open)(path, "wb") as file:
        file.write(header(kind, 64 << 20) + bytes(64 << 20) + bytes(1024))
    with pytest.raises(UserError, match=r"bomb\.tar: the headers of the archive are larger than 1 MiB"):
        read_faces(path, FER)


def test_a_chain_of_headers_is_refused(tmp_path):
    record = b"20 comment=xxxxxxxx\n"
    link = header(tarfile.XHDTYPE, len(record)) + record.ljust(512, b"\0")
    (tmp_path / "chain.tar").write_bytes(link * 3000 + bytes(1024))
    with pytest.raises(UserError, match=r"chain\.tar: (the archive is damaged|the headers of the archive)"):
        read_faces(tmp_path / "chain.tar", FER)


def test_sparse_members_and_odd_names_are_refused(tmp_path):
    (tmp_path / "sparse.tar").write_bytes(header(tarfile.GNUTYPE_SPARSE, 0) + bytes(1024))
    with pytest.raises(UserError, match="'x' is a sparse file"):
        read_faces(tmp_path / "sparse.tar", FER)
    (tmp_path / "name.tar").write_bytes(header(tarfile.REGTYPE, 0, "\x1b[2J.csv") + bytes(1024))
    with pytest.raises(UserError, match=r"the name of a member, '\\x1b\[2J.csv', is not"):
        read_faces(tmp_path / "name.tar", FER)


def test_a_locked_zip_is_named(tmp_path):
    path = zipped(Samples().csv(tmp_path / "fer2013.csv"), tmp_path / "locked.zip")
    data = bytearray(path.read_bytes())
    for magic, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + place] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"locked\.zip: .*password required.*unpack the archive yourself"):
        read_faces(path, FER)


def test_reading_an_archive_writes_nothing(tmp_path):
    path = tarred(Samples().folders(tmp_path / "source" / "fer"), tmp_path / "fer.tar.gz")
    before = sorted(tmp_path.rglob("*"))
    read_faces(path, FER)
    assert sorted(tmp_path.rglob("*")) == before
