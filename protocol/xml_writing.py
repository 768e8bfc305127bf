"""Text into XML 1.0 by string formatting, escaped as exclusive C14N does: what is written is canonical already."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import ELEMENT_TYPE, ExchangeError

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Octets of UTF-8 text that needs nothing done to it, neither as content nor as an attribute. Above U+CFFF (lead octets
# ED to EF, where the forbidden characters begin) and in U+007F text is looked at character by character.
_PLAIN: Final = bytes({*range(0x20, 0xED), *range(0xF0, 0x100)} - {*b'&<>"', 0x7F})
_PLAIN_LINES: Final = _PLAIN + b'\t\n"'


def escape(text: str, element: str = "") -> str:
    """`text` as element content (C14N §2.3). Raises `element.type` naming `element` for what XML 1.0 §2.2 forbids."""
    if not text.encode("utf-8", "surrogatepass").translate(None, _PLAIN_LINES):
        return text
    if _ILLEGAL.search(text):
        raise ExchangeError(ELEMENT_TYPE, element=element)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def escape_attribute(text: str, element: str = "") -> str:
    """`text` as an attribute value between double quotes (C14N §2.3); errors as `escape`."""
    if not text.encode("utf-8", "surrogatepass").translate(None, _PLAIN):
        return text
    if _ILLEGAL.search(text):
        raise ExchangeError(ELEMENT_TYPE, element=element)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")


def legal(text: str) -> str:
    """`text` with U+FFFD in place of what XML 1.0 forbids: for error sentences, which must never fail."""
    return _ILLEGAL.sub("\ufffd", text)
