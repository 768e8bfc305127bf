"""Which encoding a Vietnamese text is in: Unicode, TCVN3 or VNI taken as windows-1252.

A reading is scored by the share of possible Vietnamese syllables among the words that tell the readings apart (those
with a letter beyond ASCII). Only a clear win decides, or that all who could win say the same; a wrong guess is worse
than none, for the text is about to be signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from protocol.errors import UNDECODABLE_TEXT, ExchangeError
from protocol.text import tcvn3, vni
from protocol.text.nfc import normalise
from protocol.text.octets import as_characters
from protocol.text.syllables import is_possible

Encoding = Literal["unicode", "tcvn3", "vni"]

CLEAR_SHARE: Final = 0.95
"""A reading wins when at least this share of its words is possible ..."""
CLEAR_LEAD: Final = 0.20
"""... and it is this far ahead of every other reading."""

_DECODERS: Final[dict[Encoding, Callable[[str], str]]] = {
    "unicode": normalise,
    "tcvn3": tcvn3.decode,
    "vni": vni.decode,
}
_COVERS: Final[dict[Encoding, Callable[[str], bool]]] = {"tcvn3": tcvn3.covers, "vni": vni.covers}
# Word separators of every reading: ASCII other than letters, spaces, and the typographic marks of windows-1252 80-9F.
_SEPARATORS = re.compile(r"[\s\x00-\x40\x5b-\x60\x7b-\x7f\u2010-\u203a\u2122]+")
_BEYOND_1252 = re.compile(
    "[^\x00-\xff\u2010-\u203a\u2122\u20ac\u02c6\u02dc\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192]"
)

_UNICODE_MARKS: Final = "«»§°·±®©²³"
"""Typographic characters that are letters in TCVN3: no part of a word when the text is Unicode."""

_ABBREVIATION = re.compile("[A-Z]*Đ[A-ZĐ]*|[A-Z]yĐ")
"""`QĐ`, `HĐND`: no syllable, and in every document number."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A text as read in one encoding.

    `share` (0..1) is the share of possible syllables; it is 1 when no word tells the readings apart. When `certain` is
    false the text is the source unchanged, and `alternatives` holds every reading, best first, for a person to choose.
    """

    encoding: Encoding
    text: str
    certain: bool
    neutral: bool = False
    """Whether every encoding that it may be in gives this very text: it is certain, and tells nothing of the others."""
    share: float = 1.0
    alternatives: tuple[Reading, ...] = ()


def detect(source: str | bytes, declared: Encoding | None = None) -> Reading:
    """The reading of `source`. `declared` (what the agency's profile says) wins unless the text contradicts it.

    Bytes that are valid UTF-8 are Unicode; other bytes are legacy. Raises `text.undecodable` for U+FFFD, the trace of a
    conversion that lost letters.
    """
    text, legacy_only = _as_text(source)
    if "\ufffd" in text:
        raise ExchangeError(UNDECODABLE_TEXT)
    words = [word for word in _SEPARATORS.split(text) if not word.isascii()]
    if not words or (_BEYOND_1252.search(text) and not legacy_only):
        return Reading(encoding="unicode", text=normalise(text), certain=True, share=_share(words, "unicode"))
    readings = [_read(text, words, encoding) for encoding in _DECODERS if not (legacy_only and encoding == "unicode")]
    readings.sort(key=lambda reading: -reading.share)
    return _declared(readings, declared) or _winner(readings, text)


def _as_text(source: str | bytes) -> tuple[str, bool]:
    """The text, and whether it is certainly not Unicode."""
    if isinstance(source, str):
        return source, False
    try:
        return source.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        return as_characters(source), True


def _read(text: str, words: list[str], encoding: Encoding) -> Reading:
    share = _share(words, encoding)
    return Reading(encoding=encoding, text=_DECODERS[encoding](text), certain=True, share=share)


def _share(words: list[str], encoding: Encoding) -> float:
    """The share of words that are possible syllables in this encoding; 1 when there is no word."""
    if not words:
        return 1.0
    return sum(_possible(word, encoding) for word in words) / len(words)


def _possible(word: str, encoding: Encoding) -> bool:
    if encoding != "unicode" and not _COVERS[encoding](word):
        return False
    decoded = _DECODERS[encoding](word)
    if encoding == "unicode":
        decoded = decoded.strip(_UNICODE_MARKS)
    return not decoded or is_possible(decoded) or _ABBREVIATION.fullmatch(decoded) is not None


def _declared(readings: list[Reading], declared: Encoding | None) -> Reading | None:
    """The declared reading, unless another is a clear win over it."""
    if declared is None or _is_clear(readings):
        return next((r for r in readings[:1] if r.encoding == declared), None)
    return next((r for r in readings if r.encoding == declared and r.share >= CLEAR_SHARE), None)


def _is_clear(readings: list[Reading]) -> bool:
    others = max((reading.share for reading in readings[1:]), default=0.0)
    return readings[0].share >= CLEAR_SHARE and readings[0].share - others >= CLEAR_LEAD


def _winner(readings: list[Reading], text: str) -> Reading:
    best = readings[0]
    if _is_clear(readings):
        return best
    rivals = {reading.text for reading in readings if best.share - reading.share < CLEAR_LEAD}
    if best.share >= CLEAR_SHARE and len(rivals) == 1:
        return msgspec.structs.replace(best, neutral=True)
    unicode = next((reading for reading in readings if reading.encoding == "unicode"), None)
    if unicode is not None and _is_foreign(unicode, readings):
        return unicode
    return Reading(encoding=best.encoding, text=text, certain=False, share=best.share, alternatives=tuple(readings))


def _is_foreign(unicode: Reading, readings: list[Reading]) -> bool:
    """Words of another language (`Müller`): letters only, and no legacy reading explains a single one of them."""
    words = (word.strip(_UNICODE_MARKS) for word in _SEPARATORS.split(unicode.text))
    return all(word.isalpha() for word in words if word) and all(r.share == 0 for r in readings if r is not unicode)
