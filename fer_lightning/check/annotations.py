"""Keywords and constants of a config's `_target_`, read from its source without importing it.

Importing torch or Lightning takes seconds; a bad config must be rejected before that. So the defining module is found
on disk, and names, annotations and defaults of the constructor or function are read from its syntax tree.
"""

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fer_lightning.wording import did_you_mean

KINDS = (ast.ClassDef, ast.FunctionDef)  # what a target can be


@dataclass(frozen=True)
class Parameter:
    """One keyword that a target accepts; `annotation` is its source text, or '' if it is not annotated."""

    name: str
    annotation: str
    required: bool


@dataclass(frozen=True)
class Signature:
    """Keywords that a target accepts, by name."""

    parameters: dict[str, Parameter]
    open_ended: bool  # accepts **kwargs


class TargetNotFound(LookupError):
    """Error for a dotted path whose module does not exist, cannot be parsed or does not define the name.

    Its text is one or more whole sentences.
    """


@cache
def signature(target: str) -> Signature:
    """Return the keywords of a dotted path such as `fer_lightning.losses.focal.Focal`. Raise TargetNotFound."""
    module_name, _, name = target.rpartition(".")
    tree = _syntax(module_name)
    node = _definition(tree, name)
    if node is None:
        names = [item.name for item in tree.body if isinstance(item, KINDS)]
        raise TargetNotFound(
            f"{module_name} does not define {name!r}.{did_you_mean(name, names)} Its classes and "
            f"functions: {', '.join(names)}."
        )
    if isinstance(node, ast.ClassDef):
        return _class_signature(node, tree, module_name)
    return _function_signature(node, skip_first=False)


def class_constant(target: str, name: str) -> Any:
    """Return the plain value of an attribute that a class's body sets, or None. Raise TargetNotFound."""
    module_name, _, class_name = target.rpartition(".")
    node = _definition(_syntax(module_name), class_name)
    for item in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == name:
            return ast.literal_eval(item.value)
    return None


def source_file(module_name: str) -> Path:
    """Return the file of a module without importing any code of its parents. Raise TargetNotFound."""
    top, *rest = module_name.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None or not spec.submodule_search_locations:
        raise TargetNotFound(f"The package {top!r} is not installed.")
    base = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    siblings = sorted(path.stem for path in base.parent.glob("*.py"))
    raise TargetNotFound(f"The module {module_name!r} does not exist.{did_you_mean(base.name, siblings)}")


@cache
def _syntax(module_name: str) -> ast.Module:
    file = source_file(module_name)
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise TargetNotFound(f"{file}, line {error.lineno}: {error.msg}. Fix this line.") from None


def _definition(tree: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    return next((node for node in tree.body if isinstance(node, KINDS) and node.name == name), None)


def _class_signature(node: ast.ClassDef, tree: ast.Module, module_name: str) -> Signature:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _function_signature(item, skip_first=True)
    if _is_dataclass(node):
        return _dataclass_signature(node)
    for base in node.bases:
        inherited = _base_signature(base, tree, module_name)
        if inherited is not None:
            return inherited
    return Signature({}, open_ended=False)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _dataclass_signature(node: ast.ClassDef) -> Signature:
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Signature(
        {
            item.target.id: Parameter(item.target.id, ast.unparse(item.annotation), item.value is None)
            for item in fields
        },
        open_ended=False,
    )


def _base_signature(base: ast.expr, tree: ast.Module, module_name: str) -> Signature | None:
    name, _, inner = ast.unparse(base).partition(".")
    local = _definition(tree, name)
    if isinstance(local, ast.ClassDef):
        return _class_signature(local, tree, module_name)
    for item in tree.body:
        if isinstance(item, ast.ImportFrom) and item.module and not item.level:
            for alias in item.names:
                if (alias.asname or alias.name) == name:
                    try:
                        return signature(".".join(filter(None, (item.module, alias.name, inner))))
                    except TargetNotFound:
                        return None
    return None


def _function_signature(node: ast.FunctionDef, *, skip_first: bool) -> Signature:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    first_default = len(positional) - len(spec.defaults)
    parameters = {arg.arg: _parameter(arg, required=index < first_default) for index, arg in enumerate(positional)}
    if skip_first and positional:
        del parameters[positional[0].arg]
    for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        parameters[arg.arg] = _parameter(arg, required=default is None)
    return Signature(parameters, open_ended=spec.kwarg is not None)


def _parameter(arg: ast.arg, *, required: bool) -> Parameter:
    return Parameter(arg.arg, ast.unparse(arg.annotation) if arg.annotation else "", required)
