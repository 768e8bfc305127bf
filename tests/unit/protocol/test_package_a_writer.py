"""The writer of package A: the exact frame, true types, streaming, and reading back what was written."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.model import (
    Bussiness,
    Code,
    Document,
    Message,
    MessageHeader,
    Organization,
    Reference,
    ResponseFor,
    StatusMessage,
)
from protocol.package_a import (
    AttachmentData,
    AttachmentStart,
    EnvelopeReady,
    PackageAReader,
    PackageAWriter,
    write_package_a,
)
from protocol.package_a.content_type import true_type

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
ONE = Organization(organ_id="H21.40", organ_name="Sở Vectơ Một")
TWO = Organization(organ_id="H21.41", organ_name="Sở Vectơ Hai")
HEADER = MessageHeader(
    sender=ONE,
    to=(TWO,),
    code=Code(number="07", notation="SVM-VP"),
    subject="V/v <kiểm thử> & ghi",
    document_id="H21.40,2026/10/05,07/SVM-VP",
)
STATUS = StatusMessage(sender=TWO, response_for=(ResponseFor(organ_id="H21.40", code="07/SVM-VP"),), status_code=3)


def document(*references: Reference) -> Document:
    return Document(header=HEADER, bussiness=Bussiness(paper=1), references=references)


def read(data: bytes) -> tuple[Message, bytes, dict[str, bytes], list[AttachmentStart]]:
    reader = PackageAReader()
    events = reader.feed(data) + reader.close()
    envelope, *rest = events
    assert isinstance(envelope, EnvelopeReady)
    files: dict[str, bytes] = {}
    starts: list[AttachmentStart] = []
    for event in rest:
        if isinstance(event, AttachmentStart):
            starts.append(event)
            files[event.content_id] = b""
        elif isinstance(event, AttachmentData):
            files[starts[-1].content_id] += event.data
    return envelope.message, envelope.original_envelope, files, starts


def test_the_frame_is_the_one_that_strict_readers_expect():
    reference = Reference(content_id="f1", attachment_name="Công văn.pdf", content_type="application/pdf")
    written = b"".join(write_package_a(document(reference), [(reference, [PDF])]))
    assert written.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<edXML xmlns="%b"><edXML:edXMLEnvelope xmlns:edXML="%b"><edXML:edXMLHeader><edXML:MessageHeader>'
        % (QCVN.encode(), QCVN.encode())
    )
    tail = written[written.index(b"<AttachmentEncoded>") :].decode()
    assert tail == (
        "<AttachmentEncoded><Attachment><ContentId>cid:f1</ContentId><AttachmentName>Công văn.pdf</AttachmentName>"
        "<Description></Description><ContentType>application/pdf</ContentType>"
        f'<edXML:ContentTransferEncoded xmlns:edXML="{QCVN}">JVBERi0xLjcKJeLjz9MK</edXML:ContentTransferEncoded>'
        "</Attachment></AttachmentEncoded></edXML>"
    )
    root = etree.fromstring(written)
    assert [etree.QName(child).localname for child in root] == ["edXMLEnvelope", "AttachmentEncoded"]
    assert {etree.QName(element).namespace for element in root.iter("*")} == {QCVN}


def test_a_status_has_no_attachments_element():
    written = b"".join(write_package_a(STATUS))
    assert b"AttachmentEncoded" not in written
    assert b"<edXML:StatusCode>03</edXML:StatusCode>" in written
    assert read(written)[0] == STATUS


IDENTIFIERS = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="._-@"), min_size=1)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40).map(
    lambda name: name.strip() + ".pdf"
)


@given(
    parts=st.dictionaries(IDENTIFIERS, st.tuples(NAMES, st.lists(st.binary(max_size=400), max_size=5)), max_size=4),
    subject=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t")),
)
def test_what_was_written_is_read_back(parts: dict[str, tuple[str, list[bytes]]], subject: str):
    header = MessageHeader(sender=ONE, to=(TWO,), subject=subject.replace("\ufffe", "").replace("\uffff", ""))
    references = tuple(
        Reference(content_id=content_id, attachment_name=name.replace("\ufffe", "").replace("\uffff", ""))
        for content_id, (name, _) in parts.items()
        if not content_id.lower().startswith("cid:")
    )
    message = Document(header=header, references=references)
    sources = [(reference, parts[reference.content_id][1]) for reference in references]
    back, _, files, starts = read(b"".join(write_package_a(message, sources)))
    assert isinstance(back, Document)
    assert back.header == header
    assert files == {reference.content_id: b"".join(chunks) for reference, chunks in sources}
    assert [start.name for start in starts] == [reference.attachment_name for reference in references]
    assert [start.content_type for start in starts] == [reference.content_type for reference in back.references]


def test_a_sealed_envelope_is_carried_octet_by_octet():
    reference = Reference(content_id="f1", attachment_name="a.pdf", sha256=bytes(32), size=len(PDF))
    message = document(reference)
    sealed = write_envelope(message, envelope_id="e-1")
    back, envelope, _, _ = read(b"".join(write_package_a(message, [(reference, [PDF])], envelope=sealed)))
    assert envelope == sealed
    assert back == message


def test_octets_stream_through_without_gathering():
    pulled = 0

    def source() -> Iterator[bytes]:
        nonlocal pulled
        for _ in range(50):
            pulled += 1
            yield bytes(100_000)

    reference = Reference(content_id="f1", attachment_name="a.bin")
    longest, written = 0, 0
    ahead = []
    for chunk in write_package_a(document(reference), [(reference, source())]):
        longest = max(longest, len(chunk))
        written += len(chunk)
        ahead.append(pulled * 100_000 * 4 / 3 - written)
    assert longest <= 256 << 10
    assert max(ahead) < 400_000
    assert written > 50 * 100_000 * 4 / 3


@pytest.mark.parametrize(
    ("name", "declared", "octets", "expected"),
    [
        ("a.pdf", "application/zip", PDF, "application/pdf"),
        ("khong duoi", "", PDF, "application/pdf"),
        (
            "a.xlsx",
            "application/zip",
            b"PK\x03\x04",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        ("a.zip", "application/pdf", b"PK\x03\x04", "application/zip"),
        ("a.kmz", "application/zip", b"PK\x03\x04", "application/octet-stream"),
        ("a.xls", "application/pdf", b"\xd0\xcf\x11\xe0", "application/vnd.ms-excel"),
        ("a.dwg", "image/vnd.dwg", b"AC1032", "image/vnd.dwg"),
        ("a.pdf", "application/pdf", b"", "application/octet-stream"),
    ],
)
def test_the_type_is_true_to_the_octets(name: str, declared: str, octets: bytes, expected: str):
    reference = Reference(content_id="f1", attachment_name=name, content_type=declared)
    assert true_type(reference, octets) == expected


def test_manifest_and_attachment_say_the_same_type():
    reference = Reference(content_id="f1", attachment_name="a.pdf", content_type="application/zip")
    back, _, _, starts = read(b"".join(write_package_a(document(reference), [(reference, [b"", PDF])])))
    assert isinstance(back, Document)
    assert back.references[0].content_type == starts[0].content_type == "application/pdf"


F1, F2 = Reference(content_id="f1", attachment_name="a.pdf"), Reference(content_id="f2", attachment_name="b.pdf")


@pytest.mark.parametrize(
    ("message", "attachments", "code"),
    [
        (document(F1, F2), [(F1, [PDF])], "attachment.missing"),
        (document(F1), [(F1, [PDF]), (F1, [PDF])], "attachment.doubled"),
        (document(F1), [(F1, [PDF]), (F2, [PDF])], "attachment.extra"),
        (STATUS, [(F1, [PDF])], "attachment.extra"),
    ],
)
def test_manifest_and_attachments_must_agree_before_anything_is_written(
    message: Message, attachments: list[tuple[Reference, list[bytes]]], code: str
):
    with pytest.raises(ExchangeError) as caught:
        write_package_a(message, attachments)
    assert caught.value.kind.code == code


def test_a_name_that_xml_cannot_hold_is_refused_by_its_element():
    writer = PackageAWriter()
    with pytest.raises(ExchangeError) as caught:
        writer.begin(Reference(content_id="f1", attachment_name="a\x00.pdf"))
    assert caught.value.kind.code == "element.type"
    assert caught.value.element == "AttachmentEncoded.Attachment.AttachmentName"
