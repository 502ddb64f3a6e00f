"""No network teaches a row of the real Training that it was trained on; FER2013_SOURCE as in test_real_fer2013."""

import os
import subprocess
import sys

from data.test_real_fer2013 import NEEDS_FER2013, SOURCE
from teacher_runs import fold_run
from test_folds import assert_nobody_teaches_what_it_was_trained_on, averaged

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest

pytestmark = NEEDS_FER2013


def test_all_of_training_is_taught(tmp_path):
    command = [sys.executable, str(SOURCE / "materialize.py"), "csv", str(tmp_path / "fer2013.csv")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    ingest(str(tmp_path / "fer2013.csv"), str(tmp_path / "store"))
    faces = load(str(tmp_path / "store"))
    runs = [fold_run(tmp_path / f"fold-{fold}", faces, fold, folds=5) for fold in range(5)]
    assert_nobody_teaches_what_it_was_trained_on(averaged(runs), faces)
