"""Maps of the pixels that a trained network's probabilities depend on, as a page."""
