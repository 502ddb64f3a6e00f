"""Estimate of a run's duration on a CPU, before the run begins."""

import time

import torch
from torch import nn

LONG = 12  # hours from which a run is called long
STEP = 3  # forward passes that take as long as one training step
IMAGES = 8  # images of the measured forward pass


@torch.inference_mode()
def seconds_per_image(network: nn.Module, input_size: int) -> float:
    """Return the seconds of a forward pass for one image, without a change of the network or of random numbers."""
    training = network.training
    network.eval()
    images = torch.rand((IMAGES, 1, input_size, input_size), generator=torch.Generator().manual_seed(0))
    network(images[:1])
    began = time.perf_counter()
    network(images)
    network.train(training)
    return (time.perf_counter() - began) / IMAGES


def warn_if_long(seconds: float, *, train: int, evaluated: int, epochs: int) -> str | None:
    """Return a warning with the hours of the run and an experiment that fits a CPU; None if the run is short.

    seconds    seconds of a forward pass for one image
    train      training images of an epoch
    evaluated  images that are evaluated after each epoch
    """
    hours = seconds * (STEP * train + evaluated) * epochs / 3600
    if hours < LONG:
        return None
    return (
        f"this run takes about {hours:,.0f} hours on this CPU. Press Ctrl-C to stop it. "
        "python train.py experiment=fer2013_cpu trains a small network in a quarter of an hour to two hours."
    )
