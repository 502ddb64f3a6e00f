"""Reject a bad config within a second, before torch is imported.

There are three layers:

1. Hydra and `schema.py` reject unknown root keys and options while composing; `messages.py` writes the message.
2. This module compares every `_target_` node with the signature in its source.
3. Then it checks the rules between fields.
"""

import ast
import dataclasses
import math
import os
import re
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_lightning.augment.order import check_names
from fer_lightning.check.allowed_targets import ALLOWED, refuse_foreign_targets
from fer_lightning.check.annotations import Parameter, TargetNotFound, class_constant, signature
from fer_lightning.config.schema import TrainConfig
from fer_lightning.config.settings import KINDS
from fer_lightning.data.label_kinds import FROM_TEACHER
from fer_lightning.errors import UserError
from fer_lightning.labels import taxonomy_of
from fer_lightning.models.input_size import check_input_size, smallest_side
from fer_lightning.wording import did_you_mean

DATAMODULE = "fer_lightning.training.datamodule.FERDataModule"
# Keys of `data` that describe the batches, not the faces: all keywords of the data module but those that the run sets.
FEED_KEYS = tuple(
    key
    for key in signature(DATAMODULE).parameters
    if key not in ("table", "transform", "sampler", "seed", "track_test")
)
FEED_DEFAULTS = {key: ast.literal_eval(signature(DATAMODULE).parameters[key].default) for key in FEED_KEYS}
MODEL_KEYS = ("mean", "std", "weights", "init")

# Arguments that only the run knows; build.py supplies them.
SUPPLIED = {
    "model": {"num_classes", "training_faces"},
    "stn": {"in_channels", "input_size"},
    "loss": {"class_counts", "num_classes"},
    "sampler": {"labels", "seed", "rank", "world_size"},
    "optim": {"params"},
    "trainer": {"callbacks", "logger", "plugins", "default_root_dir", "use_distributed_sampler"},
    "callbacks": {"folder"},
    "logger": {"folder", "run_config"},
}
FUNCTION_SLOTS = ("data", "callbacks", "logger")  # their target may be a function
SLOTS = ("data", "model", "stn", "augment", "loss", "sampler", "optim", "schedule", "trainer")

EACH_EPOCH = "Validation runs at the end of each epoch, where a run can be resumed exactly. Drop this key"
TRAINER_REFUSALS = {
    "max_steps": "A run is counted in epochs. Use trainer.max_epochs, or trainer.limit_train_batches for less than one",
    "val_check_interval": EACH_EPOCH,
    "check_val_every_n_epoch": EACH_EPOCH,
    "overfit_batches": "Use debug=overfit, or data.train_rows=64 augment=none",
    "reload_dataloaders_every_n_epochs": "The faces stay in memory and are never reloaded. Drop this key",
    "num_sanity_val_steps": "Use debug=fdr to try every step of a run once",
    "max_time": "A run is counted in epochs. Use trainer.max_epochs",
    "min_epochs": "Use callbacks.early_stopping.patience",
    "min_steps": "Use callbacks.early_stopping.patience",
    "limit_predict_batches": "A run does not predict. Drop this key",
    "log_every_n_steps": "metrics.csv has one row per epoch. Drop this key",
    "enable_progress_bar": "Use callbacks.progress.style=off or callbacks.progress.style=rich",
    "enable_model_summary": "The number of weights is in the table at the end of a run. Drop this key",
    "enable_checkpointing": "Every run keeps best.ckpt and last.ckpt. Set them with callbacks.best and callbacks.last",
}
PLAIN = ("bool", "int", "float", "str", "dict", "list", "tuple")
WORDS = {kind.__name__: text for kind, text in KINDS.items()} | {"Path": "a path", "list": "a list", "tuple": "a list"}
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
TEST_METRICS = tuple(f"test/{name}" for name in ("acc", "f1_macro", "recall_mean", "loss", "ce"))
EXPECTED = (*TEST_METRICS, "train_eval/acc")  # metrics that may have an expected range
TEACHER_SPLITS = ("official", "official_dedup")  # their training rows are the rows of a teacher file
PROBABILITIES = ("model.dropout", "model.head_dropout", "model.drop_path", "model.drop_rate", "model.drop_path_rate")
# Minimum of a number, by its key.
AT_LEAST = {
    **dict.fromkeys(PROBABILITIES, 0),
    "model.std": 0.001,
    "model.mean": 0,
    "model.in_channels": 1,
    "model.attention_weight": 0,
    "optim.momentum": 0,
    "trainer.gradient_clip_val": 0,
    "stn.max_change": 0,
    "data.fold": 0,
    "data.folds": 3,
    "data.batch_size": 2,
    "data.eval_batch_size": 1,
    "data.train_eval_rows": 1,
    "model.width": 0.01,
    "optim.lr": 0,
    "optim.rest_lr": 0,
    "optim.steps": 1,
    "optim.weight_decay": 0,
    "trainer.accumulate_grad_batches": 1,
    "callbacks.last.every_n_steps": 1,
    "callbacks.early_stopping.patience": 1,
    "threads": 1,
    "data.rows": 1,
    "data.split_seed": 0,
    "data.seed": 0,
}
# Maximum of a number, by its key. A larger size would only fill the memory.
AT_MOST = {
    **dict.fromkeys(PROBABILITIES, 0.99),
    "stn.max_change": 10,
    "model.mean": 1,
    "optim.momentum": 0.9999,
    "data.rows": 10**7,
    "data.batch_size": 2**16,
    "data.eval_batch_size": 2**16,
    "data.folds": 1000,
    "model.input_size": 2048,
    "model.in_channels": 1024,
    "model.width": 64,
    "trainer.max_epochs": 10**6,
    "trainer.devices": 1024,
    "trainer.num_nodes": 1024,
    "threads": 4096,
}
LARGEST = 10**9  # of any other number
SEEDS = ("seed", "data.seed", "data.split_seed")
LARGEST_SEED = 2**63 - 1
METRICS = tuple(
    f"{part}/{name}"
    for part in ("val", "train_eval")
    for name in ("acc", "f1_macro", "recall_mean", "loss", "ce", "ferplus_acc")
)


def check(cfg: DictConfig, *, multirun: bool = False, with_faces: bool = True) -> list[str]:
    """Raise UserError if the config cannot run. Return warnings about settings that can run but may be mistakes.

    with_faces  if True, the faces must be on disk
    """
    OmegaConf.resolve(cfg)  # in place, so that build.py builds exactly what is checked here
    _set_absent_feed_keys(cfg)
    config = OmegaConf.to_container(cfg, throw_on_missing=True, enum_to_str=True)
    refuse_wrong_root_keys(config)
    refuse_foreign_targets(config)
    for slot in SLOTS:
        check_node(slot, config[slot], SUPPLIED.get(slot, set()), extra=extra_keys(slot))
    if not isinstance(config["callbacks"], dict):
        raise UserError(f"callbacks={config['callbacks']!r}: must be {{name: node}}. See conf/callbacks/default.yaml.")
    for name, node in config["callbacks"].items():
        if node is not None:
            check_node(f"callbacks.{name}", node, SUPPLIED["callbacks"])
    if config["logger"]:
        check_node("logger", config["logger"], SUPPLIED["logger"])
    _check_between_fields(config)
    if with_faces:
        _check_data(config)
    if multirun and "ddp" in str(config["trainer"].get("strategy")):
        raise UserError(
            f"trainer.strategy={config['trainer']['strategy']} with hydra/launcher=basic: each process would start the "
            "sweep again. Use hydra/launcher=local or hydra/launcher=discovery."
        )
    return _warnings(config)


def _set_absent_feed_keys(cfg: DictConfig) -> None:
    """Set the keys of the batches that a data source leaves out, so that config.yaml has them for every reader."""
    if OmegaConf.is_dict(cfg.get("data")):
        absent = {key: FEED_DEFAULTS[key] for key in FEED_KEYS if key not in cfg.data}
        OmegaConf.update(cfg, "data", absent, force_add=True)


def refuse_wrong_root_keys(config: dict[str, Any]) -> None:
    """Reject unknown and missing root keys. Hydra checks a composed config, but not a run folder's config.yaml."""
    root_keys = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in config:
        if key not in root_keys:
            raise UserError(f"{key}: no such key.{did_you_mean(str(key), root_keys)} Allowed: {', '.join(root_keys)}.")
    for key in root_keys:
        if key not in config:
            raise UserError(f"{key}: the config does not set it. Set it as conf/train.yaml does.")


def check_node(key: str, node: Any, supplied: set[str], extra: dict[str, Parameter] | None = None) -> None:
    """Check one `_target_` node, and the nodes nested in it, against the signatures in their sources."""
    if not isinstance(node, dict):
        raise UserError(f"{key}={node!r}: must be one of the options of its group. See: python train.py --help")
    if "_target_" not in node:
        package = ALLOWED[key.partition(".")[0]][0]
        raise UserError(
            f"{key}={node!r}: does not name a class. Add a line to the YAML of this option: _target_: {package}. "
            "Or name another option of the group: python train.py --help"
        )
    target = node["_target_"]
    try:
        accepted = signature(target)
    except TargetNotFound as error:
        raise UserError(f"{key}._target_={target}: {error}") from None
    allowed = {name: p for name, p in accepted.parameters.items() if name not in supplied} | (extra or {})
    given = {name: value for name, value in node.items() if not name.startswith("_")}
    unknown = [name for name in given if name not in allowed and (not accepted.open_ended or name in supplied)]
    if unknown:
        raise UserError(unknown_keys(key, unknown, target, list(allowed)))
    for name, value in given.items():
        if name in allowed:
            check_type(f"{key}.{name}", value, allowed[name].annotation)
        if isinstance(value, dict) and "_target_" in value:
            check_node(f"{key}.{name}", value, set())
    missing = [name for name, p in allowed.items() if p.required and name not in given]
    if missing:
        needs_class = accepted.is_function and key.partition(".")[0] not in FUNCTION_SLOTS
        raise UserError(_missing_key(key, missing[0], target, needs_class))


def _missing_key(key: str, missing: str, target: str, needs_class: bool) -> str:
    """Return the message about a required key that is not set, or about a function that is named for a class."""
    owner = target.rpartition(".")[2]
    if needs_class:
        return (
            f"{key}._target_={target}: {owner} is a function with the argument {missing}; {key} needs a class. Write a "
            f"class whose constructor takes the keys of {key}. See docs/add-an-idea.md."
        )
    return f"{key}.{missing} is not set, but {owner} requires it. Set it in the YAML that names {owner}."


def unknown_keys(key: str, unknown: list[str], target: str, allowed: list[str]) -> str:
    """Return the message about the first unknown key, with the arguments that drop all of them."""
    drop = " ".join(f"~{key}.{name}" for name in unknown)
    kinds = f"Allowed: {', '.join(sorted(allowed))}" if allowed else "It does not have keys"
    return (
        f"{key}.{unknown[0]}: {target.rpartition('.')[2]} has no key {unknown[0]!r}."
        f"{did_you_mean(unknown[0], allowed, prefix=f'{key}.')} {kinds}. "
        f"If an experiment sets it, add {drop}."
    )


def check_type(key: str, value: Any, annotation: str) -> None:
    """Raise UserError if a value does not fit its parameter's annotation. An unknown annotation fits every value."""
    kind = ast.parse(annotation, mode="eval").body if annotation else None
    if kind and not _fits(value, kind):
        hint = did_you_mean(value, _choices(kind)) if isinstance(value, str) else ""
        raise UserError(f"{key}={value!r}: must be {_describe_type(kind)}.{hint}")


def _fits(value: Any, kind: ast.expr) -> bool:
    match kind:
        case ast.BinOp(op=ast.BitOr()):
            return _fits_any(value, _members(kind))
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="str"):
            return isinstance(value, str)
        case ast.Name(id="dict"):
            return isinstance(value, dict)
        case ast.Name(id="list" | "tuple"):
            return isinstance(value, list)
        case ast.Subscript(value=ast.Name(id="Literal")):
            options = ast.literal_eval(kind.slice)
            return value in (options if isinstance(kind.slice, ast.Tuple) else [options])
        case ast.Subscript(value=ast.Name(id="Optional")):
            return value is None or _fits(value, kind.slice)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple()):
            return _fits_any(value, kind.slice.elts)
        case ast.Subscript(value=ast.Name(id="list")):
            return isinstance(value, list) and all(_fits(item, kind.slice) for item in value)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple()):
            members = kind.slice.elts
            return (
                isinstance(value, list)
                and len(value) == len(members)
                and all(_fits(item, member) for item, member in zip(value, members, strict=True))
            )
    return True


def _choices(kind: ast.expr) -> list[str]:
    """Return the texts that an annotation lists, such as those of Literal."""
    return [part.value for part in ast.walk(kind) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _members(union: ast.expr) -> list[ast.expr]:
    if isinstance(union, ast.BinOp):
        return _members(union.left) + _members(union.right)
    return [union]


def _without_unknown(members: list[ast.expr], names: Container[str]) -> list[ast.expr]:
    """Return the members of a union without unknown names, such as Tensor in `float | Tensor`, or else all."""
    return [member for member in members if not isinstance(member, ast.Name) or member.id in names] or members


def _fits_any(value: Any, members: list[ast.expr]) -> bool:
    return any(_fits(value, member) for member in _without_unknown(members, PLAIN))


def _describe_type(kind: ast.expr) -> str:
    """Return the values that fit an annotation, such as "a whole number or null"."""
    match kind:
        case ast.BinOp(op=ast.BitOr()):
            return " or ".join(dict.fromkeys(map(_describe_type, _without_unknown(_members(kind), WORDS))))
        case ast.Constant(value=None):
            return "null"
        case ast.Name():
            return WORDS.get(kind.id, kind.id)
        case ast.Subscript(value=ast.Name(id="Optional")):
            return f"{_describe_type(kind.slice)} or null"
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple()):
            return " or ".join(map(_describe_type, _without_unknown(kind.slice.elts, WORDS)))
        case ast.Subscript(value=ast.Name(id="Literal")):
            return f"one of {ast.unparse(kind.slice).strip('()')}"
        case ast.Subscript(value=ast.Name(id="list")):
            return f"a list, each item {_describe_type(kind.slice)}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple()):
            return f"a list of {len(kind.slice.elts)}: {', '.join(map(_describe_type, kind.slice.elts))}"
    return ast.unparse(kind)


def extra_keys(slot: str) -> dict[str, Parameter]:
    """Return the keys of a slot that its target does not take: those of the batches and of the normalisation."""
    if slot == "data":
        feed = signature(DATAMODULE).parameters
        return {key: feed[key] for key in FEED_KEYS}
    if slot == "model":
        return {  # not required here: `_check_model` says which of them must be set
            "input_size": Parameter("input_size", "int", False),
            "in_channels": Parameter("in_channels", "int", False),
            "mean": Parameter("mean", "float", False),
            "std": Parameter("std", "float", False),
            "weights": Parameter("weights", "str | Path | None", False),
            "init": Parameter("init", "str | Path | None", False),
        }
    return {}


def _check_between_fields(config: dict[str, Any]) -> None:
    for key, least in AT_LEAST.items():
        value = _value_at(config, key)
        if isinstance(value, int | float) and value < least:
            raise UserError(f"{key}={value}: must be {least} or more.")
    _check_sizes("", config)
    _check_root(config)
    _check_teacher_values(config["data"])
    _check_augment(config["augment"])
    _check_trainer(config["trainer"])
    _check_monitors(config["callbacks"] or {}, config["trainer"].get("max_epochs"))
    _check_model(config["model"])
    _check_fine_tuning(config)
    _check_start_size(config["data"].get("start_size"), config)


def _check_sizes(key: str, value: Any) -> None:
    """Raise UserError for a number at any depth that is not finite or larger than any use of it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        _check_sizes(f"{key}.{name}" if key else str(name), item)
    if isinstance(value, int | float):
        if value != value:
            raise UserError(f"{key}=nan: must be a number.")
        if isinstance(value, float) and math.isfinite(value) and key not in AT_MOST:
            return
        most = LARGEST_SEED if key in SEEDS else AT_MOST.get(key, LARGEST)
        if not abs(value) <= most:
            raise UserError(f"{key}={value}: must be at most {most:,}.")


def _check_start_size(start: int | None, config: dict[str, Any]) -> None:
    final = config["model"]["input_size"]
    smallest, _ = smallest_side(_smallest_input(config["model"]), config["model"])
    if start is None:
        return
    if not smallest <= start < final or (final - start) % 8:
        raise UserError(
            f"data.start_size={start}: must be {smallest} or more and a multiple of 8 below model.input_size={final}. "
            "Use null to train on images of one size."
        )
    if config["compile"]:
        raise UserError(
            f"data.start_size={start} with compile=true: each size would be compiled while training. Use "
            "compile=false or data.start_size=null."
        )


def _value_at(config: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _check_augment(augment: dict[str, Any]) -> None:
    order = augment.get("order", [])
    for name in order:
        if augment.get(name) is not None and not isinstance(augment[name], dict):
            raise UserError(
                f"augment.{name}={augment[name]}: must be a node with its own keys, or null. Use "
                f"augment.{name}=null to switch it off, or augment.{name}.KEY=VALUE. conf/augment has the keys."
            )
    check_names(order, [name for name, value in augment.items() if value is None or isinstance(value, dict)])


def _check_root(config: dict[str, Any]) -> None:
    decay, expected = config["ema_decay"], config["expected"] or {}
    if decay is not None and not (isinstance(decay, int | float) and 0 < decay < 1):
        raise UserError(f"ema_decay={decay}: must be between 0 and 1. Use e.g. 0.999, or null for no average.")
    for metric, span in expected.items() if isinstance(expected, dict) else [("", expected)]:
        if metric not in EXPECTED or not (span is None or _is_range(span)):
            key = f"expected.{metric}" if metric else "expected"
            raise UserError(
                f"{key}={span}: must be {{metric: [low, high]}}, two numbers in this order. Allowed metrics: "
                f"{', '.join(EXPECTED)}."
            )


def _is_range(span: Any) -> bool:
    are_numbers = isinstance(span, list) and all(isinstance(end, int | float) for end in span)
    return are_numbers and len(span) == 2 and span[0] <= span[1]


def _check_teacher_values(data: dict[str, Any]) -> None:
    share, temperature = data["teacher_share"], data["teacher_temperature"]
    if not 0 <= share <= 1:
        raise UserError(f"data.teacher_share={share}: must be from 0 (labels only) to 1 (no labels). Use e.g. 0.7.")
    if not temperature > 0:
        raise UserError(f"data.teacher_temperature={temperature}: must be greater than 0. Use 1 for no change.")


def _check_trainer(trainer: dict[str, Any]) -> None:
    for key, reason in TRAINER_REFUSALS.items():
        if key in trainer:
            raise UserError(f"trainer.{key}={trainer[key]}: not used here. {reason}.")
    for key, allowed in (("precision", PRECISIONS), ("accelerator", ACCELERATORS)):
        value = trainer.get(key, allowed[0])
        if value not in allowed:
            raise UserError(f"trainer.{key}={value}: must be one of {', '.join(allowed)}.")
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "devices"):
        if trainer.get(key) == 0:
            raise UserError(f"trainer.{key}=0: must be more than 0. Every run trains, validates and tests.")
    for key in ("limit_val_batches", "limit_test_batches"):
        if isinstance(trainer.get(key), float) and trainer[key] != 1:
            raise UserError(f"trainer.{key}={trainer[key]}: must be a whole number of batches, 1 or more.")
    _check_devices(trainer.get("devices", "auto"), trainer.get("accelerator", "auto"))
    epochs = trainer.get("max_epochs")
    if not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"trainer.max_epochs={epochs}: must be 1 or more. The schedule's length depends on it.")
    if trainer.get("accelerator") == "cpu" and str(trainer.get("precision")).startswith("16"):
        raise UserError(
            f"trainer.precision={trainer['precision']} with trainer.accelerator=cpu: 16-bit floats need a GPU. "
            "Use trainer.precision=bf16-mixed or trainer.precision=32-true."
        )


def _check_devices(devices: Any, accelerator: str) -> None:
    """Raise UserError for devices that Lightning cannot read, and for other devices of a CPU than a number of them."""
    if isinstance(devices, str) and re.fullmatch(r"-?\d{1,4}(,\d{1,4})*", devices):
        devices = [int(part) for part in devices.split(",")] if "," in devices else int(devices)
    numbers = devices if isinstance(devices, list) else [devices]
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if devices == "auto" or (accelerator == "cpu" and isinstance(devices, int) and devices >= 1):
        return
    if accelerator == "cpu" or not whole or not numbers or min(numbers) < (0 if isinstance(devices, list) else -1):
        raise UserError(
            f"trainer.devices={devices} with trainer.accelerator={accelerator}: must be auto or a number of devices, "
            "1 or more. With a GPU, also -1 (all GPUs) or a list of their indices."
        )


def _check_monitors(callbacks: dict[str, Any], epochs: int) -> None:
    for name in ("best", "last", "table"):
        if callbacks.get(name) is None:
            raise UserError(
                f"callbacks.{name} is not set. Every run must keep best.ckpt, last.ckpt and metrics.csv. "
                "Set it as conf/callbacks/default.yaml does."
            )
    for name, node in callbacks.items():
        monitor = (node or {}).get("monitor")
        if monitor is not None and monitor not in METRICS:
            raise UserError(
                f"callbacks.{name}.monitor={monitor}: no such metric.{did_you_mean(monitor, METRICS)} "
                f"Allowed: {', '.join(METRICS)}."
            )
        mode = (node or {}).get("mode", "max")
        if mode not in ("max", "min"):
            raise UserError(f"callbacks.{name}.mode={mode}: must be max or min.")
        if monitor is not None and mode != _better(monitor):
            raise UserError(
                f"callbacks.{name}.monitor={monitor} with callbacks.{name}.mode={mode}: "
                f"{'smaller' if mode == 'max' else 'larger'} values are better. "
                f"Use callbacks.{name}.mode={_better(monitor)}."
            )
    patience = (callbacks.get("early_stopping") or {}).get("patience")
    if patience is not None and patience >= epochs:
        raise UserError(
            f"callbacks.early_stopping.patience={patience} with trainer.max_epochs={epochs}: it can never "
            f"stop the run. Use {f'a patience below {epochs}, or ' if epochs > 1 else ''}null."
        )


def _better(metric: str) -> str:
    """Return the direction in which a metric improves: max or min."""
    return "min" if metric.endswith(("/loss", "/ce")) else "max"


def _check_model(model: dict[str, Any]) -> None:
    required = ("input_size", "in_channels", "mean", "std")
    for key in required:
        if key not in model:
            raise UserError(
                f"model.{key} is not set. The model's YAML must set {', '.join(required)}. With weights: null and "
                "init: null, a run can name weights to start from. Set them as conf/model/timm.yaml does."
            )
    check_input_size(_smallest_input(model), model["input_size"], model)
    weights = model.get("weights")
    if weights and not Path(weights).is_file():
        raise UserError(f"model.weights={weights}: no such file. Name a checkpoint file, or use model.weights=null.")
    if model["_target_"] == "fer_lightning.models.emonext.EmoNeXt" and model.get("pretrained"):
        from fer_lightning.models.imagenet_weights import locate

        locate(model["size"], model["pretrained"])


def _check_fine_tuning(config: dict[str, Any]) -> None:
    model, epochs, factor = config["model"], config["freeze_epochs"], config["init_lr_factor"]
    init, most = model.get("init"), config["trainer"]["max_epochs"] - 1
    for key in ("weights", "pretrained"):
        if init and model.get(key):
            raise UserError(
                f"model.init={init} with model.{key}={model[key]}: the network can start from one of them. Use "
                f"model.{key}={'false' if model[key] is True else 'null'}, or model.init=null."
            )
    for key, value in (("freeze_epochs", epochs), ("init_lr_factor", factor)):
        if value is not None and not init:
            raise UserError(
                f"{key}={value} without model.init: no weight comes from another run. Name the run with "
                f"model.init=outputs/NAME/RUN, or use {key}=null."
            )
    if epochs is not None and not 0 <= epochs <= most:
        raise UserError(
            f"freeze_epochs={epochs} with trainer.max_epochs={most + 1}: must be from 0 to {most}, so that at least "
            "one epoch trains all weights."
        )
    if factor is not None and not 0 < factor <= 1:
        raise UserError(
            f"init_lr_factor={factor}: must be greater than 0 and at most 1. Use e.g. 0.1. To keep the weights as they "
            "are in the first epochs, use freeze_epochs."
        )


def _smallest_input(model: dict[str, Any]) -> dict[str, int]:
    """Return the limits that the network's class declares; without them every image is large enough."""
    target = model["_target_"]
    with suppress(ValueError, TypeError, AttributeError):  # raised if it is computed, or not a mapping
        limits = class_constant(target, "smallest_input")
        if limits is None:
            return {"": 1}
        if "" in limits and all(isinstance(side, int) and isinstance(key, str) for key, side in limits.items()):
            return limits
    raise UserError(
        f'{target}: its smallest_input must be a mapping of plain numbers of pixels, such as {{"": 32}}, or '
        '{"": 32, "attention=tokens": 64} with a larger side for one option. Write it so in the class.'
    )


def _check_split(data: dict[str, Any]) -> None:
    split, fold, folds = data["split"], data["fold"], data["folds"]
    has_folds = split in ("fold", "training_fold")
    if has_folds and (fold is None or fold >= folds):
        raise UserError(
            f"data.split={split} with data.fold={fold}: data.fold must name the fold to test. Use data.fold=0 to "
            f"{folds - 1}, or -m data.fold={','.join(map(str, range(folds)))} for one run per fold."
        )
    if not has_folds and fold is not None:
        raise UserError(
            f"data.fold={fold} with data.split={split}: only data.split=fold and data.split=training_fold have folds. "
            "Use one of these splits, or data.fold=null."
        )


def _check_teacher(data: dict[str, Any], checksum: str | None) -> None:
    """Raise UserError if the teacher file cannot teach these rows.

    checksum  checksum of the faces; None if it is known only after they are read
    """
    path = data.get("teacher")
    if data.get("labels") not in FROM_TEACHER:
        if path is not None:
            raise UserError(
                f"data.teacher={path} with data.labels={data.get('labels')}: only {' and '.join(FROM_TEACHER)} use the "
                "file. Use data.labels=teacher, or data.teacher=null."
            )
        return
    if data["split"] not in TEACHER_SPLITS:
        raise UserError(
            f"data.labels={data['labels']} with data.split={data['split']}: must be one of "
            f"{', '.join(TEACHER_SPLITS)}. In other splits, the teacher of a row was trained on test rows, or the row "
            "has no teacher."
        )
    from fer_lightning.data.teacher import read_teacher

    read_teacher(path, classes=taxonomy_of(data).classes, data=checksum)


def _check_votes(config: dict[str, Any], votes: bool) -> None:
    from fer_lightning.data.store import HOW_TO_ADD_VOTES, WITHOUT_VOTES

    wanted = {"data.labels": config["data"].get("labels")}
    wanted |= {f"callbacks.{name}.monitor": (node or {}).get("monitor") for name, node in config["callbacks"].items()}
    for key, value in wanted.items():
        if not votes and "ferplus" in str(value):
            raise UserError(
                f"{key}={value}: {config['data']['_target_']} has no FER+ votes. {HOW_TO_ADD_VOTES} {WITHOUT_VOTES}"
            )


def _check_data(config: dict[str, Any]) -> None:
    data = config["data"]
    _check_split(data)
    if data["_target_"] != "fer_lightning.data.fer2013.load":
        _check_teacher(data, None)
        _check_votes(config, votes=False)
        return
    from fer_lightning.data.store import (
        classes_problem,
        color_problem,
        official_split_problem,
        read_manifest,
        store_problem,
    )

    problem = store_problem(data["root"])
    if problem:
        raise UserError(problem)
    manifest = read_manifest(Path(data["root"]))
    if data["split"].startswith(("official", "training_fold")) and (problem := official_split_problem(manifest)):
        raise UserError(f"data.split={data['split']}: {problem}")
    _check_votes(config, votes=bool(manifest["votes"]))
    if data.get("extra") and not os.path.exists(data["extra"]):
        raise UserError(f"data.extra={data['extra']}: no such file or folder.")
    if problem := classes_problem(taxonomy_of(data), manifest, data.get("extra")):
        raise UserError(problem)
    if problem := color_problem(manifest, config["model"]["in_channels"]):
        raise UserError(problem)
    _check_teacher(data, None if data.get("extra") else manifest["checksum"])


def _warnings(config: dict[str, Any]) -> list[str]:
    warnings = []
    weights_classes = "class_counts" in signature(config["loss"]["_target_"]).parameters
    if weights_classes and class_constant(config["sampler"]["_target_"], "corrects_imbalance"):
        warnings.append("a weighted sampler with a weighted loss corrects the imbalance twice")
    model = config["model"]
    is_convnext = model["_target_"].endswith(".EmoNeXt") or "convnext" in str(model.get("name"))
    if is_convnext and config["optim"]["_target_"].endswith(".Muon"):
        warnings.append(
            "Muon rescales the weights of convolutions, so a normalisation must follow each of them. In ConvNeXt it "
            "does not. Use optim=adamw"
        )
    return warnings
