"""Process of a distributed run that writes the files."""

import pytest

from fer_lightning.runs.processes import RANKS, is_first_process


@pytest.fixture(autouse=True)
def _no_ranks(monkeypatch):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("ranks", [{}, {"LOCAL_RANK": "0", "NODE_RANK": "0"}, {"RANK": "0"}, {"SLURM_PROCID": "0"}])
def test_rank_zero_is_the_first_process(monkeypatch, ranks):
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    assert is_first_process()


@pytest.mark.parametrize("ranks", [{"LOCAL_RANK": "1"}, {"NODE_RANK": "1", "LOCAL_RANK": "0"}, {"SLURM_PROCID": "3"}])
def test_another_rank_is_not_the_first_process(monkeypatch, ranks):
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    assert not is_first_process()
