"""Simulated players, with which difficulty policies are compared."""
