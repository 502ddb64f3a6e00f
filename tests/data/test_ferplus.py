"""FER+ votes: their file, their place beside the faces, and what is made of them."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from fer_forms import Samples

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ferplus import COLUMNS, not_a_face, plurality, vote_shares
from fer_lightning.data.ingest import ingest, main
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

CLASSES = TAXONOMIES["fer2013"].classes
BY_CLASS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def votes_for(samples: Samples) -> np.ndarray:
    """Six votes for each row's label, and as many for contempt as the row's number has digits."""
    votes = np.zeros((len(samples.rows), 10), np.uint8)
    for row, (_, code) in enumerate(samples.rows):
        votes[row, COLUMNS.index(BY_CLASS[code])] = 6
        votes[row, COLUMNS.index("contempt")] = len(str(row))
    return votes


def write(path: Path, samples: Samples, votes: np.ndarray, prefix: str = "") -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *(prefix + column for column in COLUMNS)])
        for row, (usage, _) in enumerate(samples.rows):
            writer.writerow([usage, f"fer{row:07d}.png", *votes[row]])
    return path


@pytest.fixture
def faces_csv(tmp_path) -> Path:
    return Samples().csv(tmp_path / "fer2013.csv")


@pytest.mark.parametrize("prefix", ["", "ferplus_"])
def test_each_row_gets_its_votes_whatever_the_stores_order(prefix, faces_csv, tmp_path):
    samples, root = Samples(), tmp_path / "store"
    votes = votes_for(samples)
    file = write(tmp_path / "votes.csv", samples, votes, prefix)
    plain = ingest(str(faces_csv), str(tmp_path / "plain")).manifest["checksum"]
    assert ingest(str(faces_csv), str(root), ferplus=str(file)).manifest["checksum"] == plain
    table = load(str(root))
    assert np.array_equal(table.votes, votes[table.source.astype(int)])
    assert load(str(tmp_path / "plain")).votes is None


def test_votes_stay_when_the_faces_alone_are_named_again(faces_csv, tmp_path):
    root, samples = tmp_path / "store", Samples()
    file = write(tmp_path / "votes.csv", samples, votes_for(samples))
    ingest(str(faces_csv), str(root), ferplus=str(file))
    assert "reused" in ingest(str(faces_csv), str(root)).outcome
    changed = Samples()
    changed.pixels[3, 3, 3] ^= 1
    changed.csv(faces_csv)
    assert "written again" in ingest(str(faces_csv), str(root)).outcome
    assert load(str(root)).votes is not None


def test_votes_can_be_dropped_and_their_file_may_be_missing(faces_csv, tmp_path):
    root, samples = tmp_path / "store", Samples()
    file = write(tmp_path / "votes.csv", samples, votes_for(samples))
    ingest(str(faces_csv), str(root), ferplus=str(file))
    file.unlink()
    assert "reused" in ingest(str(faces_csv), str(root)).outcome
    os.utime(faces_csv, ns=(0, 0))
    with pytest.raises(UserError, match=rf"FERPLUS={file}: the store was made with these votes, .* or use FERPLUS=no"):
        ingest(str(faces_csv), str(root))
    assert load(str(root)).votes is not None
    assert "written again" in ingest(str(faces_csv), str(root), ferplus="no").outcome
    assert load(str(root)).votes is None


def test_changed_votes_are_read_again(faces_csv, tmp_path):
    root, samples = tmp_path / "store", Samples()
    votes = votes_for(samples)
    file = write(tmp_path / "votes.csv", samples, votes)
    first = ingest(str(faces_csv), str(root), ferplus=str(file)).manifest["votes"]
    votes[4, 0] += 10
    write(file, samples, votes)
    assert ingest(str(faces_csv), str(root), ferplus=str(file)).manifest["votes"] != first


def test_plurality_counts_all_ten_columns_and_knows_only_the_classes():
    votes = np.zeros((4, 10), np.uint8)
    votes[0, COLUMNS.index("happiness")], votes[0, COLUMNS.index("anger")] = 6, 4
    votes[1, COLUMNS.index("contempt")], votes[1, COLUMNS.index("sadness")] = 6, 4
    votes[2, COLUMNS.index("NF")] = 5
    assert plurality(votes, CLASSES).tolist() == [CLASSES.index("happy"), -1, -1, -1]
    assert plurality(votes, TAXONOMIES["learning_game"].classes).tolist() == [3, -1, -1, -1]
    assert not_a_face(votes).tolist() == [False, False, True, False]


def test_vote_shares_are_shares_of_the_votes_for_the_classes():
    votes = np.zeros((3, 10), np.uint8)
    votes[0, COLUMNS.index("happiness")], votes[0, COLUMNS.index("fear")] = 6, 2
    votes[0, COLUMNS.index("contempt")] = 2
    votes[1, COLUMNS.index("unknown")] = 10
    soft = vote_shares(votes, np.array([0, 4, 6]), CLASSES)
    assert soft.tolist() == [[0, 0, 0.25, 0.75, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    assert soft.dtype == np.float32


def broken(file: Path, change) -> Path:
    file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"62 rows of votes for 63 faces"),
        (lambda lines: [lines[0], *reversed(lines[1:])], r"row \d+: its Usage differs|only \d+% of its votes"),
        (lambda lines: [lines[0].replace("NF", "nobody"), *lines[1:]], r"no column nf"),
        (
            lambda lines: [*lines[:5], lines[5].rsplit(",", 1)[0] + ",many", *lines[6:]],
            r"row 4: a vote count is 'many'",
        ),
        (lambda lines: [*lines[:5], "Training", *lines[6:]], r"row 4: "),
        (lambda lines: [*lines[:5], "Somewhere" + lines[5][8:], *lines[6:]], r"row 4: Usage is"),
    ],
)
def test_a_file_about_other_rows_is_refused_by_row(change, message, faces_csv, tmp_path):
    samples = Samples()
    file = broken(write(tmp_path / "votes.csv", samples, votes_for(samples)), change)
    with pytest.raises(UserError, match=message):
        ingest(str(faces_csv), str(tmp_path / "store"), ferplus=str(file))
    assert not list((tmp_path / "store").glob("rows-*"))


def test_votes_in_another_order_are_noticed(faces_csv, tmp_path):
    samples = Samples()
    same_usage = [row for row, (usage, _) in enumerate(samples.rows) if usage == "Training"]
    votes = votes_for(samples)
    for usage in ("Training", "PublicTest", "PrivateTest"):
        same_usage = [row for row, (of_row, _) in enumerate(samples.rows) if of_row == usage]
        votes[same_usage] = votes[same_usage[1:] + same_usage[:1]]
    file = write(tmp_path / "votes.csv", samples, votes)
    with pytest.raises(UserError, match=r"only \d+% of its votes agree"):
        ingest(str(faces_csv), str(tmp_path / "store"), ferplus=str(file))


def test_votes_go_with_the_csv_alone(tmp_path, capsys):
    samples = Samples()
    folders = samples.folders(tmp_path / "folders")
    file = write(tmp_path / "votes.csv", samples, votes_for(samples))
    assert main([str(folders), str(tmp_path / "store"), "--ferplus", str(file)]) == 2
    assert "row numbers of the complete fer2013.csv" in capsys.readouterr().err


def test_a_missing_votes_file_is_named(faces_csv, tmp_path, capsys):
    assert main([str(faces_csv), str(tmp_path / "store"), "--ferplus", str(tmp_path / "none.csv")]) == 2
    words = capsys.readouterr().err
    assert f"FERPLUS={tmp_path / 'none.csv'}: no such file." in words
    assert "FROM=" not in words
