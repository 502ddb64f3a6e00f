"""`python -m fer_lightning.collect` as a user types it, over images that are drawn."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import requests
from collect_rows import drawn
from conftest import ROOT
from PIL import Image

from fer_lightning.collect.store.collection import now

COMMAND = [sys.executable, "-m", "fer_lightning.collect"]
# Images that are faces already and need no detector.
WHOLE = ("faces.kind=whole", "faces.min_face_px=48")


def draw_pictures(folder: Path, seeds: range, side: int = 128) -> Path:
    """A PNG of `side` pixels for each seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Image.fromarray(drawn(seed)).resize((side, side)).save(folder / f"{seed:05d}.png")
    return folder


def start(*words: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*words: str, status: int = 0, timeout: int = 120, **environment: str) -> str:
    """Return the output of the command, which must end with this status."""
    process = start(*words, **environment)
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == status, output
    return output


class Reviewer:
    """Somebody who decides in the page of a running `review`, by the requests that the page makes."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.process = start("review", "review.port=0", *words, **environment)
        self.said = ""
        address = self._printed(r"http://127\.0\.0\.1:\d+/\?token=\S+")
        self.base = address.partition("/?")[0]
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.browser.get(address, timeout=10).raise_for_status()
        self.state = self.browser.get(f"{self.base}/api/state", timeout=10).json()
        self.crops = {face: crop for face, crop, _ in self.state["faces"]}
        self.faces = list(self.crops)

    def decide(self, faces: list[int], action: str = "accept", label: str | None = None) -> None:
        """Send a decision about each face, and see all of them acknowledged."""
        events = [
            {
                "event": str(uuid.uuid4()),
                "time": now(),
                "face": face,
                "crop": self.crops[face],
                "pass": self.state["session"]["pass"],
                "action": action,
                "label": label,
                "undoes": None,
                "ms_spent": 500,
                "page_version": self.state["page_version"],
            }
            for face in faces
        ]
        answer = self._post("decisions", events=events)
        assert len(answer["acknowledged"]) == len(faces), answer

    def finish(self) -> str:
        """End the review; returns what the command has printed."""
        self._post("finish")
        rest, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.said + rest
        return self.said + rest

    def _post(self, what: str, **body: object) -> dict:
        answer = self.browser.post(
            f"{self.base}/api/{what}",
            json={"session": self.state["session"], **body},
            headers={"Origin": self.base},
            timeout=10,
        )
        assert answer.ok, answer.text
        return answer.json()

    def _printed(self, pattern: str) -> str:
        for line in self.process.stdout:
            self.said += line
            if found := re.search(pattern, line):
                return found[0]
        raise AssertionError(self.said)
