"""Text of others is harmless in a terminal, a spreadsheet, Markdown and HTML."""

import csv
import shlex

import pytest

from fer_lightning.config.messages import refuse_lists
from fer_lightning.errors import UserError
from fer_lightning.files import write_csv
from fer_lightning.wording import harmless, html, markdown, markdown_table, message, terminal, typed


@pytest.mark.parametrize("sign", "=+-@＝＋－＠﹢﹣﹫\t\r\n")
def test_no_cell_is_read_as_a_formula(sign):
    for text in (f"{sign}1+1", f" {sign}1", f"\u3000{sign}1"):
        assert harmless(text).startswith("'")
    assert harmless(-1.5) == -1.5
    assert harmless("Ann - 1") == "Ann - 1"


def test_nothing_controls_a_terminal():
    hostile = "a\x1b]0;x\x07\x9b31m\u202egnp.exe\u2066\r\nb\ud800\x7f"
    for text in (terminal(hostile), message(hostile), harmless(hostile), markdown(hostile), html(hostile)):
        assert not set("\x1b\x07\x9b\u202e\u2066\r\ud800\x7f") & set(text)
    assert "\n" not in terminal(hostile)
    assert message("two\nlines") == "two\nlines"
    names = "Zoë 顔 👩\u200d🔬 می\u200cخواهم"
    assert terminal(names) == harmless(names) == names


def test_no_markup_is_active():
    hostile = "<img src=x onerror=alert(1)> [a](javascript:x) `x` | **b** &lt;"
    assert html(hostile + "\"'").count("<") == 0
    assert not set("\"'") & set(html("\"'"))
    text = markdown(hostile)
    assert "<" not in text
    assert r"\[a\]" in text
    assert r"\`x\` \|" in text
    assert "&amp;lt;" in text


PATHS = ("plain/path-1.csv", "a b", "größe=1, 100% #ü 顔", "it's", 'say "x"', "~/fer", "$HOME\\")


@pytest.mark.parametrize("path", PATHS)
def test_a_printed_path_can_be_pasted(path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (word,) = shlex.split(typed("data.root", path))
    value = OverridesParser.create().parse_override(word).value()
    assert getattr(value, "text", value) == path


def test_a_list_of_options_of_a_group_is_refused_with_the_sweep_that_was_meant():
    with pytest.raises(UserError, match=r"loss=\[weighted, focal\]: a run has.* -m loss=weighted,focal for one"):
        refuse_lists(["seed=1", "loss=[weighted, focal]"])
    refuse_lists(["loss=focal", "ensemble=[a,b]", "optim.betas=[0.9,0.95]"])


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
