"""The in-memory exchange keeps the promises of the port."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from edxml_models import DOCUMENT, STATUS
from msgspec.structs import replace

from protocol.errors import ExchangeError
from protocol.exchange import Caller, PlainSubmission, Upload
from protocol.model import Bussiness, Document, Organization, Reference, ResponseFor, StatusMessage
from protocol.twin import Twin

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
A = Caller(agency="H21.16", proof="token")
B = Caller(agency="H21.23", proof="token")
STRANGER = Caller(agency="H21.99", proof="token")
LETTER = replace(DOCUMENT, references=(Reference(content_id="f1", attachment_name="07.pdf"),))


class Part:
    def __init__(self, content_id: str, *chunks: bytes) -> None:
        self.content_id = content_id
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def parts(*uploads: Part) -> AsyncIterator[Upload]:
    for upload in uploads:
        yield upload


@pytest.fixture
def twin() -> Twin:
    return Twin([Organization(organ_id=code) for code in ("000.00.16.H21", "H21.23", "H21.99")], lambda: NOW)


def plain(message: Document | StatusMessage) -> PlainSubmission:
    return PlainSubmission(message=message, original=b"", package="B")


async def send(twin: Twin, document: Document = LETTER, caller: Caller = A, *uploads: Part) -> int:
    accepted = await twin.send(caller, plain(document), parts(*(uploads or (Part("f1", b"%PDF", b"-1"),))))
    return accepted.number


async def kind_of_refusal(attempt: object) -> str:
    with pytest.raises(ExchangeError) as refusal:
        await attempt  # type: ignore[misc] # an awaitable of any result
    return refusal.value.kind.code


async def test_a_document_waits_until_it_is_confirmed_and_its_sender_is_told(twin: Twin):
    number = await send(twin)
    (waiting,) = await twin.pending(B, limit=10)
    assert (waiting.number, waiting.kind, waiting.size) == (number, "document", 6)
    delivery = await twin.fetch(B, number)
    assert [[chunk async for chunk in one.chunks()] for one in delivery.attachments] == [[b"%PDF-1"]]
    outcomes = [await twin.confirm(B, [number, 99]), await twin.confirm(B, [number])]
    assert [[one.outcome for one in several] for several in outcomes] == [["delivered", "unknown"], ["already"]]
    assert await twin.pending(B, limit=10) == []
    assert (await twin.fetch(B, number)).summary == waiting  # a second look after the confirmation
    (notice,) = await twin.pending(A, limit=10)
    (trace,) = await twin.traces(A)
    assert (notice.kind, trace.number, trace.status.status_code) == ("notice", notice.number, 1)


async def test_the_most_urgent_document_comes_first(twin: Twin):
    urgent = replace(
        LETTER,
        header=replace(LETTER.header, document_id="urgent", other_info=replace(LETTER.header.other_info, priority=4)),
    )
    numbers = [await send(twin), await send(twin, urgent)]
    assert [summary.number for summary in await twin.pending(B, limit=10)] == numbers[::-1]
    assert [summary.number for summary in await twin.pending(B, limit=1)] == numbers[1:]


async def test_same_again_is_the_same_and_other_octets_are_a_conflict(twin: Twin):
    number = await send(twin)
    again = await twin.send(A, plain(LETTER), parts(Part("f1", b"%PDF-1")))
    assert (again.number, again.repeated) == (number, True)
    assert await kind_of_refusal(send(twin, LETTER, A, Part("f1", b"other"))) == "document.conflict"
    recall = replace(LETTER, bussiness=Bussiness(doc_type=1, document_id=LETTER.header.document_id))
    assert await send(twin, recall) != number


@pytest.mark.parametrize(
    ("uploads", "code"),
    [
        ([Part("f2", b"")], "attachment.extra"),
        ([Part("f1", b"1"), Part("f1", b"1")], "attachment.doubled"),
    ],
)
async def test_parts_must_match_the_manifest(twin: Twin, uploads: list[Part], code: str):
    assert await kind_of_refusal(twin.send(A, plain(LETTER), parts(*uploads))) == code
    assert await twin.pending(B, limit=1) == []


async def test_missing_and_changed_attachments_are_refused(twin: Twin):
    assert await kind_of_refusal(twin.send(A, plain(LETTER), parts())) == "attachment.missing"
    stated = replace(LETTER, references=(replace(LETTER.references[0], sha256=bytes(32)),))
    assert await kind_of_refusal(send(twin, stated)) == "attachment.digest"


async def test_nobody_acts_for_another(twin: Twin):
    number = await send(twin)
    assert await kind_of_refusal(send(twin, LETTER, B)) == "caller.not-the-sender"
    assert await kind_of_refusal(twin.fetch(STRANGER, number)) == "document.not-found"
    assert (await twin.confirm(STRANGER, [number]))[0].outcome == "unknown"
    foreign = replace(STATUS, sender=Organization(organ_id=STRANGER.agency))
    assert await kind_of_refusal(twin.report(STRANGER, plain(foreign))) == "document.not-found"


async def test_unknown_recipients_and_secret_marks_are_refused_before_an_upload_is_touched(twin: Twin):
    async def untouchable() -> AsyncIterator[Upload]:
        raise AssertionError("an attachment was asked for")
        yield

    unknown = replace(LETTER, header=replace(LETTER.header, to=(Organization(organ_id="H21.77"),)))
    secret = replace(LETTER, header=replace(LETTER.header, subject="TUYỆT MẬT"))
    assert await kind_of_refusal(twin.send(A, plain(unknown), untouchable())) == "recipient.unknown"
    assert await kind_of_refusal(twin.send(A, plain(secret), untouchable())) == "secrecy.refused"


async def test_a_status_reaches_the_sender_once(twin: Twin):
    await twin.confirm(B, [await send(twin)])
    first = await twin.report(B, plain(STATUS))
    again = await twin.report(B, plain(STATUS))
    assert (again.number, again.repeated) == (first.number, True)
    assert [trace.status.status_code for trace in await twin.traces(A)] == [1, 3]
    assert [trace.number for trace in await twin.traces(A, after=first.number - 1)] == [first.number]
    assert await twin.traces(A, document_id="another") == []


async def test_a_recall_before_delivery_empties_the_mailbox(twin: Twin):
    await send(twin)
    recall = StatusMessage(
        sender=Organization(organ_id=A.agency),
        response_for=(ResponseFor(organ_id=A.agency, document_id=LETTER.header.document_id),),
        status_code=13,
        description="gửi nhầm",
    )
    await twin.report(A, plain(recall))
    assert await twin.pending(B, limit=10) == []


async def test_a_recall_after_delivery_reaches_the_recipient(twin: Twin):
    await twin.confirm(B, [await send(twin)])
    recall = replace(STATUS, sender=Organization(organ_id=A.agency), status_code=13)
    await twin.report(A, plain(recall))
    assert [summary.kind for summary in await twin.pending(B, limit=10)] == ["status"]


async def test_the_directory_is_the_same_for_all(twin: Twin):
    assert [one.organ_id for one in await twin.organizations(A)] == ["000.00.16.H21", "H21.23", "H21.99"]
