"""Shared parts of the local pages: access control, static files, and the listening socket."""
