"""Counts of an audit, on a table whose faults are all defined, and on tables that lack something."""

import json

import numpy as np
import pytest
from audit_tables import CLASSES, PRIVATE, PUBLIC, TRAIN, full_of_findings
from blobs import blobs

from fer_lightning.audit.findings import (
    STRICTNESS,
    exclusion_reasons,
    facts,
    find,
    robust_z,
    score_without_copies,
)
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable


@pytest.fixture(scope="module")
def findings():
    return find(full_of_findings())


@pytest.fixture(scope="module")
def counted(findings):
    return facts(findings)


def test_copies_are_counted_within_and_across_usages(counted):
    exact, across = counted["exact_copies"], counted["copies_across_usages"]
    assert exact["redundant_rows"] == 5
    assert exact["groups_blanks_apart"] == 4
    assert exact["groups_by_usages"] == {"Training": 1, "Training+PrivateTest": 2, "PublicTest+PrivateTest": 1}
    assert exact["redundant_inside_usage_blanks_apart"] == {"Training": 1, "PublicTest": 0, "PrivateTest": 0}
    assert across["PrivateTest"]["Training"] == {
        "exact": 2,
        "exact_same_label": 1,
        "exact_or_near": 3,
        "exact_or_near_or_mirrored": 3,
    }
    assert across["PrivateTest"]["PublicTest"] == {
        "exact": 1,
        "exact_same_label": 1,
        "exact_or_near": 1,
        "exact_or_near_or_mirrored": 2,
    }
    assert across["PublicTest"]["Training"]["exact"] == 0


def test_near_copies_and_conflicting_labels_are_counted_by_kind(counted):
    near, conflicts = counted["near_copies"], counted["label_conflicts"]
    assert near["image_pairs"] == near["row_pairs"] == {"as_it_is": 1, "mirrored": 1}
    assert near["row_pairs_by_usages"] == {
        "Training+PrivateTest": {"as_it_is": 1, "mirrored": 0},
        "PublicTest+PrivateTest": {"as_it_is": 0, "mirrored": 1},
    }
    assert conflicts["conflicting_groups"] == 1
    assert conflicts["exact_pairs"] == {"pairs": 4, "disagree": 1, "share": 0.25, "by_labels": [["angry", "sad", 1]]}
    assert conflicts["near_pairs"]["by_labels"] == [["angry", "happy", 1]]


def test_near_pairs_of_pictures_are_expanded_to_all_their_rows():
    table = full_of_findings()
    table.pixels[7] = table.pixels[2]
    table.pixels[38] = table.pixels[31]
    again = FaceTable(**{name: getattr(table, name) for name in table.__dataclass_fields__} | {"digests": None})
    findings = find(again)
    assert findings.near.tolist() == [[2, 31], [2, 38], [7, 31], [7, 38], [21, 32]]
    assert findings.mirrored.tolist() == [False] * 4 + [True]
    assert len(findings.copies.near.rows) == 2


def test_blanks_odd_light_and_non_faces_are_counted_by_usage(findings, counted):
    assert counted["blanks"] == {"Training": 1, "PublicTest": 0, "PrivateTest": 1}
    assert counted["light"]["brightness"]["dark"] == {"Training": 1, "PublicTest": 0, "PrivateTest": 0}
    assert counted["light"]["contrast"]["flat"]["Training"] == 1
    assert counted["light"]["outliers"] == {"Training": 1, "PublicTest": 0, "PrivateTest": 0}
    assert findings.brightness_z[5] == 0, "a blank row is no outlier"
    assert np.flatnonzero(findings.not_face).tolist() == [34]


def test_votes_are_weighed_by_usage_and_class_over_rows_that_have_any(counted):
    votes = counted["votes"]
    assert votes["rows"] == 39
    private = votes["by_usage"]["PrivateTest"]
    # Rows 28, 30, 32, 33, 34, 38, 39 are angry to all, 35 and 36 happy; 34 is a tie, which anger, listed first, wins.
    assert private["agreement"] == pytest.approx(9 / 12, abs=1e-4)
    assert private["agreement_where_votes_name_a_class"] == pytest.approx(9 / 11, abs=1e-4)
    assert private["label_without_votes"] == pytest.approx(3 / 12, abs=1e-4)
    assert private["share_of_votes_on_label"] == pytest.approx((6 * 1 + 0.5 + 1 + 0.6) / 12, abs=1e-4)
    assert private["not_a_face"] == 1
    assert votes["agreement_by_class"]["PrivateTest"] == {"angry": 1.0, "happy": 0.5, "sad": 0.0}
    assert votes["agreement_by_class"]["Training"] == {"angry": 1.0, "happy": None, "sad": None}
    assert votes["share_of_votes"]["happy"]["contempt"] == pytest.approx(10 / 40)


def test_clean_rows_are_those_of_the_evaluation(findings, counted):
    table = findings.table
    judged = judge_test_rows(table, make_split(table, "official"))
    assert np.array_equal(findings.listed("unseen"), judged.rows[judged.unseen])
    assert np.array_equal(findings.listed("clean"), judged.rows[judged.clean])
    assert findings.listed("unseen").tolist() == [31, 32, 34, 35, 36, 37, 38, 39]
    assert findings.listed("distinct").tolist() == [34, 35, 36, 37, 38, 39]
    assert findings.listed("clean").tolist() == [35, 36, 37, 38, 39]
    assert [counted["clean_rows"][name] for name in STRICTNESS] == [8, 6, 5]
    reasons = dict(zip(judged.rows.tolist(), exclusion_reasons(findings), strict=True))
    assert [row for row, why in reasons.items() if not why] == findings.listed("clean").tolist()
    assert reasons[29] == ["exact copy in Training"]
    assert reasons[31] == ["near copy in Training"]
    assert reasons[32] == ["near copy in PublicTest"]
    assert reasons[33] == ["blank"]
    assert reasons[34] == ["not a face"]


def test_a_score_loses_what_copies_gave_it(counted):
    assert score_without_copies(0.73, 3589, 288, 282) == pytest.approx(0.7083, abs=1e-4)
    assert score_without_copies(0.5, 100, 0, 0) == 0.5
    assert counted["scores"]["with_exact_training_copy"] == 2
    assert counted["scores"]["without_copies"]["0.73"] == pytest.approx((0.73 * 12 - 1) / 10)


def test_robust_z_is_not_moved_by_the_outlier_it_finds():
    values = np.array([10.0, 11, 12, 13, 14, 1000, 0])
    among = np.array([True] * 6 + [False])
    z = robust_z(values, among)
    assert z[5] > 100
    assert np.abs(z[:5]).max() < 2
    assert z[6] == 0
    assert robust_z(np.ones(4), np.ones(4, bool)).tolist() == [0, 0, 0, 0]
    assert robust_z(np.ones(4), np.zeros(4, bool)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("usages", [(TRAIN,), (TRAIN, PRIVATE), (PUBLIC,)])
def test_a_table_without_all_usages_has_no_clean_rows_but_all_else(usages):
    table = full_of_findings()
    keep = np.isin(table.usage, usages)
    part = FaceTable(
        "part", *(getattr(table, name)[keep] for name in ("pixels", "labels", "usage", "source")), CLASSES, "sum"
    )
    found = facts(find(part))
    assert found["clean_rows"] is found["scores"] is found["votes"] is None
    assert set(found["class_counts"]) == set(found["copies_across_usages"]) == set(found["blanks"])
    assert sum(found["blanks"].values()) == (part.pixels.reshape(len(part), -1).std(axis=1) == 0).sum()


@pytest.mark.parametrize("count", [1, 2])
def test_a_tiny_table_and_one_of_blanks_alone_are_counted(count):
    for pixels in (blobs(count), np.full((count, 48, 48), 9, np.uint8)):
        zeros = np.zeros(count, np.int64)
        table = FaceTable("tiny", pixels, zeros, zeros.astype(np.uint8), zeros.astype(str), ("angry",), "sum")
        found = facts(find(table))
        assert found["label_conflicts"]["conflicting_groups"] == 0
        json.dumps(found, allow_nan=False)


def test_classes_that_ferplus_does_not_know_leave_their_rows_out(counted):
    table = full_of_findings(classes=("angry", "boredom", "sad"))
    by_class = facts(find(table))["votes"]["by_usage"]["PrivateTest"]
    assert by_class["label_without_votes"] == pytest.approx(1 / 8), "row 29, sad; the four bored rows do not count"
    assert counted["votes"]["rows"] == 39


def test_facts_go_into_json_as_they_are(counted):
    assert json.loads(json.dumps(counted, allow_nan=False)) == counted
