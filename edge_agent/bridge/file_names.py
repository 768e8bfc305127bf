"""File names that every system takes: a DocumentId and a sender's attachment name are text, never paths."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 120
"""UTF-8 octets of a name we give; file systems stop at 255, archives and paths add to it."""
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
        mark = hashlib.sha256(text.encode()).hexdigest()[:8]  # two long names must not become one
        suffix = suffix if len(suffix.encode()) <= LONGEST // 4 else ""
        stem = f"{_cut(stem, LONGEST - len(suffix.encode()) - 9)}-{mark}"
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
    """`a.pdf` → `a (2).pdf`."""
    stem, dot, extension = name.rpartition(".")
    return f"{stem} ({count}).{extension}" if dot and stem else f"{name} ({count})"


def _cut(text: str, octets: int) -> str:
    return text.encode()[: max(octets, 1)].decode(errors="ignore").rstrip(". ")
