"""Message texts of Pillow."""


def is_cut_short(error: Exception) -> bool:
    """Return True if Pillow could not decode an image because the file ends too early."""
    return "truncated" in str(error)
