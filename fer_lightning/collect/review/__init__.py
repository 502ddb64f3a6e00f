"""A page on this machine on which a person decides about each face, and what the decisions come to."""
