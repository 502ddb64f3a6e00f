"""The order of named augmentation nodes, checked by name alone and without torch, so that a typo is told at once."""

import difflib
from collections.abc import Iterable

from fer_lightning.errors import UserError


def check_names(order: list[str], nodes: Iterable[str]) -> None:
    """Raise UserError where `order` names an unknown node, leaves one out or repeats one."""
    nodes = list(nodes)
    known = ", ".join(nodes) or "none"
    for name in order:
        if name not in nodes:
            near = difflib.get_close_matches(name, nodes, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(f"augment.order names {name!r}, which is no node.{hint} Nodes: {known}.")
    for name in nodes:
        if order.count(name) != 1:
            raise UserError(
                f"augment.order names {name!r} {order.count(name)} times; each node stands in it once. "
                f"Nodes: {known}. To switch one off: augment.{name}=null."
            )
