"""Canonical Unicode: vectors, fixed point, lengths."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import text
from protocol.errors import UNDECODABLE_TEXT, ExchangeError

VECTORS = Path(__file__).parents[2] / "vectors" / "text"
CASES = json.loads((VECTORS / "01-unicode.json").read_text())
VIETNAMESE = "aáàảãạăắằẳẵặâấầẩẫậeéèẻẽẹêếềểễệiíìỉĩịoóòỏõọôốồổỗộơớờởỡợuúùủũụưứừửữựyýỳỷỹỵđ"
MARKS = "\u0300\u0301\u0303\u0309\u0323\u0302\u0306\u031b"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_ac_3_2_1_vector_is_made_canonical(case: dict[str, Any]):
    assert text.normalise(case["input"]) == case["expect"]
    assert text.is_normal(case["input"]) == (case["input"] == case["expect"])


@given(st.text(alphabet=VIETNAMESE + VIETNAMESE.upper() + MARKS + "ÐðƉ bcdgh-/1", max_size=30))
def test_normalise_is_idempotent_and_is_what_is_normal_asks(value: str):
    normal = text.normalise(value)
    assert text.normalise(normal) == normal
    assert text.is_normal(normal)
    assert text.is_normal(value) == (normal == value)
    assert unicodedata.is_normalized("NFC", normal)


@given(st.text(max_size=40))
def test_text_without_vietnamese_repairs_is_only_composed(value: str):
    assert text.is_normal(text.normalise(value))


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_ac_3_2_1_all_134_letters_from_every_form(form: str):
    letters = [letter for letter in VIETNAMESE + VIETNAMESE.upper() if not letter.isascii()]
    assert len(letters) == len(set(letters)) == 134
    for letter in letters:
        assert text.normalise(unicodedata.normalize(form, letter)) == letter


@pytest.mark.parametrize("base", "aeoAEO")
@pytest.mark.parametrize("tone", "\u0300\u0301\u0303\u0309\u0323")
def test_tone_before_hat_gives_the_same_letter_as_hat_before_tone(base: str, tone: str):
    for shape in "\u0302" + ("\u0306" if base in "aA" else "") + ("\u031b" if base in "oO" else ""):
        proper = unicodedata.normalize("NFC", base + shape + tone)
        assert len(proper) == 1
        assert text.normalise(base + tone + shape) == proper
        assert text.normalise(unicodedata.normalize("NFC", base + tone) + shape) == proper


def test_length_counts_code_points_after_nfc():
    name = "Nguyễn Thị Tường Vy"
    assert text.length(name) == text.length(unicodedata.normalize("NFD", name)) == 19


@pytest.mark.parametrize("marks", ["\u0301\u0323" * 50_000, "\u0323" * 50_000 + "\u0302" * 50_000])
def test_letters_with_endless_marks_are_refused_before_anybody_sorts_them(marks: str):
    assert not text.is_normal("a" + marks)
    with pytest.raises(ExchangeError) as refused:
        text.normalise("a" + marks)
    assert refused.value.kind is UNDECODABLE_TEXT


def test_every_vector_has_a_line_in_the_readme():
    readme = (VECTORS / "README.md").read_text()
    for path in VECTORS.glob("0[1-6]-*.json"):
        assert path.name in readme
        for case in json.loads(path.read_text()):
            assert f"| {case['id']} |" in readme
