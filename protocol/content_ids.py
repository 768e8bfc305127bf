"""Content-IDs as they are compared: a reference may escape what its part writes plainly (RFC 2392)."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN: Final = re.compile(r'[^\s%<>"\x00-\x1f\x7f]+')
"""What may stand in a header between angle brackets, and is not an escape again."""


def unescaped(content_id: str) -> str:
    """`a@b` for `a%40b`. An id that is no plain name when unescaped stays as it is.

    Asked on both sides, of the reference and of the part, so that ids written alike stay alike.
    """
    if "%" not in content_id:
        return content_id
    octets = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), content_id.encode("utf-8", "replace"))
    try:
        name = octets.decode("utf-8")
    except UnicodeDecodeError:
        return content_id
    return name if _PLAIN.fullmatch(name) else content_id
