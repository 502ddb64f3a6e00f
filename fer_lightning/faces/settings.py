"""Settings that all commands with a face detector share."""

from enum import Enum


class DetectorKind(Enum):
    """Kind of face detector; see faces/detector.py."""

    auto = "auto"
    yunet = "yunet"
    haar = "haar"
    whole = "whole"
