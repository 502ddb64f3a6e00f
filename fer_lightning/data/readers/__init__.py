"""From FER2013 as its users hold it (CSV, class folders, archives) to arrays; `reader.py` is the door."""
