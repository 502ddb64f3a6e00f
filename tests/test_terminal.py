"""The progress bar and the tables of the commands."""

import io
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from conftest import ROOT, shown
from rich.console import Console

from fer_lightning.audit import audit
from fer_lightning.collect.steps import tally
from fer_lightning.collect.store.funnel import Funnel
from fer_lightning.data import ingest
from fer_lightning.evaluation.after_training import _main_table
from fer_lightning.evaluation.paired import difference_table
from fer_lightning.evaluation.tables import SETS, class_table, metric_table, set_table
from fer_lightning.export.__main__ import content_table
from fer_lightning.labels import USAGES
from fer_lightning.predict.__main__ import label_table
from fer_lightning.simulate.__main__ import policy_table
from fer_lightning.simulate.study import COMPARED, MetricValue
from fer_lightning.statistics.metrics import CLASS_METRICS, NAMES
from fer_lightning.terminal import plain_console, progress_bar


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


@pytest.mark.parametrize("name", ["data.classes=[happy,sad]", "a[/b]", ":smile:", "[bold]"])
def test_a_console_prints_names_as_they_are(capsys, name):
    plain_console().print(f"{name} is a run", metric_table("all rows", name))
    assert capsys.readouterr().out.count(name) == 2


def test_all_consoles_print_names_as_they_are():
    made = [path.name for path in (ROOT / "fer_lightning").rglob("*.py") if re.search(r"\bConsole\(", path.read_text())]
    assert made == ["terminal.py"]


QUERY = "a teenager who is frustrated by a difficult puzzle on a computer screen, close-up, photograph"
RUN = "outputs/fer2013_cpu/augment-strong_loss-class_balanced_model.dropout-0.25_6abffa6f2a_seed-0"
REACHED = Funnel(
    QUERY, "en", Counter(dict.fromkeys(tally.STAGES, 123_456)), Counter({(tally.STAGES[1], QUERY): 123_456})
)


def members():
    table = metric_table("Members, accuracy in %", "views", "validation", "test")
    table.add_row(RUN, "ten_crop", "14.29", "14.29")
    return table


ROWS = 1_234_567
CERTAIN = {"value": 1.0, "low": 1.0, "high": 1.0}
LONG_CLASS = "frustration_with_a_machine"


def findings():
    copies = {"exact": ROWS, "exact_or_near_or_mirrored": ROWS}
    return {
        "exact_copies": {"redundant_rows": ROWS, "groups_blanks_apart": ROWS},
        "label_conflicts": {"conflicting_groups": ROWS},
        "copies_across_usages": {"PrivateTest": {"Training": copies, "PublicTest": copies}},
        "near_copies": {"looked_for": True, "image_pairs": {"as_it_is": ROWS, "mirrored": ROWS}},
        "blanks": {"PrivateTest": ROWS},
        "light": {"outliers": {"PrivateTest": ROWS}},
        "votes": {"by_usage": {"PrivateTest": {"not_a_face": ROWS, "agreement": 1.0}}},
        "clean_rows": dict.fromkeys(audit.LISTS, ROWS),
    }


def audited():
    return audit.counts_table({"rows": ROWS, "name": "fer2013", "findings": findings()})


def audited_without_votes():
    return audit.counts_table({"rows": ROWS, "name": "fer2013", "findings": findings() | {"votes": None}})


def ingested():
    counts = {usage: {LONG_CLASS: ROWS} for usage in USAGES}
    return ingest.counts_table({"rows": 3 * ROWS, "classes": [LONG_CLASS], "counts": counts})


def evaluated():
    entry = {"rows": ROWS} | dict.fromkeys(NAMES, CERTAIN)
    return set_table(dict.fromkeys(SETS, entry), "Test rows, split=official, in % with 95 % intervals")


def evaluated_by_class():
    entry = {"rows": ROWS} | dict.fromkeys(CLASS_METRICS, CERTAIN)
    return class_table({"classes": {LONG_CLASS: entry}}, "Test rows by class, in % with 95 % intervals")


def compared():
    widest = {"a": 1.0, "b": 1.0, "difference": -1.0, "low": -1.0, "high": -1.0, "b_is": "no difference shown"}
    return difference_table(dict.fromkeys(NAMES, widest), "1,234,567 clean rows, tta=ten_crop, in %")


def simulated():
    arm = SimpleNamespace(name="performance, camera off")
    return policy_table([SimpleNamespace(arm=arm, metrics=dict.fromkeys(COMPARED, MetricValue(1.0, 1.0, 1.0)))])


def of_a_run():
    row = {"epoch": 60, "val/acc": 0.7, "val/ce": 1.0}
    speed = {"seconds": 360_000.0, "images_per_second": 12_345.0}
    summary = {"name": RUN, "seed": 4096, "epochs": 60, "best": row, "parameters": {"total": 80_000_000}}
    return _main_table(summary | speed | {"overfitting_gap": {"best": 0.1, "last": 0.2}})


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        (members, ["ten_crop", "14.29", "seed-0"]),
        (audited, ["1,234,567", "100.0 %", "clean test rows"]),
        (audited_without_votes, ["clean test rows (without FER+ votes"]),
        (ingested, [LONG_CLASS, "1,234,567", "PrivateTest"]),
        (evaluated, ["100.00 [100.0, 100.0]", "1.000 [1.00, 1.00]", "1,234,567 rows"]),
        (evaluated_by_class, ["100.00 [100.0, 100.0]", "1,234,567"]),
        (compared, ["−100.00, −100.00]", "no difference shown"]),
        (lambda: content_table({"file": f"{RUN}/face.onnx", "confidence": 40 * "temperature "}), ["face.onnx"]),
        (lambda: label_table({LONG_CLASS: ROWS, "not sure": 1}), [LONG_CLASS, "1,234,567"]),
        (simulated, ["100.0 [100.0, 100.0]", "camera off"]),
        (of_a_run, ["70.00 %", "80,000,000", "360000 s, 12345 images/s"]),
        (lambda: tally.funnel_table([REACHED, REACHED]), ["123,456", "246,912", "photograph"]),
        (lambda: tally.loss_table(REACHED), ["123,456", "photograph"]),
        (lambda: tally.class_table({LONG_CLASS: Counter(Training=123_456)}), ["123,456"]),
    ],
)
def test_no_table_is_wider_than_80_characters_or_cuts_a_cell(table, kept):
    text = shown(table())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for cell in kept:
        assert cell in text
