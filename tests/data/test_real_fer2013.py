"""The real set in its forms; FER2013_SOURCE names the folder with the `materialize.py` that writes them."""

import os
import subprocess
import sys

from real_fer2013 import NEEDS_FER2013, SOURCE

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split

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


def test_real_fer2013_has_one_checksum_in_all_forms(tmp_path):
    checksums = set()
    for form, name in (("csv", "fer2013.csv"), ("icml", "icml_face_data.csv"), ("folders", "folders")):
        command = [sys.executable, str(SOURCE / "materialize.py"), form, str(tmp_path / name)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
        votes = str(SOURCE / "labels.csv") if form == "csv" else None
        manifest = ingest(str(tmp_path / name), str(tmp_path / f"store-{form}"), ferplus=votes).manifest
        checksums.add(manifest["checksum"])
        assert {usage: list(counts.values()) for usage, counts in manifest["counts"].items()} == COUNTS
    assert len(checksums) == 1

    faces = load(str(tmp_path / "store-csv"))
    for name, (sizes, unseen, clean, checksum) in SPLITS.items():
        split = make_split(faces, name, fold=0)
        judged = judge_test_rows(faces, split)
        assert [len(split.train), len(split.val), len(split.test)] == sizes, name
        assert [judged.unseen.sum(), judged.clean.sum()] == [unseen, clean], name
        assert split.checksum.startswith(checksum), name
    assert "test images are byte-identical to a training image" in make_split(faces, "stratified").notes[0]
