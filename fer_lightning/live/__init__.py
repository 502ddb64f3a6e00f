"""Live server: it receives camera frames, texts and results, and sends faces, the player's state and the level."""
