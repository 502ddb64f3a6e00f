"""Check the mechanical rules of the project's English; `make lint` runs it.

    python scripts/check_language.py              all tracked files
    python scripts/check_language.py PATH ...     these files and folders

Print one line per fault, with the file, the line and the fix. Exit with status 1 if there is a fault.

- A docstring begins with a verb or a noun phrase, not with "Of", "What", "Whether" or the like.
- A YAML comment is a noun phrase, not the end of a sentence whose subject is the key.
- No sentence has a word or a predicate of `BANNED`.
- No name that Python code declares matches `VAGUE_NAME`, and `figure` is the name of a plot.

In tests/, only docstrings and comments of Python are checked. In prose, names of code, options, paths, addresses and
strings of a single word are ignored. `EXCEPTIONS` lists the lines that may break a rule, each with a reason.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {
    *("", ".py", ".yaml", ".yml", ".md", ".ipynb", ".html", ".js", ".css"),
    *(".sh", ".toml", ".txt", ".def", ".example"),
}

NO_HEAD = {
    *("Of", "By", "Those", "As", "With", "Which", "What", "Who", "Where", "Until", "In", "Whether", "Why", "How"),
    *("That", "Whose", "For", "From", "On", "At", "Behind", "Beside", "Because", "When", "While", "After", "Before"),
}
NO_YAML_HEAD = {
    *("of", "by", "those", "as", "with", "which", "what", "who", "where", "until", "in", "whether", "that", "whose"),
    *("for", "from", "on", "at", "to", "likewise", "because", "when", "while", "behind", "among", "between", "beside"),
}
# Patterns of prose, and the wording to use instead.
BANNED = {
    r"\b(?:is|are|was|were) none\b": "a positive statement: 'is not a ...', 'does not exist' or 'is missing'",
    r"\b(?:is|are|was|were) no (?!longer\b|more\b)[a-z]+": "'is not a ...', 'does not exist' or 'without'",
    r"\bway on\b|\bways on\b": "'fix' or 'what to do next'",
    r"\banew\b": "'again'",
    r"\bin words\b": "'as a message' or 'without a traceback'",
    r"\bheld against\b": "'compared with'",
    r"\b[Ww]hoever\b": "'anyone who' or 'if you'",
    r"\bthis house\b|\bof the house\b|\bhouse's\b": "'this project'",
    r"\bparted by\b": "'separated by'",
    r"\bmend(?:s|ed|ing)?\b": "'fix'",
    r"\bgo(?:es)? on\b|\bwent on\b|\bgoing on\b": "'continue' or 'resume'",
    r"\bstands? (?:in(?! for)|at|on|there|here|above|below|beside|behind|for)\b": "'is'",
    r"\b(?:is|are|was|were|be|being) told\b|\btold of\b": "'is reported' or 'is printed'",
    r"\balone\b": "'only'",
    r"\bnot-a-number\b": "'NaN'",
    r"\bit be\b|\bso it be\b": "'it is'",
    r"\bbethink|\bwhither|\bthence\b|\bhence\b|\bthereof\b": "a plain word",
    r"\b[Pp]ictures?\b": "'image' (pixels) or 'figure' (a plot)",
}
# A name is a noun for a thing, and a verb with its object for an action.
VAGUE_NAME = re.compile(r"(?:\w*_)?(?:about|what|found|known|place|told)_*|_*fitting_*", re.IGNORECASE)
FIGURE_NAME = re.compile(r"_*figures?", re.IGNORECASE)
PLOTS = re.compile(r"matplotlib|_figures\b|\bfigures/")  # in the source of a module that draws or writes plots
# (path, text of the line): reason why the line may break a rule.
EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "fer_lightning/faces/detector.py",
        'name = "whole picture"  # an output name: recipes of crops depend on it',
    ): "a key",
    ("fer_lightning/collect/http/client.py", 'NOT_FOUND = "not found"'): "a status of HTTP",
    (
        "fer_lightning/collect/store/collection.py",
        "picture    one row per distinct image, by the SHA-256 of the downloaded bytes",
    ): "the name of a table",
}
SKIPPED = (
    "docs/pictures/",
    "results/",
    "CHANGELOG.md",
    "scripts/check_language.py",
    "requirements.lock",
    "requirements-torch.lock",
    "LICENSE",
)
# Code inside prose: `code`, addresses, paths, names, options, key=value, $(variables) and attributes of HTML.
CODE = re.compile(
    r"`[^`]*`|https?://\S+|[\w./-]*/[\w./-]*|\w*_\w*|--[\w-]+|\b[\w.]+=[\w.$\"]+|\$\(?\w+\)?|\b(?:class|id|for|name|data-\w+)=\"[^\"]*\""
)
FIELD = re.compile(r"\{[^{}]*\}")  # of an f-string or a template
STRING = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="*", help="files and folders to check")
    faults = [fault for path in tracked(parser.parse_args().paths) for fault in check(path)]
    print("\n".join(faults) or "language: no fault")
    return 1 if faults else 0


def tracked(paths: list[Path]) -> list[Path]:
    """Return the tracked text files; only those below `paths` if it is not empty."""
    command = ["git", "ls-files", "--", *map(str, paths)]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [ROOT / name for name in names if not name.startswith(SKIPPED)]
    files = [path for path in files if path.suffix == ".py" or not is_test(path)]
    return [path for path in files if path.suffix in TEXTS and path.is_file()]


def is_test(path: Path) -> bool:
    return path.is_relative_to(ROOT / "tests")


def check(path: Path) -> list[str]:
    """Return one message per fault of a file."""
    text = path.read_text(encoding="utf-8", errors="ignore")
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    tree = ast.parse(text) if path.suffix == ".py" else None
    if tree and is_test(path):  # strings of tests quote messages and are typed by pretended users
        faults = [*banned(notes(text, tree)), *docstring_heads(tree)]
    elif tree:
        faults = [*banned(python_prose(text)), *docstring_heads(tree), *vague_names(tree), *figure_names(text, tree)]
    else:
        faults = [*banned(prose(path.suffix, text))]
    if path.suffix in (".yaml", ".yml"):
        faults += comment_heads(text)
    lines = text.splitlines()
    shown = {(line, fault) for line, fault in faults if (name, lines[line - 1].strip()) not in EXCEPTIONS}
    return [f"{name}:{line}: {fault}" for line, fault in sorted(shown)]


def prose(suffix: str, text: str) -> Iterable[tuple[int, str]]:
    """Return line number and text of each line of prose in a file."""
    if suffix in (".js", ".css"):
        return script_prose(text)
    if suffix in (".yaml", ".yml"):
        text = re.sub(r"(?m)^[ -]*[\w./@]+:(?= |$)", "", text)  # keys
    return enumerate(text.splitlines(), start=1)


SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE FROM|CREATE TABLE|JOIN|FROM) \w+")


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of comments and strings, except SQL."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and " " in token.string.strip() and not SQL.search(token.string):
            yield from enumerate(token.string.splitlines(), start=token.start[0])


def notes(text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the lines of comments and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in documented(tree):
        literal = node.body[0]
        yield from enumerate(text.splitlines()[literal.lineno - 1 : literal.end_lineno], start=literal.lineno)


def script_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of comments and strings in JavaScript or CSS."""
    for match in re.finditer(rf"/\*.*?\*/|//[^\n]*|{STRING}|`(?:\\.|[^`\\])*`", text, re.DOTALL):
        words = match[0].strip("`")
        if " " in words.strip():
            yield from enumerate(words.splitlines(), start=1 + text.count("\n", 0, match.start()))


def banned(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        words = CODE.sub(" ", FIELD.sub(strings_of, line))
        for pattern, instead in BANNED.items():
            for match in re.finditer(pattern, words):
                yield number, f"{match[0]!r}: write {instead}"


def strings_of(field: re.Match) -> str:
    """Return the strings of more than one word in a field, which may be prose; the rest of the field is code."""
    return " ".join(string for string in re.findall(STRING, field[0]) if " " in string)


def documented(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the module and all classes and functions that have a docstring."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(tree) if isinstance(node, nodes) and ast.get_docstring(node))


def docstring_heads(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in documented(tree):
        head = re.match(r"[A-Za-z]+", ast.get_docstring(node))
        if head and head[0] in NO_HEAD:
            yield node.body[0].lineno, f"docstring begins with {head[0]!r}: begin with a verb or a noun phrase"


def vague_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        name = declared_name(node)
        if VAGUE_NAME.fullmatch(name):
            yield node.lineno, f"name {name!r}: use a noun for a thing, a verb and its object for an action"


def figure_names(text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in () if PLOTS.search(text) else ast.walk(tree):
        name = declared_name(node)
        if FIGURE_NAME.fullmatch(name):
            yield node.lineno, f"name {name!r}: a figure is a plot; use 'metric', or a noun for the thing"


def declared_name(node: ast.AST) -> str:
    """Return the name of the variable, argument, attribute, function, class or alias that a node declares, or ''."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
            return name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            return name
    return ""


def comment_heads(text: str) -> Iterator[tuple[int, str]]:
    before = ""
    for number, line in enumerate(text.splitlines(), start=1):
        head = re.search(r"(?:^|\s)# (\S+)", line)
        continued = line.strip().startswith("#") and before.strip().startswith("#")
        if head and head[1].rstrip(":,") in NO_YAML_HEAD and not continued:
            yield number, f"comment begins with {head[1]!r}: begin with a noun phrase"
        before = line


if __name__ == "__main__":
    sys.exit(main())
