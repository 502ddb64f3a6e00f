"""Build the difficulty policy that a config names."""

from typing import Any

from hydra.utils import get_class

from fer_lightning.check.allowed_targets import refuse_foreign_targets
from fer_lightning.check.check import check_node
from fer_lightning.difficulty.policy import Policy
from fer_lightning.errors import UserError


def policy(node: dict[str, Any]) -> Policy:
    """Return the policy of one option of conf/live/policy/: `_target_` and its keywords. Raise UserError if invalid."""
    refuse_foreign_targets({"policy": node})
    check_node("policy", node, set())
    options = {name: value for name, value in node.items() if name != "_target_"}
    try:
        return get_class(node["_target_"])(**options)
    except ValueError as error:
        raise UserError(f"policy: {error}.") from None
