"""Where pictures come from, behind one interface: see `provider.py`."""
