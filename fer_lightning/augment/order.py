"""Check of the order of augmentation nodes by their names, without torch, so that a typo is reported at once."""

from collections.abc import Iterable

from fer_lightning.errors import UserError
from fer_lightning.wording import did_you_mean


def check_names(order: list[str], nodes: Iterable[str]) -> None:
    """Raise UserError if `order` names an unknown node, omits one or repeats one."""
    nodes = list(nodes)
    allowed = ", ".join(nodes) or "none"
    for name in order:
        if name not in nodes:
            hint = did_you_mean(name, nodes)
            raise UserError(f"augment.order={order}: {name!r} is not a node.{hint} Allowed: {allowed}.")
    for name in nodes:
        if order.count(name) != 1:
            raise UserError(
                f"augment.order={order}: names {name!r} {order.count(name)} times, must name each node once. "
                f"Nodes: {allowed}. To switch one off, use augment.{name}=null."
            )
