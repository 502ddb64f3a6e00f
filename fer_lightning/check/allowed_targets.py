"""Classes and functions that a config may name: each slot accepts only those of its own packages.

A config can come from elsewhere: `evaluate run=PATH` reads the config of a run folder. Hydra calls whatever a
`_target_` names. So the whole config is checked before anything is built. Each target must be defined in a package that
its slot allows. The definition is looked up in the syntax tree of the module, so a name that the module only imports is
rejected too.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from fer_lightning.check.annotations import TargetNotFound, signature
from fer_lightning.errors import UserError

ALLOWED = {
    "data": ("fer_lightning.data.*.load",),
    "model": ("fer_lightning.models.*",),
    "stn": ("fer_lightning.stn.*",),
    "augment": ("fer_lightning.augment.*",),
    "loss": ("fer_lightning.losses.*",),
    "sampler": ("fer_lightning.samplers.*",),
    "optim": ("torch.optim.*", "fer_lightning.optimizers.*"),
    "schedule": ("fer_lightning.schedules.*",),
    "trainer": (
        "lightning.pytorch.trainer.trainer.Trainer",
        "lightning.pytorch.profilers.simple.SimpleProfiler",
        "lightning.pytorch.profilers.advanced.AdvancedProfiler",
        "lightning.pytorch.profilers.pytorch.PyTorchProfiler",
    ),
    "callbacks": ("fer_lightning.training.callbacks.*",),
    "logger": ("fer_lightning.training.callbacks.*",),
}
# Hydra's other keys. `_args_` would bypass the signature check; the others change what build.py makes from a node.
HYDRA_KEYS = ("_args_", "_convert_", "_partial_", "_recursive_")


def refuse_foreign_targets(config: dict[str, Any]) -> None:
    """Raise UserError for the first `_target_` of a resolved config, at any depth, that its slot does not allow.

    Text that OmegaConf would read as an interpolation is rejected too: if resolved again, it could become a target.
    """
    for key, value in _walk("", config):
        name = key.rpartition(".")[2]
        if name in HYDRA_KEYS:
            raise UserError(f"{key}={value!r}: not used here. A node may hold only named keywords. Drop this key.")
        if name == "_target_":
            _refuse_foreign(key, value)
        elif isinstance(value, str) and "${" in value:
            raise UserError(
                f"{key}={value}: resolves to an interpolation; must be a plain value. Set the value itself."
            )


def _refuse_foreign(key: str, target: Any) -> None:
    slot = key.partition(".")[0]
    allowed = ALLOWED.get(slot, ())
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise UserError(f"{key}={target!r}: expected a dotted name such as fer_lightning.losses.focal.Focal.")
    if not any(fnmatchcase(target, pattern) for pattern in allowed):
        names = f"Allowed: {', '.join(allowed)}" if allowed else f"Allowed: only inside {', '.join(ALLOWED)}"
        new = "function into such a module and name it load" if slot == "data" else "class into such a package"
        raise UserError(f"{key}={target}: not allowed here. {names}. Put a new {new}.")
    try:
        signature(target)
    except TargetNotFound as error:
        raise UserError(f"{key}={target}: {error} Allowed: names that are defined in {', '.join(allowed)}.") from None


def _walk(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield key and value of everything below this value of a config, through mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, item in items:
        path = f"{key}.{name}" if key else str(name)
        yield path, item
        yield from _walk(path, item)
