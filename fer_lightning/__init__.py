"""Honest, fast and pleasant experiments in facial emotion recognition (FER)."""

from fer_lightning.compat.old_names import find_old_commands

find_old_commands()
