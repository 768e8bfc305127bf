"""The tolerant edXML reader: the vectors of `tests/vectors/edxml`, what each gives, limits, and mutated input."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import edxml_models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol.edxml import names, reader, writer
from protocol.edxml.dates import format_date, format_timestamp, parse_date, parse_timestamp
from protocol.errors import ELEMENT_RANGE, ExchangeError
from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Code,
    Document,
    DocumentType,
    Message,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Receiver,
    Reference,
    ReplacementInfo,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusMessage,
    TraceHeader,
)
from protocol.namespaces import QCVN
from protocol.xml_reading import parse

VECTORS = Path(__file__).parents[2] / "vectors" / "edxml"
ROWS = re.findall(r"^\| `([^`]+)` \| .+ \| (.+) \|$", (VECTORS / "README.md").read_text("utf-8"), re.MULTILINE)
TOLERANT = "accepted when tolerant, else message.not-xml"


def outcome(data: bytes, *, tolerant: bool) -> str:
    try:
        return outcome_of(parse(data, tolerant=tolerant))
    except ExchangeError as error:
        return error.kind.code


def outcome_of(root: etree._Element) -> str:
    try:
        reader.read_message(root)
    except ExchangeError as error:
        return f"{error.kind.code} {error.element}".strip()
    return "accepted"


def read(prefix: str) -> Message:
    (path,) = VECTORS.glob(f"{prefix}-*.xml")
    return reader.read_message(parse(path.read_bytes(), tolerant=True))


def document(prefix: str) -> Document:
    message = read(prefix)
    assert isinstance(message, Document)
    return message


def status(prefix: str) -> StatusMessage:
    message = read(prefix)
    assert isinstance(message, StatusMessage)
    return message


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(("vector", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_every_vector_has_the_outcome_of_its_line(vector: str, expected: str, tolerant: bool):
    if expected == TOLERANT:
        expected = "accepted" if tolerant else "message.not-xml"
    assert outcome((VECTORS / vector).read_bytes(), tolerant=tolerant) == expected


def test_every_vector_has_a_line():
    assert sorted(row[0] for row in ROWS) == sorted(path.name for path in VECTORS.glob("*.xml"))


def test_a_document_is_read_whole():
    read_document = document("01")
    header = read_document.header
    assert header.sender == Organization(
        organ_id="H21.16",
        organization_in_charge="UBND tỉnh Mẫu",
        organ_name="Sở Ví dụ A",
        organ_add="Số 1, phường Mẫu",
        email="vanthu@so-a.example",
        telephone="0269000001",
        fax="0269000002",
        website="so-a.example",
    )
    assert header.to == (
        Organization(organ_id="H21.23", organ_name="Sở Ví dụ B"),
        Organization(organ_id="000.00.24.H21"),
    )
    assert header.code == Code(number="07", notation="SVDA-VP")
    assert header.promulgation_info == PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20))
    assert header.document_type == DocumentType(type=2, type_detail=18, type_name="Công văn")
    assert (header.subject, header.content) == ("V/v mời họp & chuẩn bị tài liệu", "Tóm tắt nội dung")
    assert header.signer_info == SignerInfo(
        competence="KT. GIÁM ĐỐC", position="Phó Giám đốc", full_name="Nguyễn Văn Mẫu"
    )
    assert (header.due_date, header.to_places) == (date(2026, 12, 1), ("Như trên", "Lưu: VT"))
    assert header.other_info == OtherInfo(
        priority=2,
        sphere_of_promulgation="Hành chính",
        typer_notation="NVM",
        promulgation_amount=3,
        page_amount=4,
        direction=True,
        appendixes=("Phụ lục 1",),
    )
    assert (header.steering_type, header.document_id) == (1, "H21.16,2026/11/20,07/SVDA-VP")


def test_the_business_block_the_hops_and_the_manifest_are_read_whole():
    read_document = document("01")
    assert read_document.bussiness == Bussiness(
        doc_type=2,
        reason="Thêm nơi nhận",
        document_id="H21.16,2026/11/19,06/SVDA-VP",
        paper=1,
        document_info=(BussinessDocumentInfo(document_receiver=1, receivers=(Receiver(organ_id="H21.24"),)),),
        staff_info=(StaffInfo(department="Văn phòng", staff="Trần Thị Thư"),),
        replacements=(ReplacementInfo(document_id="H21.16,2026/11/18,05/SVDA-VP", organ_ids=("H21.23",)),),
    )
    assert read_document.trace_headers == (
        TraceHeader(organ_id="H21.16", timestamp=datetime(2026, 11, 20, 1, 15, 30, tzinfo=UTC)),
    )
    assert read_document.references == (
        Reference(
            content_id="f1",
            attachment_name="07_SVDA-VP.signed.pdf",
            content_type="application/pdf",
            description="Văn bản chính",
        ),
    )


def test_a_status_is_read_whole():
    assert status("02") == StatusMessage(
        sender=Organization(organ_id="H21.23"),
        response_for=(
            ResponseFor(
                organ_id="H21.16",
                code="7/SVDA-VP",
                promulgation_date=date(2026, 11, 20),
                document_id="H21.16,2026/11/20,7/SVDA-VP",
            ),
        ),
        staff_info=StaffInfo(department="Văn thư", staff="Lê Thị B"),
        status_code=3,
        description="Đã vào sổ",
        timestamp=datetime(2026, 11, 20, 2, 0, 12, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("vector", "subject"),
    [
        ("03", "Không tiền tố"),
        ("04", "Không gian tên cũ"),
        ("24", "Đảo thứ tự"),
        ("27", "Cho phép nghỉ"),
        ("28", "A & B <C>"),
        ("29", "BOM"),
        ("30", "Rác"),
        ("31", "Trắng"),
        ("32", "Thiếu khai báo"),
        ("33", "Mười sáu bit"),
    ],
)
def test_the_text_is_whole_however_it_is_wrapped(vector: str, subject: str):
    assert document(vector).header.subject == subject


def test_a_recall_in_the_other_spelling_is_a_recall():
    assert document("05").bussiness == Bussiness(doc_type=1, reason="Thu hồi")


def test_the_superior_agency_is_read_in_both_spellings():
    assert document("06").header.sender.organization_in_charge == "UBND tỉnh Mẫu"


@pytest.mark.parametrize("vector", ["07", "08", "09"])
def test_dates_of_every_system_are_the_same_day(vector: str):
    header = document(vector).header
    assert (header.promulgation_info.date, header.due_date) == (date(2026, 11, 20), date(2026, 12, 1))


def test_empty_dates_are_absent():
    header = document("10").header
    assert (header.promulgation_info.date, header.due_date) == (None, None)


def test_an_empty_steering_type_is_none():
    assert document("14").header.steering_type == 0


@pytest.mark.parametrize(("vector", "group"), [("15", 2), ("16", 18)])
def test_the_name_of_a_type_is_trusted_not_the_number(vector: str, group: int):
    assert document(vector).header.document_type == DocumentType(type=group, type_name="Công văn")


def test_a_hop_that_says_null_is_no_agency():
    assert document("17").trace_headers == (
        TraceHeader(timestamp=datetime(2026, 11, 20, 1, 15, 30, tzinfo=UTC)),
        TraceHeader(),
    )


@pytest.mark.parametrize("vector", ["18", "19"])
def test_the_content_id_is_bare(vector: str):
    assert [reference.content_id for reference in document(vector).references] == ["f1"]


def test_a_missing_document_id_is_not_invented():
    assert document("20").header.document_id == ""


def test_missing_groups_are_empty_groups():
    read_document = document("21")
    assert (read_document.bussiness, read_document.trace_headers, read_document.references) == (Bussiness(), (), ())
    assert read_document.header.other_info == OtherInfo()


def test_several_answers_are_kept_and_empty_ones_left_out():
    assert [response.code for response in document("22").header.response_for] == ["7/SVDA-VP", "8/SVDA-VP"]
    assert [response.code for response in status("41").response_for] == ["7/SVDA-VP", "8/SVDA-VP"]


def test_misprinted_names_are_read():
    header = document("23").header
    assert (header.sender.organ_id, header.to[0].organ_id) == ("H21.16", "H21.23")
    assert (header.signer_info.full_name, header.document_id) == ("Nguyễn Văn Mẫu", "H21.16,2026/11/20,7/SVDA-VP")


def test_digest_and_size_of_a_sealed_manifest_are_read():
    (reference,) = document("25").references
    assert reference.sha256 is not None
    assert reference.sha256.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert reference.size == 0


def test_a_status_of_one_digit_is_the_same_status():
    assert status("40").status_code == 3


def test_codes_with_space_around_them_are_codes():
    (path,) = VECTORS.glob("21-*.xml")
    data = path.read_bytes().replace(b"H21.23", b"\n   H21.23\n   ")
    message = reader.read_message(parse(data))
    assert isinstance(message, Document)
    assert message.header.to[0].organ_id == "H21.23"


@pytest.mark.parametrize(
    ("element", "limit", "path"),
    [
        ("<To><OrganId>H21.23</OrganId></To>", names.RECIPIENTS_MAX, "MessageHeader.To"),
        ("<ResponseFor><Code>1</Code></ResponseFor>", names.ITEMS_MAX, "MessageHeader.ResponseFor"),
    ],
)
def test_lists_are_bounded(element: str, limit: int, path: str):
    def envelope(count: int) -> bytes:
        return (
            f'<edXMLEnvelope xmlns="{QCVN}"><edXMLHeader><MessageHeader><From><OrganId>H21</OrganId></From>'
            f"{element * count}</MessageHeader></edXMLHeader></edXMLEnvelope>"
        ).encode()

    assert outcome(envelope(limit), tolerant=False) == "accepted"
    with pytest.raises(ExchangeError) as caught:
        reader.read_message(parse(envelope(limit + 1)))
    assert (caught.value.kind, caught.value.element) == (ELEMENT_RANGE, path)


def test_the_manifest_is_bounded():
    references = "<Reference><ContentId>cid:a</ContentId></Reference>"

    def envelope(count: int) -> bytes:
        return (
            f'<edXMLEnvelope xmlns="{QCVN}"><edXMLHeader><MessageHeader><From><OrganId>H21</OrganId></From>'
            f"</MessageHeader></edXMLHeader><edXMLBody><edXMLManifest>{references * count}</edXMLManifest></edXMLBody>"
            "</edXMLEnvelope>"
        ).encode()

    assert outcome(envelope(names.REFERENCES_MAX), tolerant=False) == "accepted"
    assert outcome(envelope(names.REFERENCES_MAX + 1), tolerant=False) == "element.range edXMLManifest.Reference"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026/11/20", date(2026, 11, 20)),
        ("2026/1/5", date(2026, 1, 5)),
        ("5/1/2026", date(2026, 1, 5)),
        (" 2026-11-20 ", date(2026, 11, 20)),
        ("20-11-2026 07:05", date(2026, 11, 20)),
        ("2026-11-20T00:00:00+07:00", date(2026, 11, 20)),
        ("2026-11-19T17:00:00.000Z", date(2026, 11, 20)),
        ("2026-11-19T16:59:59Z", date(2026, 11, 19)),
        ("0001/01/01", date(1, 1, 1)),
        ("9999/12/31", date(9999, 12, 31)),
        ("", None),
        ("2026/13/01", None),
        ("31/02/2026", None),
        ("2026/11-20", None),
        ("2026/11/20x", None),
        ("20261120", None),
        ("26/11/20", None),
        ("٢٠٢٦/11/20", None),
        ("2026/11/20 24:00:00", None),
        ("2026-11-20T10:00:00+99:99", None),
        ("9999/12/31 23:00:00-10:00", None),
        ("1" * 1000, None),
    ],
)
def test_dates(text: str, day: date | None):
    assert parse_date(text) == day


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026/11/20 08:15:30", datetime(2026, 11, 20, 1, 15, 30, tzinfo=UTC)),
        ("20/11/2026 08:15:30", datetime(2026, 11, 20, 1, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30.1234567", datetime(2026, 11, 20, 1, 15, 30, 123456, tzinfo=UTC)),
        ("2026-11-20T08:15:30Z", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30-0530", datetime(2026, 11, 20, 13, 45, 30, tzinfo=UTC)),
        ("2026/11/20", datetime(2026, 11, 19, 17, tzinfo=UTC)),
        ("0001/01/01 00:00:00", None),
        ("2026/11/20 08:60:00", None),
        ("9999-12-31T23:00:00Z", None),
        ("null", None),
    ],
)
def test_timestamps(text: str, moment: datetime | None):
    assert parse_timestamp(text) == moment


@given(st.text(max_size=40) | st.text("0123456789/-:TZ+. ", max_size=30))
def test_any_text_is_a_date_or_none(text: str):
    day, moment = parse_date(text), parse_timestamp(text)
    assert day is None or parse_date(format_date(day)) == day
    assert moment is None or parse_timestamp(format_timestamp(moment)) == moment.replace(microsecond=0)


ENVELOPES = [path.read_bytes() for path in sorted(VECTORS.glob("*.xml"))] + [
    writer.write_envelope(message, envelope_id="e") for message in (edxml_models.DOCUMENT, edxml_models.STATUS)
]


@given(st.data())
def test_mutated_envelopes_give_a_message_or_an_error_of_the_vocabulary(data: st.DataObject):
    envelope = bytearray(data.draw(st.sampled_from(ENVELOPES)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(envelope)))
        length = data.draw(st.integers(0, 40))
        other = data.draw(st.sampled_from(ENVELOPES))
        cut = data.draw(st.integers(0, len(other)))
        piece = data.draw(st.binary(max_size=8)) if data.draw(st.booleans()) else other[cut : cut + length]
        envelope[start : start + length] = piece
    tolerant = data.draw(st.booleans())
    assert outcome(bytes(envelope), tolerant=tolerant).partition(".")[0] in {"accepted", "element", "message"}


@given(st.data())
def test_mutated_elements_give_a_message_or_an_error_of_the_vocabulary(data: st.DataObject):
    root = parse(data.draw(st.sampled_from([ENVELOPES[-1], ENVELOPES[-2], ENVELOPES[0]])))
    elements = list(root.iter())
    for _ in range(data.draw(st.integers(1, 4))):
        element = data.draw(st.sampled_from(elements))
        match data.draw(st.integers(0, 3)):
            case 0:
                element.text = data.draw(
                    edxml_models.legal_characters.map(str) | st.sampled_from(["1_0", "²", "", " "])
                )
            case 1:
                element.tag = data.draw(st.sampled_from(elements)).tag
            case 2 if (parent := element.getparent()) is not None:
                parent.remove(element)
            case _:
                element.append(parse(b"<x/>"))
    assert outcome_of(root).partition(".")[0] in {"accepted", "element", "message"}
