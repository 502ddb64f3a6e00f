"""Keywords and constants of a config's `_target_`, read from its source without importing it.

Importing torch or Lightning takes seconds; a bad config must be rejected before that. So the defining module is found
on disk, and names, annotations and defaults of the constructor or function are read from its syntax tree.
"""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fer_lightning.wording import did_you_mean

KINDS = (ast.ClassDef, ast.FunctionDef)  # what a target can be
MODULE = "torch.nn.modules.module.Module"  # its constructor names **kwargs and rejects all of them
LONGEST_CHAIN = 10  # imports through which a name is followed


@dataclass(frozen=True)
class Parameter:
    """One keyword that a target accepts.

    annotation  source text without quotes and module names; '' if it is not annotated
    default     source text; '' without a default
    """

    name: str
    annotation: str
    required: bool
    default: str = ""


@dataclass(frozen=True)
class Signature:
    """Keywords that a target accepts, by name."""

    parameters: dict[str, Parameter]
    open_ended: bool  # accepts **kwargs, or inherits a constructor that cannot be read
    is_function: bool = False


@dataclass(frozen=True)
class Definition:
    """Class or function in the syntax tree of its module."""

    module: str
    node: ast.ClassDef | ast.FunctionDef


class TargetNotFound(LookupError):
    """Error for a dotted path whose module does not exist, cannot be parsed or does not define the name.

    Its text is one or more whole sentences.
    """


@cache
def signature(target: str) -> Signature:
    """Return the keywords of a dotted path such as `fer_lightning.losses.focal.Focal`. Raise TargetNotFound."""
    definition = _target(target)
    if isinstance(definition.node, ast.ClassDef):
        return _constructor(definition) or Signature({}, open_ended=False)
    return _function_signature(definition.node)


def class_constant(target: str, name: str) -> Any:
    """Return the plain value that the body of a class or of its bases assigns to a name; None if none assigns it.

    Raise TargetNotFound. Raise ValueError if the value must be computed.
    """
    return _constant(_target(target), name)


def _constant(definition: Definition, name: str) -> Any:
    if not isinstance(definition.node, ast.ClassDef):
        return None
    for item in definition.node.body:
        targets = item.targets if isinstance(item, ast.Assign) else [getattr(item, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets) and item.value:
            return ast.literal_eval(item.value)
    inherited = (_constant(base, name) for base in _bases(definition) if base)
    return next((value for value in inherited if value is not None), None)


def _target(target: str) -> Definition:
    """Return the definition of a target: in its module, or in a module of the package that exports it."""
    module, _, name = target.rpartition(".")
    tree = _syntax(module)
    definition = _find(module, name)
    if definition is None or not f"{definition.module}.".startswith(f"{module}."):
        names = _exported(module, tree)
        allowed = (
            f"Its classes and functions: {', '.join(names)}." if names else "It defines neither classes nor functions."
        )
        raise TargetNotFound(f"{module} does not define {name!r}.{did_you_mean(name, names)} {allowed}")
    return definition


def _exported(module: str, tree: ast.Module) -> list[str]:
    """Return the names that a module defines, and those that a package imports from its own modules."""
    own = [item.name for item in tree.body if isinstance(item, KINDS)]
    sources = [(name, origin.rpartition(".")[0]) for name, origin in _imports(module, tree) if name != "*"]
    return own + [name for name, source in sources if source.startswith(f"{module}.")]


def _find(module: str, name: str, longest: int = LONGEST_CHAIN) -> Definition | None:
    """Return the definition of a name that a module uses, such as `nn.Module`; None if it cannot be followed."""
    try:
        tree = _syntax(module)
    except TargetNotFound:
        return None
    if node := _definition(tree, name):
        return Definition(module, node)
    first, _, rest = name.partition(".")
    for bound, origin in _imports(module, tree) if longest else ():
        if bound in (first, "*"):
            path = ".".join(filter(None, (origin, first if bound == "*" else "", rest)))
            if definition := _find(*path.rpartition(".")[::2], longest - 1):
                return definition
    return None


def _imports(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that a module imports and its dotted path; for `from x import *`, * and x."""
    package = module if source_file(module).name == "__init__.py" else module.rpartition(".")[0]
    for item in tree.body:
        if isinstance(item, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * item.level + (item.module or ""), package)
            for alias in item.names:
                yield alias.asname or alias.name, origin if alias.name == "*" else f"{origin}.{alias.name}"
        elif isinstance(item, ast.Import):
            for alias in item.names:
                first = alias.name.partition(".")[0]
                yield alias.asname or first, alias.name if alias.asname else first


def source_file(module_name: str) -> Path:
    """Return the file of a module without importing any code of its parents. Raise TargetNotFound."""
    top, *rest = module_name.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec and not rest and str(spec.origin).endswith(".py"):
        return Path(spec.origin)
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


def _constructor(definition: Definition) -> Signature | None:
    """Return the keywords of the constructor that a class has or inherits; None if it is that of `object`."""
    node = definition.node
    if f"{definition.module}.{node.name}" == MODULE:
        return Signature({}, open_ended=False)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _function_signature(item, is_method=True)
    constructors = map(_inherited, _bases(definition))
    if _is_dataclass(node):
        return _dataclass_signature(node, list(filter(None, constructors)))
    return next(filter(None, constructors), None)


def _inherited(base: Definition | None) -> Signature | None:
    """Return the keywords of a base; any keyword if the base cannot be read."""
    is_class = base is not None and isinstance(base.node, ast.ClassDef)
    return _constructor(base) if is_class else Signature({}, open_ended=True)


def _bases(definition: Definition) -> Iterator[Definition | None]:
    """Yield the definition of each base of a class; None if it cannot be followed."""
    for base in definition.node.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        if name != "object":
            inherited = _find(definition.module, name)
            yield None if inherited == definition else inherited  # a class may have the name of its base


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _dataclass_signature(node: ast.ClassDef, bases: list[Signature]) -> Signature:
    parameters = {}
    for base in reversed(bases):
        parameters |= base.parameters
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            parameters[item.target.id] = _parameter(item.target.id, item.annotation, item.value)
    return Signature(parameters, open_ended=any(base.open_ended for base in bases))


def _function_signature(node: ast.FunctionDef, *, is_method: bool = False) -> Signature:
    """Return the keywords of a function, or of a method without `self`."""
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults = [None] * (len(positional) - len(spec.defaults)) + spec.defaults
    arguments = list(zip([*positional, *spec.kwonlyargs], [*defaults, *spec.kw_defaults], strict=True))
    keywords = arguments[1:] if is_method and positional else arguments
    parameters = {arg.arg: _parameter(arg.arg, arg.annotation, default) for arg, default in keywords}
    return Signature(parameters, open_ended=spec.kwarg is not None, is_function=not is_method)


def _parameter(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    text = ast.unparse(_Simplified().visit(annotation)) if annotation else ""
    return Parameter(name, text, default is None, ast.unparse(default) if default else "")


class _Simplified(ast.NodeTransformer):
    """Annotation in one spelling: `t.Optional['t.List[int]']` becomes `Optional[list[int]]`."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(node.id.lower() if node.id in ("Dict", "List", "Tuple") else node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self.visit(ast.Name(node.attr))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        try:
            return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node
        except SyntaxError:
            return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = self.visit(node.value)
        inner = node.slice if ast.unparse(name) == "Literal" else self.visit(node.slice)
        if ast.unparse(name) == "tuple" and isinstance(inner, ast.Tuple) and ast.unparse(inner.elts[-1]) == "...":
            return ast.Subscript(ast.Name("list"), inner.elts[0])
        return ast.Subscript(name, inner)
