"""Licences as short codes, so that the export compares only one spelling.

cc0 pdm by by-sa by-nc by-nc-sa   the image may be cropped, and shared under the licence's terms
by-nd by-nc-nd                    a crop of the image may not be shared
own                               the collector took the image, and all people in it agreed
unknown                           no licence, or any other licence
"""

import re

CODES = ("cc0", "pdm", "by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd", "own", "unknown")
NO_DERIVATIVES = ("by-nd", "by-nc-nd")

# Licences that allow any publication, those that allow non-commercial publication, and those that require a credit.
FREE = ("own", "cc0", "pdm", "by", "by-sa")
NON_COMMERCIAL = ("by-nc", "by-nc-sa")
BY_FREEDOM = (*FREE, *NON_COMMERCIAL)
NEED_CREDIT = ("by", "by-sa", *NON_COMMERCIAL)

_URL = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?(?:/.*)?")
_LONG = (
    (r"creative-commons", "cc"),
    (r"attribution", "by"),
    (r"share-?alike", "sa"),
    (r"non-?commercial", "nc"),
    (r"no-?deriv(ative)?s?(-works)?", "nd"),
    (r"public-domain", "pd"),
)
_ELEMENTS = r"by(?:-(?:nc|sa|nd))*"
_DEDICATIONS = r"cc0|zero|cc-0|pdm|pd-mark|mark|pd"
# Allowed after the version: versions (`4.0-3.0-2.5`), a jurisdiction (`de`, `scotland`), `international`, `migrated`.
_CODE = re.compile(
    rf"(?P<cc>cc-)?(?P<code>{_ELEMENTS}|{_DEDICATIONS})(?:-(?P<version>\d\.\d)(?:[-,]\d\.\d)*)?(?:-(?!n[cd]$|sa$)[a-z]+)?"
)


def licence_code(text: str | None) -> tuple[str, str | None]:
    """Return (code, version) of a licence's name or URL: `CC BY-SA 4.0` -> (`by-sa`, `4.0`).

    The code is `unknown` unless the text is exactly a Creative Commons licence or mark, `public domain` or `own`.
    """
    name = (text or "").strip().lower()
    if name in ("own", "unknown"):
        return name, None
    if address := _URL.fullmatch(name):
        return _checked(address[1], address[2])
    short = re.sub(r"[\s_-]+", "-", name)
    spelt = short
    for words, code in _LONG:
        spelt = re.sub(words, code, spelt)
    match = _CODE.fullmatch(spelt)
    if match is None or ("attribution" in short and not match["cc"]):  # Commons has its own licence `Attribution`
        return "unknown", None
    return _checked(match["code"], match["version"])


def licence_name(code: str | None, version: str | None) -> str:
    """Return the usual name of a licence: `by-sa`, `4.0` -> `CC BY-SA 4.0`."""
    if code in ("cc0", "pdm"):
        return "CC0" if code == "cc0" else "Public Domain Mark"
    if code in (None, "own", "unknown"):
        return {"own": "own image, with the consent of all people in it"}.get(code, "unknown licence")
    return " ".join(filter(None, ("CC", code.upper(), version)))


def _checked(code: str, version: str | None) -> tuple[str, str | None]:
    if code in ("zero", "cc-0"):
        code = "cc0"
    elif code in ("mark", "pd", "pd-mark"):
        code = "pdm"
    else:
        parts = code.split("-")
        code = "-".join(part for part in ("by", "nc", "sa", "nd") if part in parts) if parts[0] == "by" else code
    is_licence = code in CODES and code not in ("own", "unknown")
    return (code, version) if is_licence else ("unknown", None)


def unusable(code: str) -> str | None:
    """Return the reason why an image with this licence is not collected; None if it may be. A crop is an adaptation."""
    if code in NO_DERIVATIVES:
        return "licence forbids adaptations"
    return "licence unknown" if code == "unknown" else None


def licence_page(code: str, version: str | None) -> str | None:
    """Return the URL of the licence's text; None if code and version do not determine it."""
    if code == "cc0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if code == "pdm":
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    return f"https://creativecommons.org/licenses/{code}/{version}/" if code.startswith("by") and version else None
