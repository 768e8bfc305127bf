"""The two forms of an agency code: `000.00.16.H21` (QCVN 102:2016, 13 characters) and `H21.16` (QĐ 20/2020/QĐ-TTg).

Both circulate. Everything inside compares and stores the canonical form, which is the newer one; answers go out in the
form that the peer used. Codes of other shapes (`vxp.saas.03`) are accepted and stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_LENGTH: Final = 35
"""Code points of an OrganId (Sửa đổi 1:2022 QCVN 102:2016; 13 before)."""

_CACHED_LENGTH: Final = 2 * MAX_LENGTH
"""Longer texts are no codes, and a cache must not keep them."""

_TOP = "[A-Z][A-Z0-9][0-9]"  # H21, G22, A53, W00, TT2
_OLD = re.compile(rf"[0-9]{{2,3}}(?:\.[0-9]{{2}}){{0,2}}\.{_TOP}")
_NEW = re.compile(rf"{_TOP}(?:\.[0-9A-Z]+)*")
_HAS_OLD = re.compile(rf"({_TOP})(?:\.([0-9]{{2}}))?(?:\.([0-9]{{2}}))?(?:\.([0-9]{{3}}))?")
_TRAILING_ZEROS = re.compile(r"(?:\.0+)+$")
_PLAUSIBLE = re.compile(r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*")


def canonical(code: str) -> str:
    """The QĐ 20/2020 form: an old code has its groups turned round and its trailing zero groups dropped.

    A zero group in the middle stays: without it `000.01.00.H21` and `000.00.01.H21` would be one agency.
    Codes of the national shape are put in capitals; any other code is returned without surrounding space.
    """
    return _canonical(code) if len(code) <= _CACHED_LENGTH else code.strip()


@lru_cache(maxsize=8192)
def _canonical(code: str) -> str:
    stripped = unicodedata.normalize("NFC", code).strip()
    capitals = stripped.upper()
    if _OLD.fullmatch(capitals):
        return _TRAILING_ZEROS.sub("", ".".join(capitals.split(".")[::-1]))
    return capitals if _NEW.fullmatch(capitals) else stripped


def same(first: str, second: str) -> bool:
    """Whether two codes name one agency, whatever form each has."""
    return first == second or canonical(first) == canonical(second)


def old_form(code: str) -> str | None:
    """The 13-character form of QCVN 102:2016, or `None` for a code that has none (deeper, letters, other shapes)."""
    match = _HAS_OLD.fullmatch(canonical(code))
    if match is None:
        return None
    top, second, third, fourth = match.groups()
    return ".".join([fourth or "000", third or "00", second or "00", top])


def is_old_form(code: str) -> bool:
    """Whether `code` is written in the old form, so that an answer can be written in it too."""
    return _OLD.fullmatch(code.strip().upper()) is not None


def is_plausible(code: str) -> bool:
    """Whether `code` can be an agency code at all: dot groups of letters, digits, `-`, `_`; at most 35 characters.

    Deliberately loose: real codes break the official pattern, and the registry decides who exists.
    """
    return len(code) <= MAX_LENGTH and _PLAUSIBLE.fullmatch(code) is not None
