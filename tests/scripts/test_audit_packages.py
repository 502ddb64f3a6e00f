"""A known vulnerability with a fix is a failure, and packages that were not audited are counted."""

import json
import subprocess

import pytest

from scripts import audit_packages

SKIPPED = {"name": "mine", "skip_reason": "not found on PyPI"}
SOUND = {"name": "torch", "version": "2.9", "vulns": []}


def weak(*fixes: str) -> dict:
    return {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": list(fixes)}]}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([SOUND, SKIPPED], 0, "1 packages audited, 0 known vulnerabilities\nnot audited: mine"),
        ([SOUND, weak("9.1")], 1, "pillow 9.0: PYSEC-1, fixed in 9.1"),
        ([SOUND, weak()], 0, "pillow 9.0: PYSEC-1, fixed in no version yet"),
        ([SKIPPED], 0, "not audited: no answer from https://pypi.org, https://api.osv.dev. Run make security"),
    ],
)
def test_the_report(packages, status, words, monkeypatch, capsys):
    answer = subprocess.CompletedProcess([], 0, json.dumps({"dependencies": packages}), "")
    monkeypatch.setattr(audit_packages.subprocess, "run", lambda *_, **__: answer)
    assert audit_packages.main([]) == status
    assert words in capsys.readouterr().out


def test_a_service_that_is_away_is_no_failure_but_a_broken_tool_is(monkeypatch, capsys):
    away = subprocess.CompletedProcess([], 1, "", "requests.exceptions.ConnectionError: Max retries exceeded")
    monkeypatch.setattr(audit_packages.subprocess, "run", lambda *_, **__: away)
    assert audit_packages.main([]) == 0
    assert "not audited" in capsys.readouterr().out
    broken = subprocess.CompletedProcess([], 1, "", "No module named pip_audit")
    monkeypatch.setattr(audit_packages.subprocess, "run", lambda *_, **__: broken)
    with pytest.raises(SystemExit, match="No module named pip_audit"):
        audit_packages.main([])
