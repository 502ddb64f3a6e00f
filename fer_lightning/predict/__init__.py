"""Predictions of an exported model for the faces in photographs, folders and videos."""
