"""Text into XML 1.0 by string formatting, escaped as exclusive C14N does: what is written is canonical already."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import ELEMENT_TYPE, ExchangeError

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str, element: str = "") -> str:
    """`text` as element content (C14N §2.3). Raises `element.type` naming `element` for what XML 1.0 §2.2 forbids."""
    if not _plain(text) and _ILLEGAL.search(text):
        raise ExchangeError(ELEMENT_TYPE, element=element)
    if "&" in text:
        text = text.replace("&", "&amp;")
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def escape_attribute(text: str, element: str = "") -> str:
    """`text` as an attribute value between double quotes (C14N §2.3); errors as `escape`."""
    if not _plain(text) and _ILLEGAL.search(text):
        raise ExchangeError(ELEMENT_TYPE, element=element)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")


def _plain(text: str) -> bool:
    """Whether `text` is lines of printable characters: none is forbidden, and this is ten times cheaper to see."""
    return text.isprintable() or text.replace("\n", "").isprintable()


def legal(text: str) -> str:
    """`text` with U+FFFD in place of what XML 1.0 forbids: for error sentences, which must never fail."""
    return _ILLEGAL.sub("\ufffd", text)
