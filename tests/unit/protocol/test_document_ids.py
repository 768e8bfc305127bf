"""DocumentId: composing, comparing, taking apart."""

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import document_ids
from protocol.errors import ELEMENT_EMPTY, ELEMENT_RANGE, ErrorKind, ExchangeError
from protocol.model import (
    Code,
    Document,
    Message,
    MessageHeader,
    Organization,
    PromulgationInfo,
    StatusMessage,
)


def test_the_comma_form():
    assert document_ids.compose("H21.16", date(2026, 1, 5), "05/QĐ-UBND") == "H21.16,2026/01/05,05/QĐ-UBND"


def test_compose_writes_canonical_text():
    spelled = unicodedata.normalize("NFD", "7/TTĐT-Ủy")
    assert document_ids.compose("H21", date(2026, 1, 5), spelled) == "H21,2026/01/05,7/TTĐT-Ủy"


@pytest.mark.parametrize(
    ("organ", "code", "kind"),
    [("", "1/A", ELEMENT_EMPTY), ("H21", " ", ELEMENT_EMPTY), ("H21,16", "1/A", ELEMENT_RANGE)],
)
def test_a_missing_part_is_refused_by_name(organ: str, code: str, kind: ErrorKind):
    with pytest.raises(ExchangeError) as refused:
        document_ids.compose(organ, date(2026, 1, 5), code)
    assert refused.value.kind is kind
    assert refused.value.element.startswith("MessageHeader.")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_key_ignores_form_and_surrounding_space(form: str):
    wanted = "000.00.00.G22,2015/09/30,7816/VPCP-TTĐT-Ủy"
    assert document_ids.key(f" {unicodedata.normalize(form, wanted)}\n") == wanted


def test_key_reads_eth_as_d_with_stroke():
    assert document_ids.key("H21,2026/01/05,7/TT\u00d0T") == document_ids.key("H21,2026/01/05,7/TTĐT")


@given(st.text(max_size=30))
def test_key_is_idempotent(value: str):
    assert document_ids.key(document_ids.key(value)) == document_ids.key(value)


def letter(**header: object) -> Document:
    given = {
        "sender": Organization(organ_id="000.00.16.H21"),
        "code": Code(number="123", notation="SVDA-VP"),
        "promulgation_info": PromulgationInfo(date=date(2026, 11, 20)),
    }
    return Document(header=MessageHeader(**{**given, **header}))


def test_an_id_that_was_left_out_is_composed_with_the_agency_that_was_proved():
    made = document_ids.completed(letter(document_id=" "), "H21.16")
    assert made.header.document_id == "H21.16,2026/11/20,123/SVDA-VP"
    assert document_ids.completed(made, "H21.99") is made


@pytest.mark.parametrize(
    "message",
    [
        letter(document_id="VPCP-00021"),
        letter(code=Code(number=" ", notation="SVDA-VP")),
        letter(promulgation_info=PromulgationInfo()),
        StatusMessage(sender=Organization(organ_id="H21.16"), status_code=3),
    ],
)
def test_what_has_an_id_or_cannot_have_one_stays_as_it_is(message: Message):
    assert document_ids.completed(message, "H21.16") is message


def test_parts_of_the_comma_form_and_of_others():
    parts = document_ids.parts("H21.16,2026/11/20,12,5/SVDA-VP")
    assert parts == document_ids.Parts(organ_id="H21.16", date="2026/11/20", full_code="12,5/SVDA-VP")
    for other in ("0f0f1d1e-7c8b-4ad0-9d0e-0e5a5a5a5a5a", "VPCP-00021", "a,b", ",,", ""):
        assert document_ids.parts(other) is None
