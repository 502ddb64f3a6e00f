"""Honest, fast and pleasant experiments in facial emotion recognition (FER)."""
