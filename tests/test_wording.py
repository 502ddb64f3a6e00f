"""Text of others is harmless in a terminal, a spreadsheet, Markdown and HTML."""

import shlex

import pytest

from fer_lightning.config.messages import refuse_lists
from fer_lightning.errors import UserError
from fer_lightning.wording import harmless, html, markdown, message, terminal, typed_path


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

    (word,) = shlex.split(typed_path("data.root", path))
    value = OverridesParser.create().parse_override(word).value()
    assert getattr(value, "text", value) == path


def test_a_list_of_options_of_a_group_is_refused_with_the_sweep_that_was_meant():
    with pytest.raises(UserError, match=r"loss=\[weighted, focal\]: a run has.* -m loss=weighted,focal for one"):
        refuse_lists(["seed=1", "loss=[weighted, focal]"])
    refuse_lists(["loss=focal", "ensemble=[a,b]", "optim.betas=[0.9,0.95]"])
