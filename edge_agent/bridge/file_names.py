"""File names that every system takes: a DocumentId and a sender's attachment name are text, never paths."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from typing import Final

LONGEST: Final = 120
"""UTF-8 octets of a name we give; file systems stop at 255, archives and paths add to it."""
NAME_MAX: Final = 255
"""UTF-8 octets that a file system takes for one name."""
_WRITING: Final = 15
"""Octets that `durable.write_file` puts around a name while it writes."""
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"COM{n}" for n in range(1, 10)), *(f"LPT{n}" for n in range(1, 10))}
)
"""Device names of Windows."""


def safe_name(text: str, *, fallback: str = "tep") -> str:
    """`text` as one file name: NFC, no separators, no leading dot, no device name, short; the extension survives."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip().strip(".").strip() or fallback
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    if stem.split(".", 1)[0].upper() in _RESERVED:
        stem = f"_{stem}"
    suffix = f".{extension}" if extension else ""
    if len(f"{stem}{suffix}".encode()) > LONGEST:
        suffix = suffix if len(suffix.encode()) <= LONGEST // 4 else ""
        stem = _shortened(stem, LONGEST - len(suffix.encode()), text)
    return f"{stem}{suffix}"


def safe_id(document_id: str) -> str:
    """A DocumentId as part of a folder name: `H21.16,2026/11/20,123/SVDA-VP` → `H21.16_2026-11-20_123-SVDA-VP`."""
    return safe_name(document_id.replace(",", "_").replace("/", "-").replace(" ", "_"), fallback="van-ban")[:80].strip()


def distinct(names: list[str], taken: frozenset[str] = frozenset()) -> list[str]:
    """The names in order, a repeated one numbered (`a.pdf`, `a (2).pdf`); letters' case does not tell files apart."""
    used = {name.casefold() for name in taken}
    found = []
    for name in names:
        candidate, count = name, 1
        while candidate.casefold() in used:
            count += 1
            candidate = numbered(name, count)
        used.add(candidate.casefold())
        found.append(candidate)
    return found


def numbered(name: str, count: int) -> str:
    """`a.pdf` → `a (2).pdf`; a name that would get too long for a file system is cut."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        stem, extension = name, ""
    suffix = f" ({count}){dot}{extension}" if extension else f" ({count})"
    if _octets(stem) + _octets(suffix) <= NAME_MAX:
        return f"{stem}{suffix}"
    suffix = suffix if _octets(suffix) <= NAME_MAX // 2 else f" ({count})"
    return f"{_shortened(stem, NAME_MAX - _octets(suffix), name)}{suffix}"


def beside(name: str, suffix: str) -> str:
    """The name of what we put beside the file `name`: `a.pdf` + `.reason.txt`; cut where a file system would refuse."""
    longest = NAME_MAX - _WRITING
    if _octets(name) + _octets(suffix) <= longest:
        return f"{name}{suffix}"
    return f"{_shortened(name, longest - _octets(suffix), name)}{suffix}"


def nfc(name: str) -> str:
    """The one spelling in which names are compared: other systems write the same name decomposed."""
    return unicodedata.normalize("NFC", name)


def _shortened(text: str, octets: int, whole: str) -> str:
    """`text` cut to `octets`, with a mark of `whole`: two long names must not become one."""
    mark = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return f"{_cut(text, octets - 9)}-{mark}"


def _octets(text: str) -> int:
    return len(os.fsencode(text))


def _cut(text: str, octets: int) -> str:
    return text.encode(errors="ignore")[: max(octets, 1)].decode(errors="ignore").rstrip(". ")
