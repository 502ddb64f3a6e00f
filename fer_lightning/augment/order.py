"""Check of the order of augmentation nodes by their names, without torch, so that a typo is reported at once."""

import difflib
from collections.abc import Iterable

from fer_lightning.errors import UserError


def check_names(order: list[str], nodes: Iterable[str]) -> None:
    """Raise UserError if `order` names an unknown node, omits one or repeats one."""
    nodes = list(nodes)
    allowed = ", ".join(nodes) or "none"
    for name in order:
        if name not in nodes:
            near = difflib.get_close_matches(name, nodes, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(f"augment.order={order}: {name!r} is not a node.{hint} Allowed: {allowed}.")
    for name in nodes:
        if order.count(name) != 1:
            raise UserError(
                f"augment.order={order}: names {name!r} {order.count(name)} times, must name each node once. "
                f"Nodes: {allowed}. To switch one off, use augment.{name}=null."
            )
