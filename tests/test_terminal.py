"""The progress bar and the tables of the commands."""

import io
from collections import Counter

import pytest
from conftest import shown
from rich.console import Console

from fer_lightning.collect.steps import tally
from fer_lightning.collect.store.funnel import Funnel
from fer_lightning.evaluation.after_training import _main_table
from fer_lightning.evaluation.tables import metric_table
from fer_lightning.terminal import progress_bar


def test_a_terminal_shows_the_progress():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with progress_bar("reading", console) as progress:
        progress(3, 10)
    assert "reading" in console.file.getvalue()
    assert "3/10" in console.file.getvalue()


def test_without_a_terminal_nothing_is_shown(capsys):
    with progress_bar("reading") as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


QUERY = "a teenager who is frustrated by a difficult puzzle on a computer screen, close-up, photograph"
RUN = "outputs/fer2013_cpu/augment-strong_loss-class_balanced_model.dropout-0.25_6abffa6f2a_seed-0"
REACHED = Funnel(
    QUERY, "en", Counter(dict.fromkeys(tally.STAGES, 123_456)), Counter({(tally.STAGES[1], QUERY): 123_456})
)


def members():
    table = metric_table("Members, accuracy in %", "views", "validation", "test")
    table.add_row(RUN, "ten_crop", "14.29", "14.29")
    return table


def of_a_run():
    row = {"epoch": 60, "val/acc": 0.7, "val/ce": 1.0}
    speed = {"seconds": 360_000.0, "images_per_second": 12_345.0}
    summary = {"name": RUN, "seed": 4096, "epochs": 60, "best": row, "parameters": {"total": 80_000_000}}
    return _main_table(summary | speed | {"overfitting_gap": {"best": 0.1, "last": 0.2}})


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        (members, ["ten_crop", "14.29", "seed-0"]),
        (of_a_run, ["70.00 %", "80,000,000", "360000 s, 12345 images/s"]),
        (lambda: tally.funnel_table([REACHED, REACHED]), ["123,456", "246,912", "photograph"]),
        (lambda: tally.loss_table(REACHED), ["123,456", "photograph"]),
        (lambda: tally.class_table({"frustration_with_a_machine": Counter(Training=123_456)}), ["123,456"]),
    ],
)
def test_no_table_is_wider_than_80_characters_or_cuts_a_cell(table, kept):
    text = shown(table())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for cell in kept:
        assert cell in text
