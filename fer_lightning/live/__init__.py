"""A camera, texts and a game in; faces, the state of a player and a difficulty out."""
