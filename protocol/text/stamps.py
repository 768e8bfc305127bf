"""State-secret stamps in a text or a file name, however the text is encoded.

The stamp words are `MẬT`, `TỐI MẬT`, `TUYỆT MẬT` (Luật BVBMNN) and `TÀI LIỆU THU HỒI`. They are looked for in the text
as Unicode (composed or combining), as TCVN3 and as VNI, only where a stamp stands: alone in a cell, in brackets or set
off at the start or the end of a line. Running text is never matched, so `bảo mật`, `mật khẩu`, `mật ong` pass, in
capitals too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from protocol.text import tcvn3, vni
from protocol.text.nfc import normalise

Stamp = Literal["stamp", "recall-stamp", "level"]
"""`stamp`: stamp words in capitals; `recall-stamp`: TÀI LIỆU THU HỒI; `level`: a value that is a level, in any case."""

_LEVELS: Final = frozenset({"MẬT", "TỐIMẬT", "TUYỆTMẬT"})
_BARE_LEVELS: Final = frozenset({"TOIMAT", "TUYETMAT"})
"""Without diacritics the single word is too many other words (mặt, mắt, mát, initials)."""
_RECALL: Final = "TÀILIỆUTHUHỒI"
_BARE_RECALL: Final = "TAILIEUTHUHOI"

_FILLERS: Final = "\u115f\u1160\u3164\uffa0"
"""Letters that are drawn as nothing."""
_IGNORABLE: Final = dict.fromkeys(
    (
        *map(ord, "\u00ad\u034f\u061c\u180e\ufeff" + _FILLERS),
        *range(0x200B, 0x2010),  # zero-width space and joiners, marks of direction
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0xE0000, 0xE0200),  # tags, more selectors
    )
)
"""Characters without a shape (Unicode Default_Ignorable_Code_Point): no reader sees them between two letters."""
# Gaps are as long as they like: a stamp may be spread over its line. Possessive: nobody can make them be tried twice.
_GAP = rf"[\W_{_FILLERS}]"
_MAT = re.compile(rf"[Mm]{_GAP}*+[AaÂâẠạẬậËë]{_GAP}*+(?:[Ää]{_GAP}*+)?[Tt]")
_THU_HOI = re.compile(rf"[Uu]{_GAP}++[Hh]")
_LINES = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_CELLS = re.compile(r"[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029|]+| {3,}")
_SET_OFF = re.compile(r" [-/*]+ | ?[\u2013\u2014] ?| ?[:;] ")
_OPENING: Final = '[({<"“'
_CLOSING: Final = '])}>"”'
_CAPTION = re.compile(
    r"\b(?:độ|do)\s+(?:bảo\s+|bao\s+)?(?:mật|mat)\s*[:=]\s*(?:tuyệt\s+|tuyet\s+|tối\s+|toi\s+)?(?:mật|mat)(?=\s*(?:[^\w\s,]|$))",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r"(?:\.signed)?\.(?!mat$)[A-Za-z0-9]{1,6}$", re.IGNORECASE)
_FOLDERS = re.compile(r"[/\\]")
"""Some systems send the path of the file, of either operating system; a marked folder marks what is in it."""
_JOINTS = re.compile(r"[-_.]+")
_NAME_PARTS = re.compile(r"[\[\](){}<>\"“”]| [-_]|[-_] |[\u2013\u2014]")
_SPEAKS_OF_IT: Final = ("ĐỘ", "DO")
_WEAK = re.compile(r"[\s._-]+")
_MAX_CELLS: Final = 1000
"""A text with more suspect cells is no field of a document: refused unread, so that nobody can keep us reading."""


def is_suspect(text: str) -> bool:
    """Whether `text` may hold a stamp in any reading; cheap, and wrong often enough to need the full rules.

    Two expressions, each beginning with one small class of letters: joined by `|` they would be five times slower.
    """
    return _MAT.search(text) is not None or _THU_HOI.search(text) is not None


def stamp_in_text(text: str) -> Stamp | None:
    """The stamp that `text` (a field, a line, a cell) carries, or `None`."""
    if not is_suspect(text):
        return None
    if any(map(_is_level, _readings(text))):
        return "stamp" if _is_capital(text) else "level"
    # whole lines too: what is spread so widely that its letters look like cells is one word to who reads it
    cells = dict.fromkeys(filter(is_suspect, (*_CELLS.split(text), *_LINES.split(text))))
    if len(cells) > _MAX_CELLS:
        return "stamp"
    return next((stamp for cell in cells for stamp in _stamps_in_cell(cell)), None)


def stamp_in_file_name(name: str) -> Stamp | None:
    """The stamp that the name of an attachment carries, or `None`; names are often written without diacritics."""
    if not is_suspect(name):
        return None
    stems = dict.fromkeys(_EXTENSION.sub("", piece) for piece in (name, *_FOLDERS.split(name)[-_MAX_CELLS:]))
    return next((stamp for stem in stems for reading in _readings(stem) for stamp in _stamps_in_stem(reading)), None)


def _readings(text: str) -> Iterator[str]:
    """The text in every encoding that it can be in, each run of spaces one space."""
    plain = normalise(text.translate(_IGNORABLE))
    yield " ".join(plain.split())
    if not text.isascii():
        for decoded in (tcvn3.decode(text), vni.decode(text)):
            if decoded != plain:
                yield " ".join(decoded.split())


def _letters(text: str) -> str:
    """The letters alone, so that `T Ố I  M Ậ T` and `*MẬT*` are words; "" when a digit makes it something else."""
    return "" if any(map(str.isdigit, text)) else "".join(filter(str.isalpha, text))


def _is_capital(text: str) -> bool:
    return _letters(text).isupper()


def _is_level(text: str) -> bool:
    """Whether the whole text is a level, in any case."""
    return _letters(text).upper() in _LEVELS | _BARE_LEVELS


def _is_recall(text: str) -> bool:
    return _letters(text) == _RECALL


def _is_stamp(text: str) -> bool:
    """Whether the whole text is a level in capitals."""
    return _is_capital(text) and _is_level(text)


def _stamps_in_cell(cell: str) -> Iterator[Stamp]:
    for reading in _readings(cell):
        if _CAPTION.search(reading):
            yield "level"
        places = [reading, *_bracketed(reading), *_set_off(reading)]
        if any(map(_is_stamp, places)) or _leads_mixed_text(reading):
            yield "stamp"
        if any(map(_is_recall, places)) or _letters(reading) == _BARE_RECALL:
            yield "recall-stamp"
    decoded = tcvn3.decode(cell)
    if decoded != cell and _is_level(decoded):  # the capital fonts of TCVN3 leave small letters in the bytes
        yield "stamp"
    if decoded != cell and _is_recall(decoded.upper()):
        yield "recall-stamp"


def _stamps_in_stem(stem: str) -> Iterator[Stamp]:
    parts = _NAME_PARTS.split(stem)
    if _is_level(stem) or any(map(_is_level, _bracketed(stem))):
        yield "stamp" if _is_capital(stem) else "level"
    if any(map(_is_stamp, parts)) or "MAT" in map(_letters, (stem, *parts)) or _is_at_an_end(stem):
        yield "stamp"
    if _is_in_the_middle(stem):
        yield "stamp"
    if {_RECALL, _BARE_RECALL} & set(map(_letters, (stem, *parts))):
        yield "recall-stamp"


def _bracketed(cell: str) -> list[str]:
    """What stands in brackets at the start or the end of a line."""
    bare = cell.strip(" .*")
    inside = []
    if bare[:1] in _OPENING:
        inside.append(bare[1 : _first(bare, _CLOSING, len(bare))])
    if bare[-1:] in _CLOSING:
        inside.append(bare[1 + max(map(bare[:-1].rfind, _OPENING)) : -1])
    return inside


def _first(text: str, characters: str, otherwise: int) -> int:
    return min((place for place in map(text.find, characters) if place > 0), default=otherwise)


def _set_off(cell: str) -> list[str]:
    """What a dash or a colon sets off at the start or the end of a line."""
    pieces = _SET_OFF.split(cell)
    return [pieces[0], pieces[-1]] if len(pieces) > 1 else []


def _leads_mixed_text(cell: str) -> bool:
    """`TỐI MẬT V/v ...`: a two-word level in capitals before text in small letters."""
    words = cell.split()
    rest = " ".join(words[2:])
    return len(words) > 2 and _is_stamp(" ".join(words[:2])) and not rest.isupper()  # noqa: PLR2004 - a level is two words


def _is_in_the_middle(stem: str) -> bool:
    """A two-word level in capitals inside a name: `KH-TUYỆT MẬT-2026` by its joints, `KH_TUYET_MAT_12` by a number."""
    if any(" " in piece.strip() and _is_stamp(piece) for piece in _JOINTS.split(stem)):
        return True
    words = [word for word in _WEAK.split(stem) if word]
    for before, first, second, behind in zip(words, words[1:], words[2:], words[3:], strict=False):
        beside_number = any(map(str.isdigit, before + behind))
        if beside_number and before.upper() not in _SPEAKS_OF_IT and first.isalpha() and _is_stamp(f"{first} {second}"):
            return True
    return False


def _is_at_an_end(stem: str) -> bool:
    """A level in capitals at the start or end of a name whose words are joined by `_`, `-`, `.` or spaces.

    `DO TUYET MAT` speaks about the level. The single word counts beside a word with a digit only (`KH12_MẬT`), for
    `BẢO_MẬT` and `MẬT_KHẨU` are words.
    """
    words = [word for word in _WEAK.split(stem) if word]
    for size in (1, 2):
        for start, stop in ((0, size), (len(words) - size, len(words))):
            level = "".join(words[start:stop])
            if start < 0 or not level.isupper() or not _is_level(level):
                continue
            neighbour = words[stop] if start == 0 and stop < len(words) else words[start - 1]
            if level != "MẬT" and neighbour.upper() not in _SPEAKS_OF_IT:
                return True
            if level == "MẬT" and any(map(str.isdigit, neighbour)):
                return True
    return False
