"""Smallest images of a network; torch is not imported, so that a config is checked before it."""

from collections.abc import Mapping
from typing import Any

from fer_lightning.errors import UserError


def smallest_side(smallest: Mapping[str, int], options: Mapping[str, Any]) -> tuple[int, str]:
    """Return the smallest side (pixels) for a network with these options, and the option that requires it or ''.

    smallest  a network's `smallest_input`: smallest side for each option as OPTION=VALUE, and without them as ''
    """
    present = {"", *(f"{name}={value}" for name, value in options.items())}
    return max((side, option) for option, side in smallest.items() if option in present)


def check_input_size(smallest: Mapping[str, int], input_size: int, options: Mapping[str, Any]) -> None:
    """Raise UserError if images of this side (pixels) are too small for a network with these options."""
    side, option = smallest_side(smallest, options)
    if input_size < side:
        raise UserError(
            f"model.input_size={input_size}{f' with model.{option}' if option else ''}: must be {side} or more "
            f"(pixels), because the network reduces the image. Use model.input_size={side}"
            f"{', or another model.' + option.partition('=')[0] if option else ''}."
        )
