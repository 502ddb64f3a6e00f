"""The real set in its forms; FER2013_SOURCE names the folder with the `materialize.py` that writes them."""

from real_fer2013 import NEEDS_FER2013, materialize

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.store import open_store

COUNTS = {
    "Training": [3995, 436, 4097, 7215, 4830, 3171, 4965],
    "PublicTest": [467, 56, 496, 895, 653, 415, 607],
    "PrivateTest": [491, 55, 528, 879, 594, 416, 626],
}
# Sizes, unseen and clean test rows, and the checksum, which must never change under anybody's runs.
SPLITS = {
    "official": ([28709, 3589, 3589], 3274, 3140, "cbdda92003"),
    "official_dedup": ([27641, 3589, 3589], 3544, 3498, "0d3fb880f9"),
    "clean": ([23671, 5074, 5070], 5070, 5070, "3a74dcc6c1"),
    "fold": ([21529, 7179, 7179], 7179, 7141, "015c555987"),
    "training_fold": ([22964, 3589, 5745], 5681, 5593, "d369c56d08"),
    "stratified": ([25121, 5383, 5383], 4926, 4752, "31380647b6"),
}

pytestmark = NEEDS_FER2013


def test_real_fer2013_has_its_classes_and_its_checksum(real_store):
    manifest = open_store(real_store).manifest
    assert {usage: list(counts.values()) for usage, counts in manifest["counts"].items()} == COUNTS
    assert manifest["checksum"].startswith("3a18c0bee976")


def test_all_forms_have_one_checksum(tmp_path):
    rows = f"--rows={sum(COUNTS['Training']) - 1000}:{sum(COUNTS['Training']) + 1000}"
    forms = {"csv": "fer2013.csv", "icml": "icml_face_data.csv", "folders": "folders"}
    files = {form: str(materialize(form, tmp_path / name, rows)) for form, name in forms.items()}
    checksums = {ingest(file, str(tmp_path / f"store-{form}")).manifest["checksum"] for form, file in files.items()}
    assert len(checksums) == 1


def test_real_fer2013_has_the_rows_of_each_split(real_store):
    faces = load(str(real_store))
    assert faces.name == "fer2013"
    for name, (sizes, unseen, clean, checksum) in SPLITS.items():
        split = make_split(faces, name, fold=0)
        judged = judge_test_rows(faces, split)
        assert [len(split.train), len(split.val), len(split.test)] == sizes, name
        assert [judged.unseen.sum(), judged.clean.sum()] == [unseen, clean], name
        assert split.checksum.startswith(checksum), name
    assert "test images are byte-identical to a training image" in make_split(faces, "stratified").notes[0]
