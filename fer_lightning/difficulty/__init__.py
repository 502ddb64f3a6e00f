"""How much the difficulty of a game changes, and when."""
