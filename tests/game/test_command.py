"""`python -m fer_lightning.game` starts the live server and opens the game."""

import os
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar

import pytest
from conftest import ROOT


def start(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "fer_lightning.game", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_its_address_opens_the_game_and_ctrl_c_ends_it(tmp_path):
    process = start("port=0", f"folder={tmp_path}")
    try:
        address = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        answer = browser.open(address, timeout=30)
        assert answer.url.endswith("/game")
        assert "Bit by Bit" in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert "Traceback" not in said
