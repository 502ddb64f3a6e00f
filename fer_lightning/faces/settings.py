"""What every command that looks for faces lets choose."""

from enum import Enum


class DetectorKind(Enum):
    """What finds faces: see faces/detector.py."""

    auto = "auto"
    yunet = "yunet"
    haar = "haar"
    whole = "whole"
