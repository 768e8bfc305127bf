"""Vietnamese text: canonical Unicode (TCVN 6909:2001), the legacy encodings TCVN3 and VNI, and telling them apart.

Conversion happens at the sending edge only, before the seal; everybody after it only checks.
"""

from __future__ import annotations

from protocol.text import tcvn3, vni
from protocol.text.conversion import Conversion, check, convert
from protocol.text.detection import Encoding, Reading, detect
from protocol.text.fields import rewrite, text_fields, texts
from protocol.text.nfc import is_normal, length, normalise
from protocol.text.syllables import is_possible

__all__ = [
    "Conversion",
    "Encoding",
    "Reading",
    "check",
    "convert",
    "detect",
    "is_normal",
    "is_possible",
    "length",
    "normalise",
    "rewrite",
    "tcvn3",
    "text_fields",
    "texts",
    "vni",
]
