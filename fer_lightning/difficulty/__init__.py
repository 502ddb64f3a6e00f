"""Difficulty of a game: the policies that propose a new level and the controller that applies it."""
