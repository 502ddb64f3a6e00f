"""Parts of `make docs` that mkdocs does not have: links out of docs/, lists in docstrings, missing docstrings.

Pages are also read on GitHub, so they may link to files of the repository, such as `../conf/local/README.md`. Such a
file is copied into the site. mkdocs.yml names this file as a hook and as an extension of griffe.
"""

import logging
import re
from functools import cache
from pathlib import Path

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()\.\./([^)#]+)")
FIELD = re.compile(r"^(\w+(?:, \w+)*) {2,}(\S.*)$")
DOCUMENTED = re.compile(r"^::: (\S+)", flags=re.M)
log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files, config):
    """Add the files of the repository to which pages link."""
    for page in list(files.documentation_pages()):
        text = Path(page.abs_src_path).read_text(encoding="utf-8")
        for _, name in LINK.findall(text):
            if not (ROOT / name).is_file():
                log.warning("%s: ../%s is not a file of the repository", page.src_uri, name)
            elif site_name(name) not in files.src_uris:
                files.append(File.generated(config, site_name(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point such links to the copies; warn of documented objects without a docstring."""
    for path in DOCUMENTED.findall(markdown):
        for name in undocumented(path):
            log.warning("%s: %s has no docstring", page.file.src_uri, name)
    return LINK.sub(lambda match: match[1] + site_name(match[2]), markdown)


def site_name(name: str) -> str:
    """Return the path of a copy in the site; text files get the suffix .txt, so that browsers show them."""
    is_image = name.endswith((".png", ".svg", ".jpg"))
    return f"repository/{name}" + ("" if is_image else ".txt")


def undocumented(path: str) -> list[str]:
    """Return the names of public classes and functions at or below `path` that have no docstring."""
    try:
        paths, stack = [], [package()[path.partition(".")[2]]]
    except KeyError as error:
        raise PluginError(f"docs/api.md names {path}, but the package has no {error}. Correct the name.") from None
    while stack:
        item = stack.pop()
        if item.is_class or item.is_module:
            stack += [member for name, member in item.members.items() if name[0] != "_" and not member.is_alias]
        if not item.is_attribute and not item.docstring:
            paths.append(item.path)
    return sorted(paths)


@cache
def package() -> griffe.Module:
    return griffe.load("fer_lightning", search_paths=[ROOT])


class FieldLists(griffe.Extension):
    """Turn the lines `name  text` of docstrings into lists."""

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(text: str) -> str:
    """Return the docstring with each line `name  text`, and the indented lines after it, as a list item."""
    lines, in_field = [], False
    for line in text.splitlines():
        field = FIELD.match(line)
        if field:
            lines += ([] if in_field else [""]) + [f"- `{field[1]}`: {field[2]}"]
        elif in_field and line.startswith(" "):
            lines.append("  " + line.strip())
        else:
            lines.append(line)
        in_field = bool(field) or (in_field and line.startswith(" "))
    return "\n".join(lines)
