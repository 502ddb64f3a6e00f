"""The audit's page: complete, self-contained, and deaf to hostile names."""

import base64
import dataclasses
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from audit_tables import full_of_findings
from PIL import Image

from fer_lightning.audit import audit_page
from fer_lightning.audit.audit_page import pictures, render
from fer_lightning.audit.findings import facts, find

ABOUT = {
    "root": "data/fer2013",
    "folder": "data/fer2013/audit",
    "name": "three",
    "checksum": "c0ffee" * 10,
    "command": "python -m fer_lightning.data.audit data/fer2013",
    "files": {"clean_rows.csv": {"rows": 5, "holds": "rows"}, "audit.json": {"rows": None, "holds": "counts"}},
    "notes": [],
    "written": "2025-01-01T00:00:00+0000",
    "seconds": 1.0,
}
HOSTILE = "<script>alert('x')</script>\"' onerror=alert(1) style=\"--c: red\"><b>"


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(table, **about) -> Elements:
    findings = find(table)
    return Elements(render(findings, facts(findings), ABOUT | about))


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside_and_runs_nothing():
    elements = page_of(full_of_findings())
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in elements.tags}
    for tag, attributes in elements.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:image/png;base64,") or tag != "img"
    policy = next(a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "url(" not in elements.text
    assert "Do not publish it" in elements.text


def test_hostile_names_of_classes_files_and_folders_stay_text():
    table = full_of_findings(classes=("angry", HOSTILE, "sad"))
    table.source = np.array([f"{HOSTILE} {row}" for row in range(len(table))])
    sound = page_of(full_of_findings(classes=("angry", "boredom", "sad")), name="boredom", notes=["boredom"])
    hostile = page_of(table, name=HOSTILE, root=HOSTILE, folder=HOSTILE, command=HOSTILE, notes=[HOSTILE])
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in sound.tags]
    assert [sorted(a) for _, a in hostile.tags] == [sorted(a) for _, a in sound.tags]
    assert HOSTILE in hostile.text
    styles = {attributes.get("style") for _, attributes in hostile.tags}
    assert not any("alert" in (style or "") for style in styles)


def test_the_summary_tells_what_it_means_in_figures():
    text = page_of(full_of_findings()).text
    assert "2 of 12 PrivateTest images (16.7 %) are also Training images, byte for byte; 1 of them have the" in text
    assert "5 PrivateTest rows are clean" in text
    assert "1 of 4 groups of identical images have different labels" in text


def test_pictures_of_every_kind_of_finding_are_shown():
    found = pictures(find(full_of_findings()))
    assert [[face.usage for face in card.faces] for card in found["across"]] == [
        ["Training", "PrivateTest"],
        ["Training", "PrivateTest"],
        ["PublicTest", "PrivateTest"],
    ]
    assert [card.conflict for card in found["across"]] == [True, False, False]
    assert [[face.label for face in card.faces] for card in found["conflicts"]] == [["angry", "sad"]]
    assert len(found["near"]) == 2
    assert [card.note.endswith("mirrored") for card in found["mirrored"]] == [True]
    assert [[face.label for face in card.faces] for card in found["near_conflicts"]] == [["angry", "happy"]]
    assert len(found["blanks"]) == 2
    assert [face.note for face in found["not_faces"]] == ["5 of 10"]
    assert found["dark"][0].note.endswith("*")
    votes = [face.votes for face in dict(found["contradicted"])["happy"]]
    assert votes == [(("anger", 10, False), ("happiness", 0, True)), (("contempt", 10, False), ("happiness", 0, True))]


def test_a_picture_is_shown_with_its_own_pixels():
    table = full_of_findings()
    face = pictures(find(table))["across"][0].faces[0]
    image = Image.open(io.BytesIO(base64.b64decode(face.source.split(",")[1])))
    assert np.array_equal(np.asarray(image), table.pixels[int(re.match(r"row (\d+)", face.title)[1])])


def test_a_page_of_a_table_without_any_finding_says_so():
    table = full_of_findings(votes=False)
    rows = np.array([2, 7, 8, 9, 11, 12, 13, 14])
    names = ("pixels", "labels", "usage", "source", "digests")
    text = page_of(dataclasses.replace(table, **{name: getattr(table, name)[rows] for name in names})).text
    assert "No two rows hold the same image" in text
    assert "No image has two labels" in text
    assert "Without FER+ votes, this audit cannot check whether every image shows a face" in text
    assert "Labels and the votes of ten people" not in text
    assert "No copies and no conflicting labels distort a metric" in text


def test_long_lists_are_cut_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(audit_page, "ROWS_OF_GROUP", 2)
    monkeypatch.setattr(audit_page, "GROUPS", 1)
    table = full_of_findings()
    table.pixels[[7, 8]] = table.pixels[0]
    table.labels[29] = table.labels[1]
    cards = pictures(find(dataclasses.replace(table, digests=None)))["across"]
    assert len(cards) == 1
    assert [face.usage for face in cards[0].faces] == ["Training", "PrivateTest"]
    assert cards[0].note == "and 2 more"


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1400])
def test_the_page_fits_a_browser_window(width, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium")
    findings = find(full_of_findings())
    page = render(findings, facts(findings), ABOUT)
    asking = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    page = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", asking)
    (tmp_path / "page.html").write_text(page)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    dumped = subprocess.run([*command, f"file://{tmp_path / 'page.html'}"], capture_output=True, text=True, timeout=240)
    needed, given = map(int, re.search(r"<title>(\d+) of (\d+)</title>", dumped.stdout).groups())
    assert needed <= given
