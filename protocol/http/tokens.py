"""Blanks the token in a package B envelope before the envelope is kept: it is a password, not part of the document."""

from __future__ import annotations

import re
from typing import Final

from lxml import etree

from protocol.xml_reading import local_name

_TOKEN: Final = re.compile(
    rb"(<(?:[\w.-]+:)?Token(?:\s[^<>]*)?>)(?:[^<]|<!\[CDATA\[.*?\]\]>|<!--.*?-->)*+(?=</)", re.DOTALL
)


def without_token(original: bytes, root: etree._Element) -> bytes:
    """`original` with the text of every `Token` element removed and every other octet as it was.

    `root` is the envelope that was parsed from it. Octets that the pattern cannot follow (UTF-16, elements inside
    Token) are written anew from the parsed tree.
    """
    elements = [element for element in root.iter("{*}Token") if local_name(element) == "Token"]
    blanked, times = _TOKEN.subn(rb"\1", original)
    if times >= sum(1 for element in elements if element.text or len(element)):
        return blanked
    for element in elements:
        element.clear()
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
