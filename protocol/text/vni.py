"""VNI-Windows (fonts `VNI-Times`): a base letter, then at most one mark byte, in both directions.

The case of the base letter decides; the mark byte may be of either case (`Uûy`). Capitals have the codes of the small
letters less 20 hex. i with a tone, ỵ and đ are single bytes.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.text.octets import as_characters, as_octets

_PLAIN_MARKS: Final = "ùøûõï"  # sắc, huyền, hỏi, ngã, nặng
_HAT_MARKS: Final = "âáàåãä"  # no tone, sắc, huyền, hỏi, ngã, nặng
_BREVE_MARKS: Final = "êéèúüë"
_ROWS: Final = (
    # base, marks, letters in the order of the marks
    ("a", _PLAIN_MARKS, "áàảãạ"),
    ("e", _PLAIN_MARKS, "éèẻẽẹ"),
    ("o", _PLAIN_MARKS, "óòỏõọ"),
    ("u", _PLAIN_MARKS, "úùủũụ"),
    ("y", _PLAIN_MARKS[:4], "ýỳỷỹ"),
    ("a", _HAT_MARKS, "âấầẩẫậ"),
    ("e", _HAT_MARKS, "êếềểễệ"),
    ("o", _HAT_MARKS, "ôốồổỗộ"),
    ("a", _BREVE_MARKS, "ăắằẳẵặ"),
    ("ô", _PLAIN_MARKS, "ớờởỡợ"),
    ("ö", _PLAIN_MARKS, "ứừửữự"),
)
_SINGLES: Final = dict(zip("ôöíìæóòîñ", "ơưíìỉĩịỵđ", strict=True))


def _pairs() -> dict[str, str]:
    """Two characters to one letter, the mark in both cases."""
    pairs = {}
    for base, marks, letters in _ROWS:
        for mark, letter in zip(marks, letters, strict=True):
            for written in (mark, mark.upper()):
                pairs[base + written] = letter
                pairs[base.upper() + written] = letter.upper()
    return pairs


_DECODE: Final = {
    **_pairs(),
    **_SINGLES,
    **{single.upper(): letter.upper() for single, letter in _SINGLES.items()},
}
_ENCODE: Final = {
    letter: code
    for code, letter in _DECODE.items()
    if len(code) == 1 or code[0].islower() == code[1].islower()  # one spelling: the mark in the case of its base
}
_BASES: Final = "aeouyôöAEOUYÔÖ"
_MARKS: Final = "".join({*_PLAIN_MARKS, *_HAT_MARKS, *_BREVE_MARKS})
_CODED = re.compile(f"[{_BASES}][{_MARKS}{_MARKS.upper()}]|[{''.join(c for c in _DECODE if len(c) == 1)}]")


def decode(source: str | bytes) -> str:
    """Unicode text (NFC) of VNI bytes, or of a string whose bytes were taken as windows-1252.

    Characters that the rule does not cover pass unchanged. Raises `text.undecodable` for bytes that windows-1252 does
    not define.
    """
    return _CODED.sub(_letter, as_characters(source))


def encode(text: str) -> bytes:
    """VNI bytes of NFC text. Raises `text.undecodable` for a character that neither VNI nor windows-1252 has."""
    return as_octets("".join(_ENCODE.get(letter, letter) for letter in text))


def covers(word: str) -> bool:
    """Whether VNI gives a meaning to every character of `word` that is not ASCII; a mark without its base has none."""
    return _CODED.sub(lambda match: "" if match[0] in _DECODE else match[0], word).isascii()


def _letter(match: re.Match[str]) -> str:
    """The letter for one or two characters; a pair that is none is a single letter and whatever follows."""
    code = match[0]
    letter = _DECODE.get(code)
    if letter is not None:
        return letter
    return "".join(_DECODE.get(character, character) for character in code)
