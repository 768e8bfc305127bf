"""The native package: every operation from both sides, and what is refused."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import edxml_models
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol import native
from protocol.edxml.reader import read_message
from protocol.edxml.writer import write_envelope
from protocol.errors import BAD_ANSWER, UNKNOWN_OPERATION, ExchangeError
from protocol.exchange import Accepted, Confirmation, Delivery, Summary, Trace
from protocol.namespaces import EXCHANGE
from protocol.soap import SoapVersion, read_answer, read_envelope
from protocol.soap import write_envelope as write_soap
from protocol.xml_reading import parse

ENVELOPE = write_envelope(edxml_models.DOCUMENT, envelope_id="e-1")
RECEIPT = "c2sp.org/tlog-proof@v1\nextra e30=\nindex 7\n\nhub.example\n8\nabc=\n\n— hub.example Zm9v\n"
NOW = datetime(2026, 11, 20, 1, 2, 3, 456000, tzinfo=UTC)
SUMMARY = Summary(
    number=7,
    kind="document",
    sender="H21.16",
    document_id="H21.16,2026/11/20,07/SVDA-VP",
    digest="ab" * 32,
    priority=3,
    size=50_000,
    accepted_at=NOW,
)

numbers = st.integers(0, 2**59)
moments = edxml_models.moments.map(lambda moment: moment.replace(microsecond=123000))
summaries = st.builds(
    Summary,
    number=numbers,
    kind=st.sampled_from(["document", "status", "notice"]),
    sender=edxml_models.texts,
    document_id=edxml_models.texts,
    digest=edxml_models.texts,
    priority=st.integers(0, 4),
    size=numbers,
    accepted_at=moments,
    receipt=edxml_models.texts,
)
traces = st.builds(Trace, number=numbers, document_id=edxml_models.texts, status=edxml_models.statuses)


def served(body: bytes) -> native.Request:
    return native.read_request(read_envelope(write_soap(SoapVersion.V11, body)).body)


def answered(body: bytes) -> etree._Element:
    return read_answer(write_soap(SoapVersion.V12, body)).body


def request(content: str) -> bytes:
    return content.replace(">", f' xmlns="{EXCHANGE}">', 1).encode()


def refusal(content: str) -> str:
    with pytest.raises(ExchangeError) as caught:
        served(request(content))
    return f"{caught.value.kind.code} {caught.value.element}"


def test_a_sealed_envelope_arrives_as_it_was_sent():
    for body, kind in (
        (native.write_send(ENVELOPE), native.SendDocumentRequest),
        (native.write_report(ENVELOPE), native.ReportStatusRequest),
    ):
        assert ENVELOPE in body
        read = served(body)
        assert isinstance(read, kind)
        assert etree.tostring(read.envelope, method="c14n", exclusive=True, with_comments=False) == ENVELOPE
        assert read_message(read.envelope) == edxml_models.DOCUMENT


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (native.write_get_pending(50, 25), native.GetPendingRequest(50, 25.0)),
        (native.write_get_pending(1, 0.5), native.GetPendingRequest(1, 0.5)),
        (native.write_get_document(2**40), native.GetDocumentRequest(2**40)),
        (native.write_confirm([3, 1, 2]), native.ConfirmReceivedRequest((3, 1, 2))),
        (native.write_confirm([]), native.ConfirmReceivedRequest(())),
        (native.write_get_traces(), native.GetTracesRequest("", 0)),
        (native.write_get_traces("A,2026/1/1,1/Đ&<", 9), native.GetTracesRequest("A,2026/1/1,1/Đ&<", 9)),
        (native.write_get_organizations(), native.GetOrganizationsRequest()),
        (native.write_get_checkpoint(), native.GetCheckpointRequest()),
        (native.write_get_consistency(4, 9), native.GetConsistencyRequest(4, 9)),
    ],
)
def test_every_question_is_read_as_it_was_asked(body: bytes, expected: native.Request):
    assert served(body) == expected


def test_a_greedy_question_is_answered_with_what_is_allowed():
    assert served(request("<GetPending><Limit>99999</Limit><WaitSeconds>1e9</WaitSeconds></GetPending>")) == (
        native.GetPendingRequest(1000, 3600.0)
    )
    assert served(request("<GetPending></GetPending>")) == native.GetPendingRequest(1000, 0.0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<GetPending><Limit>0</Limit></GetPending>", "element.range GetPending.Limit"),
        ("<GetPending><Limit>-1</Limit></GetPending>", "element.type GetPending.Limit"),
        ("<GetPending><Limit>x</Limit></GetPending>", "element.type GetPending.Limit"),
        ("<GetPending><Limit/></GetPending>", "element.empty GetPending.Limit"),
        ("<GetPending><WaitSeconds>nan</WaitSeconds></GetPending>", "element.range GetPending.WaitSeconds"),
        ("<GetPending><WaitSeconds>-1</WaitSeconds></GetPending>", "element.range GetPending.WaitSeconds"),
        ("<GetPending><WaitSeconds>lâu</WaitSeconds></GetPending>", "element.type GetPending.WaitSeconds"),
        ("<GetDocument></GetDocument>", "element.missing GetDocument.MessageNumber"),
        ("<GetDocument><MessageNumber>1_0</MessageNumber></GetDocument>", "element.type GetDocument.MessageNumber"),
        (
            f"<GetDocument><MessageNumber>{'9' * 19}</MessageNumber></GetDocument>",
            "element.type GetDocument.MessageNumber",
        ),
        (
            f"<ConfirmReceived>{'<MessageNumber>1</MessageNumber>' * 1001}</ConfirmReceived>",
            "element.range ConfirmReceived.MessageNumber",
        ),
        ("<GetConsistency><From>1</From></GetConsistency>", "element.missing GetConsistency.To"),
        ("<SendDocument></SendDocument>", "element.missing SendDocument.edXMLEnvelope"),
        ("<SendDocument><edXML/></SendDocument>", "element.mismatch SendDocument.edXMLEnvelope"),
        (
            "<SendDocument><edXMLEnvelope/><edXMLEnvelope/></SendDocument>",
            "element.mismatch SendDocument.edXMLEnvelope",
        ),
        ("<ReportStatus></ReportStatus>", "element.missing ReportStatus.edXMLEnvelope"),
        ("<DeleteEverything></DeleteEverything>", "message.unknown-operation "),
    ],
)
def test_a_malformed_question_is_refused_and_the_element_named(content: str, expected: str):
    assert refusal(content) == expected


def test_an_operation_in_another_namespace_is_unknown():
    with pytest.raises(ExchangeError) as caught:
        served(b"<GetCheckpoint/>")
    assert caught.value.kind is UNKNOWN_OPERATION


@pytest.mark.parametrize("operation", ["SendDocument", "ReportStatus"])
@pytest.mark.parametrize("repeated", [False, True])
def test_an_acceptance_carries_its_receipt_to_the_last_character(operation: str, repeated: bool):
    accepted = Accepted(number=9, document_id="A & B", receipt=RECEIPT, repeated=repeated)
    assert native.read_accepted(answered(native.write_accepted(operation, accepted))) == accepted


@given(st.lists(summaries, max_size=3).map(tuple))
def test_summaries_survive_the_wire(waiting: tuple[Summary, ...]):
    assert native.read_pending(parse(native.write_pending(waiting))) == waiting


def test_a_time_is_written_in_utc_whatever_its_zone():
    here = msgspec.structs.replace(SUMMARY, accepted_at=NOW.astimezone(timezone(timedelta(hours=7))))
    body = native.write_pending([here])
    assert b'acceptedAt="2026-11-20T01:02:03.456Z"' in body
    assert native.read_pending(parse(body)) == (SUMMARY,)


def test_a_delivery_carries_receipt_and_envelope():
    delivery = Delivery(summary=SUMMARY, envelope=ENVELOPE, receipt=RECEIPT)
    receipt, envelope = native.read_delivery(answered(native.write_delivery(delivery)))
    assert receipt == RECEIPT
    assert etree.tostring(envelope, method="c14n", exclusive=True, with_comments=False) == ENVELOPE


def test_confirmations_survive_the_wire():
    outcomes = (
        Confirmation(number=1, outcome="delivered"),
        Confirmation(number=2, outcome="already"),
        Confirmation(number=3, outcome="unknown"),
    )
    assert native.read_confirmations(answered(native.write_confirmations(outcomes))) == outcomes


@given(st.lists(traces, max_size=2).map(tuple))
def test_traces_survive_the_wire(happened: tuple[Trace, ...]):
    assert native.read_traces(parse(native.write_traces(happened))) == happened


@given(st.lists(edxml_models.organizations, max_size=3).map(tuple))
def test_the_directory_survives_the_wire(directory: tuple[object, ...]):
    assert native.read_organizations(parse(native.write_organizations(directory))) == directory


def test_a_checkpoint_and_a_proof_survive_the_wire():
    note = "hub.example\n8\nabc=\n\n— hub.example Zm9v\n"
    assert native.read_checkpoint(answered(native.write_checkpoint(note))) == note
    hashes = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    assert native.read_consistency(answered(native.write_consistency(hashes))) == hashes
    assert native.read_consistency(answered(native.write_consistency([]))) == []


ACCEPTED = Accepted(number=9, document_id="A", receipt=RECEIPT)
WRITTEN = [
    native.write_send(ENVELOPE),
    native.write_report(write_envelope(edxml_models.STATUS, envelope_id="e-2")),
    native.write_get_pending(5, 25),
    native.write_get_document(7),
    native.write_confirm([1, 2]),
    native.write_get_traces("A", 3),
    native.write_get_organizations(),
    native.write_get_checkpoint(),
    native.write_get_consistency(1, 2),
    native.write_accepted("SendDocument", ACCEPTED),
    native.write_accepted("ReportStatus", ACCEPTED),
    native.write_pending([SUMMARY, msgspec.structs.replace(SUMMARY, kind="notice", receipt=RECEIPT)]),
    native.write_delivery(Delivery(summary=SUMMARY, envelope=ENVELOPE, receipt=RECEIPT)),
    native.write_confirmations([Confirmation(number=1, outcome="already")]),
    native.write_traces([Trace(number=1, document_id="A", status=edxml_models.STATUS)]),
    native.write_organizations([edxml_models.DOCUMENT.header.sender]),
    native.write_checkpoint("note\n"),
    native.write_consistency([bytes(32)]),
]
PUBLISHED = etree.XMLSchema(etree.parse(str(Path(native.__file__).parents[1] / "wsdl" / "native.xsd")))


@pytest.mark.parametrize("body", WRITTEN, ids=lambda body: etree.fromstring(body).tag.partition("}")[2])
def test_what_is_written_has_the_published_shape(body: bytes):
    element = etree.fromstring(body)
    assert PUBLISHED.validate(element), PUBLISHED.error_log


READERS = [
    native.read_accepted,
    native.read_pending,
    native.read_delivery,
    native.read_confirmations,
    native.read_traces,
    native.read_organizations,
    native.read_checkpoint,
    native.read_consistency,
]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_an_answer_to_another_question_is_a_bad_answer(read: object):
    with pytest.raises(ExchangeError) as caught:
        read(parse(b"<Other/>"))
    assert caught.value.kind is BAD_ANSWER
    assert caught.value.kind.temporary


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SendDocument", "<MessageNumber>x</MessageNumber>"),
        ("SendDocument", ""),
        ("GetPending", '<Message number="1" kind="other"/>'),
        ("GetPending", '<Message number="1" kind="status" priority="0" size="1" acceptedAt="2026-11-20T01:02:03"/>'),
        ("GetPending", '<Message number="1" kind="status" priority="0" size="1" acceptedAt="hôm qua"/>'),
        ("GetDocument", "<Receipt/>"),
        ("ConfirmReceived", '<Confirmation number="1" outcome="maybe"/>'),
        ("GetTraces", '<Trace number="1" documentId="a"/>'),
        (
            "GetTraces",
            '<Trace number="1" documentId="a"><Status xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016"/></Trace>',
        ),
        ("GetOrganizations", "<Organization/>"),
        ("GetCheckpoint", "<Checkpoint/>"),
        ("GetConsistency", "<Hash>YQ==</Hash>"),
        ("GetConsistency", "<Hash>đ</Hash>"),
    ],
)
def test_a_malformed_answer_is_temporary_and_no_verdict_on_what_was_sent(name: str, content: str):
    answer = parse(f'<{name}Response xmlns="{EXCHANGE}">{content}</{name}Response>'.encode())
    refused = 0
    for read in READERS:
        with pytest.raises(ExchangeError) as caught:
            read(answer)
        refused += caught.value.kind is BAD_ANSWER
    assert refused == len(READERS)
