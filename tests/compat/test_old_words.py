"""Command lines of earlier versions mean the same as their key=value form."""

import pytest

from fer_lightning.compat.old_words import OldForm

REPORT = OldForm(
    keys=("sweep",), options={"--out": "out", "--baseline": "baseline"}, flags={"--no-pictures": "pictures=no"}
)
COMPARE = OldForm(gathered="runs", options={"--tta": "tta"})


@pytest.mark.parametrize(
    ("form", "words", "new"),
    [
        (REPORT, ["outputs/a b"], ["sweep=outputs/a b"]),
        (REPORT, ["--no-pictures", "DIR", "--out=there"], ["sweep=DIR", "pictures=no", "out=there"]),
        (REPORT, ["DIR", "--out", "there"], ["sweep=DIR", "out=there"]),
        (REPORT, ["sweep=DIR", "pictures=no"], ["sweep=DIR", "pictures=no"]),
        (REPORT, ["./a=b"], ["sweep=./a=b"]),
        (COMPARE, ["A", "--tta", "flip", "B's"], [r"runs=['A','B\'s']", "tta=flip"]),
        (COMPARE, ["runs=[A,B]"], ["runs=[A,B]"]),
    ],
)
def test_former_words_get_their_keys(form, words, new):
    assert form.translate(words) == new


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["DIR", "--out"], ["DIR", "another"], ["DIR", "--nothing=1"]])
def test_words_that_were_never_allowed_stay_as_they_are(words):
    assert set(words) - {"DIR"} <= set(REPORT.translate(words))
