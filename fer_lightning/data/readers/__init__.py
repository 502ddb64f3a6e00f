"""Readers that turn any form of FER2013 (CSV, class folders, archives) into arrays; start at `reader.py`."""
