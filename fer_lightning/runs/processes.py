"""Role of this process in a distributed run."""

import os

RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")  # set by torchrun, SLURM and Lightning
PARENT = "FER_LIGHTNING_PARENT"  # set for each process that the first process starts: the id of the first process


def is_first_process() -> bool:
    """Return True for the process that writes the files of the run and prints: rank 0 of all machines."""
    return all(os.environ.get(rank, "0") == "0" for rank in RANKS)


def is_child() -> bool:
    """Return True if the first process started this process. SLURM and torchrun start all processes themselves."""
    return PARENT in os.environ
