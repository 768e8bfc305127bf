"""Two forms of one code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import agency_codes

PAIRS = [
    ("000.00.16.H21", "H21.16"),
    ("000.00.00.H41", "H41"),
    ("000.05.16.H21", "H21.16.05"),
    ("012.05.16.H21", "H21.16.05.012"),
    ("000.00.00.G22", "G22"),
    ("000.00.53.W00", "W00.53"),
]
digits2 = st.integers(0, 99).map("{:02d}".format)
digits3 = st.integers(0, 999).map("{:03d}".format)
tops = st.sampled_from(["H21", "G22", "A53", "W00", "K36", "TT2"])


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_old_and_new_form_are_one_agency(old: str, new: str):
    assert agency_codes.canonical(old) == agency_codes.canonical(new) == new
    assert agency_codes.old_form(new) == agency_codes.old_form(old) == old
    assert agency_codes.same(old, new)
    assert agency_codes.is_old_form(old)
    assert not agency_codes.is_old_form(new)


@given(digits3, digits2, digits2, tops)
def test_every_13_character_code_survives_both_ways(fourth: str, third: str, second: str, top: str):
    old = f"{fourth}.{third}.{second}.{top}"
    assert agency_codes.old_form(agency_codes.canonical(old)) == old


@given(st.text(max_size=20))
def test_canonical_is_idempotent_and_loses_only_form(code: str):
    once = agency_codes.canonical(code)
    assert agency_codes.canonical(once) == once
    assert agency_codes.same(code, once)


@pytest.mark.parametrize(("short", "new"), [("00.53.W00", "W00.53"), ("01.K36", "K36.01"), (" h21.16 ", "H21.16")])
def test_shortened_codes_and_small_letters(short: str, new: str):
    assert agency_codes.canonical(short) == new


@pytest.mark.parametrize("code", ["vxp.saas.03", "my-org_1", "H21.16.AB"])
def test_other_shapes_are_accepted_and_stay(code: str):
    assert agency_codes.canonical(code) == code
    assert agency_codes.old_form(code) is None
    assert agency_codes.is_plausible(code)


@pytest.mark.parametrize(
    "code", ["", ".", "H21.", ".H21", "H21..16", "H21 16", "H21/16", "H21,16", "Đ21", "H" * 36, "a\n"]
)
def test_what_cannot_be_a_code(code: str):
    assert not agency_codes.is_plausible(code)


def test_35_characters_are_a_code():
    assert agency_codes.is_plausible("H21." + "A" * 31)


@pytest.mark.parametrize(
    ("one", "other"), [("H21.16", "H21.23"), ("000.00.16.H21", "000.00.16.H22"), ("H21", "H21.01")]
)
def test_different_agencies_stay_different(one: str, other: str):
    assert not agency_codes.same(one, other)
