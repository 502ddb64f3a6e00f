"""Soft training targets in one file, made from finished runs over the folds of Training."""
