"""The files of the live page are complete, and follow the Content-Security-Policy."""

import re

import pytest
from conftest import ROOT

PAGES = {
    "live": ROOT / "fer_lightning/live/page",
    "shared": ROOT / "fer_lightning/web/page",
    "faces": ROOT / "fer_lightning/faces/page",
    "site": ROOT / "fer_lightning/site/page",
}
FILES = [path for folder in PAGES.values() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_needs_what_the_browser_is_forbidden(path):
    text = path.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", text)
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)
    if path.suffix in (".css", ".js"):
        assert not re.search(r"@import|url\(|setAttribute\(\"style", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path):
    names = re.findall(r"(?:from|href=|src=)\s*\"((?:/live/|/shared/|/faces/|\./|\.\./)[^\"]+)\"", path.read_text())
    for name in names:
        if "/runtime/" in name:
            assert (ROOT / "fer_lightning/web/runtime" / f"{name.rpartition('/')[2]}.gz").is_file()
            continue
        folder, _, file = name.removeprefix("..").removeprefix("/").rpartition("/")
        assert (path.parent if folder == "." else PAGES[folder]).joinpath(file).is_file(), name


def test_every_place_that_the_script_fills_is_in_the_page():
    script, page = (PAGES["live"] / "live.js").read_text(), (PAGES["live"] / "index.html").read_text()
    places = set(re.findall(r"\$\(\"([\w-]+)\"\)", script))
    assert places
    assert places <= set(re.findall(r"id=\"([\w-]+)\"", page))
