"""TCVN3 and VNI: tables against a foreign one, vectors, round trips over all letters and pairs."""

import json
import re
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UNDECODABLE_TEXT, ExchangeError
from protocol.text import tcvn3, vni

VECTORS = Path(__file__).parents[2] / "vectors" / "text"
SMALL = "áàảãạăắằẳẵặâấầẩẫậéèẻẽẹêếềểễệíìỉĩịóòỏõọôốồổỗộơớờởỡợúùủũụưứừửữựýỳỷỹỵđ"
UNTONED_CAPITALS = "ĂÂÊÔƠƯĐ"


def vectors(name: str):
    return json.loads((VECTORS / name).read_text())


def test_tcvn3_table_agrees_with_glibc_on_all_74_bytes():
    foreign = vectors("07-tcvn3-iconv.json")
    assert {int(code, 16): letter for code, letter in foreign.items()} == tcvn3.TABLE


@pytest.mark.parametrize("case", vectors("02-tcvn3.json"), ids=lambda case: case["id"])
def test_ac_3_2_1_tcvn3_vector_from_bytes_and_from_mistaken_text(case: dict[str, Any]):
    octets = bytes.fromhex(case["octets"])
    assert tcvn3.decode(octets) == case["expect"]
    assert tcvn3.decode(octets.decode("cp1252")) == case["expect"]


@pytest.mark.parametrize("case", vectors("03-vni.json"), ids=lambda case: case["id"])
def test_ac_3_2_1_vni_vector_from_bytes_and_from_mistaken_text(case: dict[str, Any]):
    octets = bytes.fromhex(case["octets"])
    assert vni.decode(octets) == case["expect"]
    assert vni.decode(octets.decode("cp1252")) == case["expect"]


def test_ac_3_2_1_tcvn3_round_trip_of_every_letter_it_has():
    letters = SMALL + UNTONED_CAPITALS
    assert len(letters) == 74
    assert len({tcvn3.encode(letter) for letter in letters}) == 74
    for letter in letters:
        assert tcvn3.decode(tcvn3.encode(letter)) == letter


def test_tcvn3_has_no_capital_with_a_tone_and_says_so_by_the_small_letter():
    for letter in set(SMALL) - set(UNTONED_CAPITALS.lower()):
        assert tcvn3.decode(tcvn3.encode(letter.upper())) == letter


@given(st.text(alphabet=SMALL + "abcdeghiklmnopqrstuvxy 0123456789,./-", max_size=40))
def test_tcvn3_round_trip_of_small_letters(value: str):
    assert tcvn3.decode(tcvn3.encode(value)) == value


@given(st.text(alphabet=SMALL.upper() + "BCDGHKLMNPQRSTVX", min_size=1, max_size=8))
def test_tcvn3_capitals_return_with_two_certain_capitals_or_when_the_font_says_so(word: str):
    assert tcvn3.decode(tcvn3.encode("NG" + word)) == "NG" + word
    assert tcvn3.decode(tcvn3.encode(word), all_caps=True) == word


def test_vni_round_trip_of_all_134_letters_and_of_every_pair():
    letters = SMALL + SMALL.upper()
    assert len(set(letters)) == 134
    every = [*letters, *"abcdeioruxyzAEIOUY .-"]
    for first, second in product(every, every):
        assert vni.decode(vni.encode(first + second)) == first + second


def test_vni_codes_are_all_different():
    assert len({vni.encode(letter) for letter in SMALL + SMALL.upper()}) == 134


@given(st.text(alphabet=SMALL + SMALL.upper() + "abcdeghiklmnopqrstuvxyABCDEGHIKLMNOPQRSTUVXY 01,./-", max_size=40))
def test_vni_round_trip_of_any_text(value: str):
    assert vni.decode(vni.encode(value)) == value


def test_vni_mark_of_either_case_follows_its_base():
    for base, mark in product("aeouôö", "ùøûõï"):
        expected = vni.decode(base + mark)
        assert len(expected) == 1
        assert vni.decode(base + mark.upper()) == expected
        assert vni.decode(base.upper() + mark) == expected.upper()


def test_a_code_covers_only_what_it_gives_a_meaning_to():
    assert all(vni.covers(word) for word in ("Coäng", "ñi", "Uûy", "nöôùc", "abc"))
    assert not any(vni.covers(word) for word in ("Yên", "Tây", "Müller", "C\u00b7"))
    assert all(tcvn3.covers(word) for word in ("Céng", "n\xadíc", "X·", "abc"))
    assert not any(tcvn3.covers(word) for word in ("Hà", "\u00c0", "hộ"))


@pytest.mark.parametrize("codec", [tcvn3, vni])
def test_undefined_bytes_are_refused_and_letters_without_code_too(codec: ModuleType):
    with pytest.raises(ExchangeError) as refused:
        codec.decode(b"abc\x81")
    assert refused.value.kind is UNDECODABLE_TEXT
    with pytest.raises(ExchangeError) as refused:
        codec.encode("\u4e2d")
    assert refused.value.kind is UNDECODABLE_TEXT
    assert "\u4e2d" not in re.sub(r"\s", "", str(refused.value))


@given(st.text(max_size=40))
def test_decoders_never_raise_on_text(value: str):
    assert isinstance(tcvn3.decode(value), str)
    assert isinstance(vni.decode(value), str)
