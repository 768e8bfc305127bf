"""Which written syllables are possible in Vietnamese, from the rules of onset, rime and tone.

Possible, not attested: the detector needs to know that `hội` can be Vietnamese and `héi` cannot.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_ONSETS: Final = " b c ch d đ g gh gi h k kh l m n ng ngh nh p ph qu r s t th tr v x"
"""Separated by spaces; the first is no onset at all."""
_RIMES: Final = """
a ac ach ai am an ang anh ao ap at au ay  ăc ăm ăn ăng ăp ăt  âc âm ân âng âp ât âu ây
e ec em en eng eo ep et  ê êch êm ên êng ênh êp êt êu
i ia ich im in inh ip it iu  iêc iêm iên iêng iêp iêt iêu
o oc oi om on ong op ot ooc oong  ô ôc ôi ôm ôn ông ôp ôt ôông  ơ ơi ơm ơn ơp ơt
oa oac oach oai oam oan oang oanh oao oap oat oay  oăc oăm oăn oăng oăt  oe oem oen oeo oet
u ua uc ui um un ung up ut  uôc uôi uôm uôn uông uôt  uâ uân uâng uât uây  uê uêch uên uênh  uơ
uy uya uych uyn uynh uyp uyt uyu uyên uyêt  ư ưa ưc ưi ưm ưn ưng ưt ưu  ươc ươi ươm ươn ương ươp ươt ươu
y yêm yên yêng yêt yêu
"""
_AFTER_QU: Final = """
a ac ach ai an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt ân âng ât âu ây e en eo et ê ên ênh êch êt êu
i in it o oi ơ ơi ơn ôc y ych ynh yt yên yêt
"""
_AFTER_GI: Final = "êng êt êm ên"
"""Written with one i: `giêng` is gi + iêng."""
_TONES: Final = ("\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
_STOPPED: Final = ("\u0301", "\u0323")
"""A syllable that ends in c, ch, p, t has sắc or nặng only."""
_HATTED: Final = "ăâêôơư"
_VOWELS: Final = "aăâeêioôơuưy"
_HIGHLAND = re.compile(
    rf"(?:[kbpđdghsmt]r|[kpb]l|k(?=[aăâoôơuư]))[{_VOWELS}]{{1,2}}(?:c|ch|k|h|l|m|n|ng|nh|p|r|t|o|i|y)?"
    rf"|(?:ch|ng|nh|tr|[bcdđghklmnprstvy])?[{_VOWELS}]{{1,2}}[khlr]"
)
"""Jrai and Bahnar names as Vietnamese papers write them (`Krông`, `Păh`): their own clusters and codas, no tones."""


@cache
def _onsets() -> frozenset[str]:
    return frozenset(_ONSETS.split(" "))


@cache
def rimes() -> frozenset[str]:
    """Every rime with every tone it can bear, NFC, lower case; both placements of `oà`/`òa`."""
    return _toned(_RIMES)


@cache
def _rimes_after(onset: str) -> frozenset[str]:
    if onset == "qu":
        return _toned(_AFTER_QU)
    if onset == "gi":
        return rimes() | _toned(_AFTER_GI)
    return rimes()


def is_possible(word: str) -> bool:
    """Whether `word` (NFC, any case) can be one written Vietnamese syllable."""
    lowered = word.lower()
    return _HIGHLAND.fullmatch(lowered) is not None or any(
        lowered[:size] in _onsets() and _agrees(lowered[:size], lowered[size:]) for size in range(min(3, len(word)) + 1)
    )


def _agrees(onset: str, rime: str) -> bool:
    if rime not in _rimes_after(onset):
        return False
    front = unicodedata.normalize("NFD", rime)[0] in "eiy"
    if onset in ("k", "gh", "ngh"):
        return front
    if onset in ("c", "ng"):
        return not front
    if onset == "g":  # `gì`, `gìn`: gi before i
        return not front or unicodedata.normalize("NFD", rime)[0] == "i"
    return True


def _toned(plain: str) -> frozenset[str]:
    toned = set()
    for rime in plain.split():
        stopped = rime.endswith(("c", "ch", "p", "t"))
        if not stopped:
            toned.add(rime)
        for place in _tone_places(rime):
            toned |= {_with_tone(rime, place, tone) for tone in (_STOPPED if stopped else _TONES)}
    return frozenset(toned)


def _with_tone(rime: str, place: int, tone: str) -> str:
    return unicodedata.normalize("NFC", rime[: place + 1] + tone + rime[place + 1 :])


def _tone_places(rime: str) -> tuple[int, ...]:
    """Where the tone may stand: on the last hatted vowel; else by the number of vowels and whether a coda follows."""
    hatted = [index for index, letter in enumerate(rime) if letter in _HATTED]
    if hatted:
        return (hatted[-1],)
    vowels = sum(letter in _VOWELS for letter in rime)
    if vowels == 1:
        return (0,)
    if vowels == len(rime) == 2:  # noqa: PLR2004 - two vowels and no coda
        return (0, 1) if rime in ("oa", "oe", "uy") else (0,)
    return (1,)
