"""The audit of the real set, with FER+, against what is known of it; FER2013_SOURCE as in test_real_fer2013."""

import json
import shutil
import subprocess
import sys

import pytest
from real_fer2013 import NEEDS_FER2013, ROOT

NEAR_TOLERANCE = 3  # pairs whose correlation is 0.95 but for rounding

# A process between, for the peak of a process counts what forked it, and that of children the greediest of all so far.
MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""

pytestmark = NEEDS_FER2013


@pytest.fixture(scope="module")
def record(real_store, tmp_path_factory):
    """audit.json of the real set, from the command as a user types it."""
    store = tmp_path_factory.mktemp("real") / "store"
    shutil.copytree(real_store, store)
    command = [sys.executable, "-c", MEASURED, "-m", "fer_lightning.audit", f"root={store}"]
    ended = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    seconds, peak_kb = map(float, ended.stdout.splitlines()[-1].split())
    print(f"audit: {seconds:.1f} s of CPU, peak {peak_kb / 1e6:.2f} GB")
    assert peak_kb < 1.5e6
    return json.loads((store / "audit" / "audit.json").read_text())


def test_exact_copies_of_fer2013(record):
    found = record["findings"]
    exact, across = found["exact_copies"], found["copies_across_usages"]
    assert (exact["distinct_images"], exact["redundant_rows"]) == (34036, 1851)
    assert exact["groups_blanks_apart"] == 1513
    assert exact["groups_by_usages"] == {
        "Training": 934,
        "PublicTest": 16,
        "PrivateTest": 7,
        "Training+PublicTest": 252,
        "Training+PrivateTest": 261,
        "PublicTest+PrivateTest": 26,
        "Training+PublicTest+PrivateTest": 17,
    }
    assert exact["redundant_inside_usage_blanks_apart"]["Training"] == 1224
    public, private = across["PublicTest"]["Training"], across["PrivateTest"]["Training"]
    assert (public["exact"], public["exact_same_label"]) == (279, 272)
    assert (private["exact"], private["exact_same_label"]) == (288, 282)
    assert across["PrivateTest"]["PublicTest"]["exact"] == 44
    assert found["label_conflicts"]["conflicting_groups"] == 56
    assert found["blanks"] == {"Training": 10, "PublicTest": 1, "PrivateTest": 1}


def test_near_copies_of_fer2013(record):
    found = record["findings"]
    private, near = found["copies_across_usages"]["PrivateTest"]["Training"], found["label_conflicts"]["near_pairs"]
    assert private["exact_or_near"] == pytest.approx(394, abs=NEAR_TOLERANCE)
    assert private["exact_or_near_or_mirrored"] == pytest.approx(397, abs=NEAR_TOLERANCE)
    assert near["share"] == pytest.approx(0.197, abs=0.005)
    assert near["by_labels"][0][:2] == ["fear", "surprise"]


def test_clean_rows_of_fer2013(record):
    clean = record["findings"]["clean_rows"]
    assert clean["unseen"] == 3274
    assert list(clean["by_class"]["unseen"].values()) == [452, 38, 480, 847, 574, 287, 596]
    assert clean["distinct"] == pytest.approx(3155, abs=NEAR_TOLERANCE)
    assert clean["clean"] == pytest.approx(3140, abs=10)
    scores = record["findings"]["scores"]["without_copies"]
    assert [round(100 * scores[score], 1) for score in ("0.70", "0.73", "0.76")] == [67.6, 70.8, 74.1]


def test_label_noise_of_fer2013(record):
    votes = record["findings"]["votes"]
    percent = {
        key: [round(100 * counts[key], 1) for counts in votes["by_usage"].values()]
        for key in ("agreement", "agreement_where_votes_name_a_class", "share_of_votes_on_label", "label_without_votes")
    }
    assert percent == {
        "agreement": [62.3, 62.2, 62.3],
        "agreement_where_votes_name_a_class": [63.4, 63.2, 63.5],
        "share_of_votes_on_label": [55.4, 56.2, 55.6],
        "label_without_votes": [16.2, 17.6, 16.2],
    }
    assert [counts["not_a_face"] for counts in votes["by_usage"].values()] == [150, 10, 16]
    by_class = {name: round(share, 2) for name, share in votes["agreement_by_class"]["PrivateTest"].items()}
    assert by_class == {
        "angry": 0.49,
        "disgust": 0.31,
        "fear": 0.13,
        "happy": 0.93,
        "sad": 0.39,
        "surprise": 0.76,
        "neutral": 0.87,
    }
