"""Gathering faces for emotions that no data set has: search, fetch, detect, dedupe, review, merge, export, purge."""
