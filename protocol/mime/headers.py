"""The header block of one part (RFC 2045 §3, RFC 5322 §2.2): names, folded values, and nothing that hides a line."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import MIME_MALFORMED, ExchangeError

_NAME: Final = re.compile(r"[!-9;-~]+")
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_FOREIGN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")


def parse_headers(block: bytes) -> dict[str, str]:
    """Headers by lower-case name, values unfolded and stripped; UTF-8, else ISO 8859-1.

    Lines may end in LF alone. Raises `mime.malformed` for a line without a name, control characters, and a `Content-*`
    header given twice (two readers would choose differently); of other repeated headers the first counts.
    """
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    if _FOREIGN.search(text):
        raise ExchangeError(MIME_MALFORMED, element="header")
    headers: dict[str, str] = {}
    for line in _FOLD.sub("", text).split("\n"):
        if line:
            _add(headers, line)
    return headers


def _add(headers: dict[str, str], line: str) -> None:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t").lower()
    if not colon or _NAME.fullmatch(name) is None:
        raise ExchangeError(MIME_MALFORMED, element="header")
    if name not in headers:
        headers[name] = value.strip(" \t\r")
    elif name.startswith("content-"):
        raise ExchangeError(MIME_MALFORMED, element=name)
