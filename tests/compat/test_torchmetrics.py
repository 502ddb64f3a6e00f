"""A metric with a restored state counts as updated."""

import warnings

import torch
from torchmetrics import SumMetric

from fer_lightning.compat.torchmetrics import restore


def test_a_restored_metric_gives_its_value_without_a_warning():
    metric = SumMetric()
    restore(metric, {"sum_value": torch.tensor(3.0)}, torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric.compute() == 3
