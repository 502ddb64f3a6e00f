"""How the runs of a sweep are started: on this machine or by SLURM. Imports no torch."""
