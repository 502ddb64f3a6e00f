"""Which classes and functions a config may name: each slot takes those of its own room, and nothing else runs.

A config can come from elsewhere (`evaluate run=PATH` reads that of a run folder), and Hydra calls whatever a `_target_`
names. So the whole config is walked before anything is built, and each target must be defined, by the syntax tree of
its module, in the room of its slot: a name that a module has merely imported is refused too.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from fer_lightning.config.annotations import TargetNotFound, signature
from fer_lightning.errors import UserError

ROOMS = {
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
    "provider": ("fer_lightning.collect.providers.*",),
    "policy": ("fer_lightning.difficulty.*",),
}
# Hydra's other keys: `_args_` would pass by the signature check, the rest change what build.py makes of a node.
HYDRA_KEYS = ("_args_", "_convert_", "_partial_", "_recursive_")


def refuse_foreign_targets(config: dict[str, Any]) -> None:
    """UserError for the first `_target_` of a resolved config, at any depth, that its slot does not take.

    Text that OmegaConf would read as an interpolation is refused too: resolved once more, it could become a target.
    """
    for key, value in _parts("", config):
        name = key.rpartition(".")[2]
        if name in HYDRA_KEYS:
            raise UserError(f"{key}={value!r}: not used here; a node holds keywords by name alone.")
        if name == "_target_":
            _refuse_foreign(key, value)
        elif isinstance(value, str) and "${" in value:
            raise UserError(f"{key}={value}: resolves to an interpolation, not to a value.")


def _refuse_foreign(key: str, target: Any) -> None:
    allowed = ROOMS.get(key.partition(".")[0], ())
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise UserError(f"{key}={target!r}: expected a dotted name such as fer_lightning.losses.focal.Focal.")
    if not any(fnmatchcase(target, pattern) for pattern in allowed):
        names = f"Allowed: {', '.join(allowed)}" if allowed else f"Allowed: none; {', '.join(ROOMS)} have one"
        raise UserError(f"{key}={target}: not allowed here. {names}. A new one goes into that package.")
    try:
        signature(target)
    except TargetNotFound as error:
        raise UserError(f"{key}={target}: {error}. Allowed: what is defined in {', '.join(allowed)}.") from None


def _parts(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a config below this one, with its key, through mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, item in items:
        place = f"{key}.{name}" if key else str(name)
        yield place, item
        yield from _parts(place, item)
