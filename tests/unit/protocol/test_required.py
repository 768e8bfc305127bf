"""Required fields, lengths in code points, duplicate recipients, dates, business types, statuses."""

import unicodedata
from collections.abc import Callable
from datetime import date

import msgspec
import pytest

from protocol import required
from protocol.errors import ExchangeError
from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Reference,
    ReplacementInfo,
    ResponseFor,
    SignerInfo,
    StatusMessage,
)

TODAY = date(2026, 11, 23)
HEADER = MessageHeader(
    sender=Organization(organ_id="H21.16", organ_name="Sở Ví dụ A"),
    to=(Organization(organ_id="H21.23"), Organization(organ_id="000.00.24.H21")),
    code=Code(number="123", notation="SVDA-VP"),
    promulgation_info=PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20)),
    document_type=DocumentType(type_name="Công văn"),
    subject="V/v thử nghiệm",
    signer_info=SignerInfo(position="Phó Giám đốc", full_name="Nguyễn Văn Mẫu"),
    document_id="H21.16,2026/11/20,123/SVDA-VP",
)
DOCUMENT = Document(header=HEADER, references=(Reference(content_id="f1", attachment_name="a.pdf"),))
STATUS = StatusMessage(
    sender=Organization(organ_id="H21.23"), response_for=(ResponseFor(document_id="d1"),), status_code=3
)


def with_header(**changes: object):
    return msgspec.structs.replace(DOCUMENT, header=msgspec.structs.replace(HEADER, **changes))


def codes(document: Document, profile: required.Profile = required.HUB, **options: date | None):
    return [(problem.kind.code, problem.element) for problem in required.problems(document, profile, **options)]


@pytest.mark.parametrize("profile", required.Profile)
def test_a_complete_document_has_no_problem(profile: required.Profile):
    assert codes(DOCUMENT, profile, today=TODAY) == []
    required.check_document(DOCUMENT, profile, today=TODAY)


MISSING = [
    ("MessageHeader.From.OrganId", "element.empty", {"sender": Organization(organ_id="", organ_name="Sở")}),
    ("MessageHeader.To", "element.missing", {"to": ()}),
    (
        "MessageHeader.To.OrganId",
        "element.empty",
        {"to": (Organization(organ_id="H21.23"), Organization(organ_id=" "))},
    ),
    ("MessageHeader.Code.CodeNumber", "element.empty", {"code": Code(notation="SVDA-VP")}),
    ("MessageHeader.Subject", "element.empty", {"subject": " \n"}),
    ("MessageHeader.DocumentId", "element.empty", {"document_id": ""}),
    (
        "MessageHeader.PromulgationInfo.PromulgationDate",
        "element.missing",
        {"promulgation_info": PromulgationInfo(place="Gia Lai")},
    ),
]


@pytest.mark.parametrize(("path", "code", "changes"), MISSING)
def test_each_element_of_the_minimum_is_demanded_by_name(path: str, code: str, changes: dict[str, object]):
    assert codes(with_header(**changes)) == [(code, path)]
    with pytest.raises(ExchangeError, match=code):
        required.check_document(with_header(**changes))


FORMAL = [
    ("MessageHeader.From.OrganName", {"sender": Organization(organ_id="H21.16")}),
    ("MessageHeader.Code.CodeNotation", {"code": Code(number="12")}),
    ("MessageHeader.DocumentType.TypeName", {"document_type": DocumentType()}),
    ("MessageHeader.SignerInfo.FullName", {"signer_info": SignerInfo()}),
]


@pytest.mark.parametrize(("path", "changes"), FORMAL)
def test_ac_4_1e_1_the_sending_edge_demands_the_formal_elements_and_the_hub_does_not(
    path: str, changes: dict[str, object]
):
    assert codes(with_header(**changes), required.EDGE) == [("element.empty", path)]
    assert codes(with_header(**changes), required.HUB) == []


LENGTHS = [
    ("MessageHeader.Subject", 500, lambda value: {"subject": value}),
    ("MessageHeader.Code.CodeNumber", 11, lambda value: {"code": Code(number=value, notation="A")}),
    ("MessageHeader.Code.CodeNotation", 30, lambda value: {"code": Code(number="1", notation=value)}),
    ("MessageHeader.DocumentType.TypeName", 100, lambda value: {"document_type": DocumentType(type_name=value)}),
    ("MessageHeader.SignerInfo.FullName", 50, lambda value: {"signer_info": SignerInfo(full_name=value)}),
    (
        "MessageHeader.SignerInfo.Position",
        100,
        lambda value: {"signer_info": SignerInfo(full_name="A", position=value)},
    ),
    (
        "MessageHeader.From.OrganName",
        200,
        lambda value: {"sender": Organization(organ_id="H21.16", organ_name=value)},
    ),
    ("MessageHeader.To.OrganName", 200, lambda value: {"to": (Organization(organ_id="H21.23", organ_name=value),)}),
    ("MessageHeader.DocumentId", 255, lambda value: {"document_id": value}),
]


@pytest.mark.parametrize(("path", "limit", "changes"), LENGTHS)
@pytest.mark.parametrize("letter", ["a", "ễ"])
def test_ac_4_1f_2_lengths_are_code_points_after_nfc_and_nothing_is_cut(
    path: str, limit: int, changes: Callable[[str], dict[str, object]], letter: str
):
    for form in ("NFC", "NFD"):
        fits = unicodedata.normalize(form, letter * limit)
        assert codes(with_header(**changes(fits))) == []
        assert codes(with_header(**changes(fits + "x"))) == [("element.too-long", path)]


def test_agency_codes_are_at_most_35_characters():
    fits, too_long = "H21." + "A" * 31, "H21." + "A" * 32
    assert codes(with_header(sender=Organization(organ_id=fits))) == []
    assert ("element.too-long", "MessageHeader.From.OrganId") in codes(
        with_header(sender=Organization(organ_id=too_long))
    )


@pytest.mark.parametrize("bad", ["H21 16", "../etc", "H21.16\n.5"])
def test_a_code_that_cannot_be_one_is_out_of_range(bad: str):
    assert codes(with_header(sender=Organization(organ_id=bad))) == [("element.range", "MessageHeader.From.OrganId")]
    assert codes(with_header(to=(Organization(organ_id=bad),))) == [("element.range", "MessageHeader.To.OrganId")]


@pytest.mark.parametrize("again", ["H21.23", "000.00.23.H21", " h21.23"])
def test_one_recipient_twice_is_found_across_both_forms(again: str):
    twice = with_header(to=(Organization(organ_id="H21.23"), Organization(organ_id=again)))
    assert codes(twice) == [("element.duplicate-recipient", "MessageHeader.To.OrganId")]


def test_a_future_date_is_refused_when_today_is_known():
    tomorrow = with_header(promulgation_info=PromulgationInfo(date=date(2026, 11, 24)))
    assert codes(tomorrow, today=TODAY) == [
        ("element.date-in-future", "MessageHeader.PromulgationInfo.PromulgationDate")
    ]
    assert codes(tomorrow) == []
    assert codes(with_header(promulgation_info=PromulgationInfo(date=TODAY)), today=TODAY) == []


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (OtherInfo(priority=-1), "Priority"),
        (OtherInfo(priority=10), "Priority"),
        (OtherInfo(promulgation_amount=-1), "PromulgationAmount"),
        (OtherInfo(page_amount=-1), "PageAmount"),
    ],
)
def test_numbers_out_of_range(other: OtherInfo, name: str):
    assert codes(with_header(other_info=other)) == [("element.range", f"MessageHeader.OtherInfo.{name}")]


BUSINESS = [
    (Bussiness(doc_type=1), "element.missing", "MessageHeader.ResponseFor.DocumentId"),
    (Bussiness(doc_type=2), "element.missing", "TraceHeaderList.Bussiness.DocumentId"),
    (
        Bussiness(doc_type=3),
        "element.missing",
        "TraceHeaderList.Bussiness.ReplacementInfoList.ReplacementInfo.DocumentId",
    ),
    (Bussiness(doc_type=4), "element.range", "TraceHeaderList.Bussiness.BussinessDocType"),
]


@pytest.mark.parametrize(("business", "code", "path"), BUSINESS)
def test_a_document_about_another_must_name_it(business: Bussiness, code: str, path: str):
    assert codes(msgspec.structs.replace(DOCUMENT, bussiness=business)) == [(code, path)]


@pytest.mark.parametrize(
    ("business", "answered"),
    [
        (Bussiness(doc_type=1), ResponseFor(document_id="d1")),
        (Bussiness(doc_type=1), ResponseFor(organ_id="H21.16", code="1/A")),
        (
            Bussiness(doc_type=2, document_id="d1", document_info=(BussinessDocumentInfo(document_info=1),)),
            ResponseFor(),
        ),
        (Bussiness(doc_type=3, replacements=(ReplacementInfo(document_id="d1"),)), ResponseFor()),
    ],
)
def test_a_document_that_names_the_other_is_accepted(business: Bussiness, answered: ResponseFor):
    document = msgspec.structs.replace(with_header(response_for=(answered,)), bussiness=business)
    assert codes(document) == []


def test_manifest_lines_need_their_own_content_ids():
    doubled = msgspec.structs.replace(DOCUMENT, references=(Reference(content_id="f1"), Reference(content_id="f1")))
    assert codes(doubled) == [("attachment.doubled", "edXMLManifest.Reference.ContentId")]
    nameless = msgspec.structs.replace(DOCUMENT, references=(Reference(content_id=""), Reference(content_id="")))
    assert set(codes(nameless)) == {("element.empty", "edXMLManifest.Reference.ContentId")}


def test_all_problems_are_listed_at_once_and_none_holds_content():
    empty = Document(header=MessageHeader(sender=Organization(organ_id="")))
    assert len(required.problems(empty)) == 6
    long = required.problems(with_header(subject="bí-danh" * 100))
    assert "bí-danh" not in f"{long!r}{long[0].sentence}{long[0].details}"


def test_a_complete_status_is_accepted():
    for code in required.STATUS_CODES:
        required.check_status(msgspec.structs.replace(STATUS, status_code=code))


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"sender": Organization(organ_id="")}, "element.empty", "MessageHeader.From.OrganId"),
        ({"sender": Organization(organ_id="a b")}, "element.range", "MessageHeader.From.OrganId"),
        ({"response_for": ()}, "element.missing", "MessageHeader.ResponseFor.DocumentId"),
        (
            {"response_for": (ResponseFor(organ_id="H21.16"),)},
            "element.missing",
            "MessageHeader.ResponseFor.DocumentId",
        ),
        ({"status_code": 14}, "element.range", "MessageHeader.StatusCode"),
        ({"status_code": 999}, "element.range", "MessageHeader.StatusCode"),
        ({"description": "x" * 501}, "element.too-long", "MessageHeader.Description"),
    ],
)
def test_a_faulty_status_is_refused_by_name(changes: dict[str, object], code: str, path: str):
    with pytest.raises(ExchangeError) as refused:
        required.check_status(msgspec.structs.replace(STATUS, **changes))
    assert (refused.value.kind.code, refused.value.element) == (code, path)


def test_a_refusal_without_reason_is_stopped_at_the_edge_only():
    refusal = msgspec.structs.replace(STATUS, status_code=2)
    required.check_status(refusal, required.HUB)
    with pytest.raises(ExchangeError) as refused:
        required.check_status(refusal, required.EDGE)
    assert refused.value.element == "MessageHeader.Description"
