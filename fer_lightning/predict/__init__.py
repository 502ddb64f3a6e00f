"""Faces of photographs, folders and videos, with the probabilities of an exported model."""
