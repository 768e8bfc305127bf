"""The `Content-Type` header: media type and parameters, and the multipart boundary (RFC 2045 §5.1, RFC 2046 §5.1.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from protocol.content_ids import unescaped
from protocol.errors import MIME_MALFORMED, ExchangeError

MAX_CONTENT_TYPE: Final = 4096
"""Characters of a Content-Type value; longer ones are nobody's honest work."""
MAX_BOUNDARY: Final = 200
"""RFC 2046 says 70; some stacks write more."""

_MEDIA_TYPE: Final = re.compile(r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*(?=;|$)")
# Unquoted values may hold what RFC 2045 would have quoted: `type=text/xml; start=<root@x>` is common.
_PARAMETER: Final = re.compile(
    r";[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*"
    r'(?:"((?:[^"\\\r\n]|\\[^\r\n])*+)"|([^;"\s]*+))[ \t]*)?(?=;|$)'
)
_ESCAPE: Final = re.compile(r"\\(.)")
_BOUNDARY: Final = re.compile(rf"[ -~]{{0,{MAX_BOUNDARY - 1}}}[!-~]")


@lru_cache(maxsize=256)
def parse_content_type(value: str) -> tuple[str, Mapping[str, str]]:
    """The media type in lower case, and the parameters by lower-case name, values unquoted.

    Empty parameters (`a/b;`) are tolerated. Raises `mime.malformed` for bad syntax and for a parameter given twice:
    two boundaries would let two readers see two messages. Remembered: a handful of values make up all traffic, and the
    value of a multipart message is asked for more than once.
    """
    media = _MEDIA_TYPE.match(value) if len(value) <= MAX_CONTENT_TYPE else None
    if media is None:
        raise ExchangeError(MIME_MALFORMED, element="Content-Type")
    parameters: dict[str, str] = {}
    position = media.end()
    while position < len(value):
        found = _PARAMETER.match(value, position)
        if found is None:
            raise ExchangeError(MIME_MALFORMED, element="Content-Type")
        position = found.end()
        if found[1] is not None:
            _add(parameters, found[1].lower(), found[3] if found[2] is None else _ESCAPE.sub(r"\1", found[2]))
    return media[1].lower(), parameters


def _add(parameters: dict[str, str], name: str, value: str) -> None:
    if name in parameters:
        raise ExchangeError(MIME_MALFORMED, element=f"Content-Type; {name}")
    parameters[name] = value


def check_boundary(boundary: str) -> bytes:
    """The octets of 1 to 200 printable ASCII characters, no space last; else raises `mime.malformed`."""
    if _BOUNDARY.fullmatch(boundary) is None:
        raise ExchangeError(MIME_MALFORMED, element="boundary")
    return boundary.encode("ascii")


def bare_content_id(value: str) -> str:
    """A Content-ID without white space around it, its angle brackets (RFC 2045 §7; both forms occur) and escapes."""
    bare = value.strip(" \t")
    return unescaped(bare[1:-1].strip(" \t") if bare.startswith("<") and bare.endswith(">") else bare)
