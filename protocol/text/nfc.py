"""Canonical Unicode for Vietnamese: NFC, tone marks after hats, and no foreign letter in the place of Đ.

TCVN 6909:2001 holds both precomposed letters and combining marks; what travels here is the precomposed form (NFC).
NFC alone repairs neither a tone that was typed before a hat (`e` U+0301 U+0302) nor a look-alike of Đ.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from protocol.errors import UNDECODABLE_TEXT, ExchangeError

SHAPES: Final = "\u0302\u0306\u031b"
"""Circumflex, breve, horn: they make another letter."""
TONES: Final = "\u0300\u0301\u0303\u0309\u0323"
"""Huyền, sắc, ngã, hỏi, nặng."""
LOOKALIKES: Final = {"\u00d0": "Đ", "\u00f0": "đ", "\u0189": "Đ"}
"""Eth and the African D are drawn like Đ and came from old fonts and keyboards."""

_SUSPECT = re.compile("[\u0300-\u036f\u00d0\u00f0\u0189]")
_MARKED = re.compile(f"([AEOUaeou])([{TONES}{SHAPES}]{{2,8}})")
_SPARE_VOWELS: Final = 1
_LONG: Final = 4096
_MARK_RUN: Final = 30
"""Marks on one letter that UAX #15 (Stream-Safe Text Format) still calls text; sorting more of them takes for ever."""


def normalise(text: str) -> str:
    """The canonical form of `text`; idempotent. Text that is canonical already is returned as it is.

    Raises `text.undecodable` for a long text with more than 30 marks on one letter: that is an attack, not a text.
    """
    if text.isascii():
        return text
    if len(text) > _LONG and not unicodedata.is_normalized("NFC", text) and _has_mark_run(text):
        raise ExchangeError(UNDECODABLE_TEXT)
    composed = unicodedata.normalize("NFC", text)
    if not _SUSPECT.search(composed):
        return composed
    decomposed = _MARKED.sub(_shape_first, unicodedata.normalize("NFD", composed))
    return _repair_d(unicodedata.normalize("NFC", decomposed))


def is_normal(text: str, octets: bytes = b"") -> bool:
    """Whether `normalise` would leave `text` alone (AC-3.2-2). Well under a microsecond for ordinary fields.

    `octets` is the UTF-8 of `text`, where the caller has it at hand: half the time for a whole message.
    """
    if text.isascii():
        return True
    if not unicodedata.is_normalized("NFC", text):
        return False
    return not _may_be_suspect(text, octets) or not _SUSPECT.search(text) or normalise(text) == text


def length(text: str) -> int:
    """Length in code points after NFC, the unit of every length limit of the field tables (NĐ 30/2020 PL VI)."""
    return len(text) if text.isascii() else len(unicodedata.normalize("NFC", text))


def _may_be_suspect(text: str, octets: bytes) -> bool:
    """Whether a combining mark (lead octets CC, CD) or a look-alike may be there; single characters are found fast."""
    return not octets or b"\xcc" in octets or b"\xcd" in octets or any(one in text for one in LOOKALIKES)


def _shape_first(match: re.Match[str]) -> str:
    """The marks of one letter with hat, breve or horn before the tone."""
    marks = sorted(match[2], key=lambda mark: mark not in SHAPES)
    return match[1] + "".join(marks)


def _has_mark_run(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MARK_RUN:
            return True
    return False


def _repair_d(text: str) -> str:
    """`text` with look-alikes of Đ replaced inside Vietnamese words; words of other languages stay as they are."""
    for lookalike in LOOKALIKES:
        if lookalike in text:
            return re.sub(r"[^\W\d_]+", lambda match: _repair_word(match[0]), text)
    return text


def _repair_word(word: str) -> str:
    """One word with its look-alikes replaced where they can only be Đ.

    Đ opens a Vietnamese syllable, while eth never opens an Icelandic word; inside a word it is Đ only in an
    abbreviation in capitals (`QÐ`, `HÐND`).
    """
    rest = word[1:]
    if word[0] in LOOKALIKES and rest and _is_vowel(rest[0]) and not _holds_lookalike(rest):
        return LOOKALIKES[word[0]] + rest
    if len(word) > 1 and word.isupper() and sum(map(_is_vowel, word)) <= _SPARE_VOWELS:
        return "".join(LOOKALIKES.get(letter, letter) for letter in word)
    return word


def _holds_lookalike(text: str) -> bool:
    return any(letter in LOOKALIKES for letter in text)


def _is_vowel(letter: str) -> bool:
    return unicodedata.normalize("NFD", letter)[0] in "AEIOUYaeiouy"
