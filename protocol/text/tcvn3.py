"""TCVN3 (ABC, fonts `.VnTime`): TCVN 5712:1993 VN3, one byte for each letter, in both directions.

VN3 has no code for a capital with a tone: the capital fonts (`.VnTimeH`) draw the small letter's byte as a capital. The
case is therefore lost unless the capitals around it, or the caller (`all_caps`), tell it. Byte AD (`ư`) is the soft
hyphen of Latin-1, which editors and XML tools delete: decode before any other clean-up.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.text.octets import as_characters, as_octets

_TONED: Final = {
    # vowel: its letters with huyền, sắc, hỏi, ngã, nặng and their bytes
    "a": ("àáảãạ", "B5 B8 B6 B7 B9"),
    "ă": ("ằắẳẵặ", "BB BE BC BD C6"),
    "â": ("ầấẩẫậ", "C7 CA C8 C9 CB"),
    "e": ("èéẻẽẹ", "CC D0 CE CF D1"),
    "ê": ("ềếểễệ", "D2 D5 D3 D4 D6"),
    "i": ("ìíỉĩị", "D7 DD D8 DC DE"),
    "o": ("òóỏõọ", "DF E3 E1 E2 E4"),
    "ô": ("ồốổỗộ", "E5 E8 E6 E7 E9"),
    "ơ": ("ờớởỡợ", "EA ED EB EC EE"),
    "u": ("ùúủũụ", "EF F3 F1 F2 F4"),
    "ư": ("ừứửữự", "F5 F8 F6 F7 F9"),
    "y": ("ỳýỷỹỵ", "FA FD FB FC FE"),
}
_PLAIN: Final = ("ăâêôơưđĂÂÊÔƠƯĐ", "A8 A9 AA AB AC AD AE A1 A2 A3 A4 A5 A6 A7")


def _table() -> dict[int, str]:
    return {
        code: letter
        for letters, codes in (*_TONED.values(), _PLAIN)
        for letter, code in zip(letters, bytes.fromhex(codes), strict=True)
    }


TABLE: Final[dict[int, str]] = _table()
"""The 74 entries: byte (also the Latin-1 character with that code) to letter."""
_ENCODE: Final = {ord(letter): code for code, letter in TABLE.items()}
_ENCODE.update({ord(letter.upper()): code for code, letter in TABLE.items() if ord(letter.upper()) not in _ENCODE})
_TONED_LETTERS: Final = frozenset("".join(letters for letters, _ in _TONED.values()))
_WORD = re.compile(r"[^\W\d_]+")


def decode(source: str | bytes, *, all_caps: bool = False) -> str:
    """Unicode text (NFC) of TCVN3 bytes, or of a string whose bytes were taken as windows-1252.

    `all_caps` says that the source used a capital font: every letter becomes a capital. Otherwise a toned letter is a
    capital when its word has two certain capitals and no certain small letter, or stands between two such words.
    Characters outside the table pass unchanged. Raises `text.undecodable` for bytes that windows-1252 does not define.
    """
    text = as_characters(source).translate(TABLE)
    return text.upper() if all_caps else _restore_capitals(text)


def encode(text: str) -> bytes:
    """TCVN3 bytes of NFC text; capitals with a tone become the small letter's byte.

    Raises `text.undecodable` for a character that neither VN3 nor windows-1252 has.
    """
    return as_octets(text.translate(_ENCODE))


def covers(word: str) -> bool:
    """Whether TCVN3 gives a meaning to every character of `word` that is not ASCII."""
    return all(ord(character) in TABLE for character in word if not character.isascii())


def _restore_capitals(text: str) -> str:
    words = list(_WORD.finditer(text))
    capital = [_is_capital(match[0]) for match in words]
    pieces, position = [], 0
    for index, match in enumerate(words):
        between = capital[max(index - 1, 0) : index + 2]
        lonely = 0 < index < len(words) - 1 and between[0] and between[2] and _has_no_small(match[0])
        pieces += [text[position : match.start()], match[0].upper() if capital[index] or lonely else match[0]]
        position = match.end()
    return "".join([*pieces, text[position:]])


def _certain(word: str) -> list[str]:
    """The letters whose case VN3 records: all but the small letters with a tone."""
    return [letter for letter in word if letter not in _TONED_LETTERS]


def _is_capital(word: str) -> bool:
    certain = _certain(word)
    return len(certain) > 1 and all(letter.isupper() for letter in certain)


def _has_no_small(word: str) -> bool:
    return all(letter.isupper() for letter in _certain(word))
