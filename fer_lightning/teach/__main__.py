"""Write a file of soft training targets: mean predictions of finished runs for rows that they were not trained on.

    python train.py -m name=teacher data.split=training_fold data.fold=0,1,2,3,4
    python -m fer_lightning.teach 'runs=[outputs/teacher/*seed-*]' out=teacher.npz
    python train.py data.labels=teacher data.teacher=teacher.npz

The runs must have the same data, classes, data.split_seed and data.folds. For each Training row, the file contains the
SHA-256 of its pixels and the mean probabilities of the runs that tested it. It also lists each run with its commit and
accuracies. PrivateTest is not read.
"""

from pathlib import Path

from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.data.teacher import Teacher, write_teacher
from fer_lightning.errors import UserError
from fer_lightning.evaluation.ensemble import expand, percent
from fer_lightning.paths import CONF
from fer_lightning.teach.folds import average_runs, read_fold_run
from fer_lightning.teach.settings import TeachSettings
from fer_lightning.wording import typed

COMMAND = Command(
    "python -m fer_lightning.teach", TeachSettings, CONF / "teach.yaml", example="'runs=[outputs/teacher/*seed-*]'"
)
SUFFIX = ".npz"


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("teach", "Nothing is half written"):
        overrides = command.read_arguments(COMMAND, __doc__, arguments)
        teach(config(overrides))


def config(overrides: list[str]) -> TeachSettings:
    """Return the settings of the command line. Raise UserError if they cannot be used."""
    settings = command.settings(COMMAND, overrides)
    if Path(settings.out).suffix != SUFFIX or Path(settings.out).is_dir():
        raise UserError(f"out={settings.out}: must be a file that ends in {SUFFIX}. E.g. out=teacher{SUFFIX}")
    return settings


def teach(settings: TeachSettings) -> None:
    """Write the teacher file and print its members."""
    teacher = average_runs([read_fold_run(path) for path in expand(settings.runs, key="runs")])
    write_teacher(Path(settings.out), teacher)
    show(teacher)
    print(f"teacher: {settings.out}, {len(teacher.digests):,} distinct images, checksum {teacher.checksum()[:12]}")
    print(f"next: python train.py data.labels=teacher {typed('data.teacher', settings.out)}")


def show(teacher: Teacher) -> None:
    """Print each member with its fold and accuracies."""
    for member in teacher.members:
        print(
            f"fold {member['fold']} of {member['folds']}: PublicTest {percent(member['val/acc'])} %, "
            f"its fold {percent(member['fold/acc'])} %: {member['run']}, tta={member['tta']}"
        )


if __name__ == "__main__":
    main()
