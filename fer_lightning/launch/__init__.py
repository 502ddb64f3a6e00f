"""Launchers that start the runs of a sweep, on this machine or with SLURM. This package does not import torch."""
