"""The checker reports faults of prose in every kind of file, and ignores code."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from scripts import check_language

WORD = re.compile(r"\\b([a-z]+)\\b")  # pattern of the checker for one word


def faults(path, text):
    path.write_text(text)
    return check_language.check(path)


@pytest.mark.parametrize(
    ("name", "text", "line", "fault"),
    [
        ("a.py", 'class Study:\n    """Of one policy."""\n', 2, "docstring begins with 'Of'"),
        ("a.py", '"""Whether it fits."""\n', 1, "docstring begins with 'Whether'"),
        ("a.py", "x = 1  # the address is none\n", 1, "'is none': write a positive statement"),
        ("a.py", 'raise ValueError(f"{path} is no run folder")\n', 1, "'is no run': write 'is not a ...'"),
        ("a.py", '"""Return\n\n    None if there is none.\n    """\n', 3, "'is none': write"),
        ("a.py", "print(f\"{'stands in' if twice else 'it is held against'} x\")\n", 1, "'stands in': write 'is'"),
        ("a.yaml", "cost: 1\nslope: 2  # of the change\n", 2, "comment begins with 'of'"),
        ("a.yaml", "what: the folder alone\n", 1, "'alone': write 'only'"),
        ("a.yaml", "# pictures per second\nrate: 1\n", 1, "'pictures': write 'image'"),
        ("a.js", "const anew = 1;\nshow(`Begin ${count} anew`);\n", 2, "'anew': write 'again'"),
        ("a.js", "/* one\n   and alone */\n", 2, "'alone': write 'only'"),
        ("a.html", "<p>{{ 'in words' if votes else 'No picture is' }}</p>\n", 1, "'in words': write"),
        ("a.md", "One idea.\n\nThe same command goes on.\n", 3, "'goes on': write 'continue' or 'resume'"),
        ("a.py", "def find(self, known):\n    return known\n", 1, "name 'known': use a noun"),
        ("a.py", "if 1:\n    left = _place = 1\n", 2, "name '_place'"),
        ("a.py", "left = [what for left, what in pairs]\n", 1, "name 'what'"),
        ("a.py", "def find(self):\n    self.licence_known = True\n", 2, "name 'licence_known'"),
        ("a.py", "async def _told():\n    pass\n", 1, "name '_told'"),
        ("a.py", "class Found:\n    NOT_FOUND: int\n", 2, "name 'NOT_FOUND'"),
        ("a.py", "import re as fitting\n", 1, "name 'fitting'"),
        ("a.py", "figure = entry['acc']\n", 1, "name 'figure': a figure is a plot"),
        ("Makefile", "live:  ## a page for whoever asks\n", 1, "'whoever': write"),
    ],
)
def test_a_fault_is_reported_with_its_line_and_the_fix(name, text, line, fault, tmp_path):
    path = tmp_path / name
    assert any(message.startswith(f"{path}:{line}: {fault}") for message in faults(path, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "alone = picture = 1\nmend(alone, 'anew', pictures['picture'])\nassert picture is None\n"),
        (
            "a.py",
            "print(f'{alone} images in {picture.folder}', 'docs/pictures', '--no-pictures x', 'in_words x')\n",
        ),
        ("a.py", '"""Return None if it is missing.\n\n    `anew` is a name; as in https://host/alone/1.\n    """\n'),
        ("a.py", "unknown = place_of = overfitting = {'known': row.found}\nfind(known=known, what='a fitting one')\n"),
        ("a.py", "from matplotlib.figure import Figure\n\nfigure = Figure()\n"),
        ("a.yaml", "alone: 1  # seconds between images; null: none\npictures:\n  mend: 2\n"),
        ("a.yaml", "# Slope between states,\n# in logits per level.\nslope: 1\n"),
        ("a.js", "const alone = picture.mend($('picture'));\n"),
        ("a.css", ".pictures .alone { color: red; }\n"),
        ("a.html", '<div class="pictures">{% if pictures.near %}{{ cards(pictures) }}{% endif %}</div>\n'),
        ("Makefile", "report:\n\trun $(if $(PICTURES),--no-pictures) pictures=no\n"),
    ],
)
def test_code_and_plain_english_are_no_faults(name, text, tmp_path):
    assert faults(tmp_path / name, text) == []


def test_docstrings_and_comments_of_tests_are_checked_and_their_strings_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(check_language, "ROOT", tmp_path)
    path = tmp_path / "tests" / "test_a.py"
    path.parent.mkdir()
    head = min(check_language.NO_HEAD)
    pattern, wording = next((one, of_it) for one, of_it in check_language.BANNED.items() if WORD.fullmatch(one))
    banned = WORD.fullmatch(pattern)[1]
    text = f'"""{head} a page."""\nanswer = "{banned}"  # the page {banned}\n'
    assert faults(path, text) == [
        f"tests/test_a.py:1: docstring begins with '{head}': begin with a verb or a noun phrase",
        f"tests/test_a.py:2: '{banned}': write {wording}",
    ]


def test_an_exception_is_honoured(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    text = "The proverb says: what goes on, ends.\nIt goes on.\n"
    monkeypatch.setitem(check_language.EXCEPTIONS, (str(path), text.splitlines()[0]), "a quotation")
    assert faults(path, text) == [f"{path}:2: 'goes on': write 'continue' or 'resume'"]


def test_every_exception_has_a_reason_and_a_line():
    for (name, line), reason in check_language.EXCEPTIONS.items():
        assert reason
        assert line in [text.strip() for text in (ROOT / name).read_text().splitlines()]


def test_the_command_checks_the_named_paths():
    command = [sys.executable, "scripts/check_language.py", "fer_lightning/losses", "conf/loss", "Makefile"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "language: no fault\n")
