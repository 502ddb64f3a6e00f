"""The verdict at the end of `debug=overfit`, and the config that asks for it."""

import pytest
from conftest import composed

from fer_lightning.check.check import check
from fer_lightning.errors import UserError
from fer_lightning.evaluation.after_training import learned_by_heart


def verdict(accuracy: float) -> str:
    summary = {"last": {"train_eval/acc": accuracy}, "split": {"rows": {"train": 64}}, "epochs": 40}
    return learned_by_heart(summary, 0.98)


def test_a_network_that_learns_its_rows_by_heart_is_ready_to_train():
    assert verdict(1.0).startswith("Does the network learn its 64 training rows by heart? Yes: 100.0 %")
    assert "Next: the same command without debug=overfit" in verdict(0.984)


def test_one_that_does_not_names_what_to_check():
    text = verdict(0.547)
    assert "NO: 54.7 % of them are right after 40 epochs, 98 % are needed." in text
    assert "dropout" in text
    assert "optim.lr" in text


def test_debug_overfit_asks_for_the_verdict_and_for_no_test_accuracy():
    config = composed("experiment=quickstart", "debug=overfit")
    check(config)
    assert {metric: span for metric, span in config.expected.items() if span} == {"train_eval/acc": [0.98, 1]}


def test_an_unknown_expected_metric_is_refused():
    with pytest.raises(UserError, match=r"expected\.val/acc=.*Allowed metrics: test/acc.*train_eval/acc"):
        check(composed("experiment=quickstart", "+expected={val/acc:[0,1]}"))
