"""Image providers with one interface; see `provider.py`."""
