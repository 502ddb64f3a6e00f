"""Untrusted text in tables: CSV cells that a spreadsheet does not execute, Markdown that keeps its columns."""

import csv

import pytest

from fer_lightning.files import write_csv
from fer_lightning.wording import harmless, markdown, markdown_table

CELLS = {
    "=1+1": "'=1+1",
    "-1+cmd|' /C calc'!A0": "'-1+cmd|' /C calc'!A0",
    "@sum": "'@sum",
    "+49 30": "'+49 30",
    "-0.25": "-0.25",
    "+1e-05": "+1e-05",
    "a=b": "a=b",
    "": "",
}


@pytest.mark.parametrize(("text", "cell"), CELLS.items(), ids=repr)
def test_a_formula_is_text_and_a_number_is_a_number(text, cell):
    assert harmless(text) == cell


def test_a_csv_file_is_read_back_as_it_was_written(tmp_path):
    rows = [("a,b", 'c"d', "two\nlines"), (-0.5, None, "=x")]
    write_csv(tmp_path / "new" / "table.csv", ("one", "two", "three"), rows)
    with open(tmp_path / "new" / "table.csv", newline="") as file:
        assert list(csv.reader(file)) == [["one", "two", "three"], ["a,b", 'c"d', "two\nlines"], ["-0.5", "", "'=x"]]


def test_a_row_that_cannot_be_made_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ["old"], [])
    with pytest.raises(ZeroDivisionError):
        write_csv(path, ["new"], ([1 / number] for number in (1, 0)))
    assert path.read_text() == "old\n"


def test_no_cell_breaks_a_markdown_table():
    cells = ("a|b", markdown("a|b"), "two\nlines", r"\\|", 3)
    assert markdown_table(("head", *"1234"), [cells], numbers=True).splitlines() == [
        "| head | 1 | 2 | 3 | 4 |",
        "| --- | ---: | ---: | ---: | ---: |",
        r"| a\|b | a\|b | two lines | \\\| | 3 |",
    ]
