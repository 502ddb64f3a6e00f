"""Review page on this machine, where a person decides about each face, and the results of these decisions."""
