"""No network teaches a row of the real Training that it was trained on; FER2013_SOURCE as in test_real_fer2013."""

from real_fer2013 import NEEDS_FER2013
from teacher_runs import fold_run
from test_folds import assert_nobody_teaches_what_it_was_trained_on, averaged

from fer_lightning.data.fer2013 import load

pytestmark = NEEDS_FER2013


def test_all_of_training_is_taught(real_store, tmp_path):
    faces = load(str(real_store))
    runs = [fold_run(tmp_path / f"fold-{fold}", faces, fold, folds=5) for fold in range(5)]
    assert_nobody_teaches_what_it_was_trained_on(averaged(runs), faces)
