"""Package B's view of a mailbox: `GetTraces` never loses a status, documents are found behind statuses."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from protocol.exchange import Caller, Confirmation, PlainSubmission, Summary, Trace
from protocol.http.mailbox_views import StatusReader, statuses_since, waiting_documents
from protocol.model import (
    Code,
    Document,
    MessageHeader,
    Organization,
    PromulgationInfo,
    ResponseFor,
    StatusMessage,
)
from protocol.twin import Twin

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
A = Caller(agency="H21.16", proof="token")
B = Caller(agency="H21.23", proof="token")
DOCUMENT_ID = "H21.16,2026/11/20,123/SVDA-VP"


async def nothing():
    return
    yield


def document() -> Document:
    return Document(
        header=MessageHeader(
            sender=Organization(organ_id=A.agency),
            to=(Organization(organ_id=B.agency),),
            code=Code(number="123", notation="SVDA-VP"),
            promulgation_info=PromulgationInfo(date=NOW.date()),
            subject="V/v thử nghiệm",
            document_id=DOCUMENT_ID,
        )
    )


def status(code: int, at: datetime = NOW) -> StatusMessage:
    return StatusMessage(
        sender=Organization(organ_id=B.agency),
        response_for=(ResponseFor(organ_id=A.agency, code="123/SVDA-VP", document_id=DOCUMENT_ID),),
        status_code=code,
        timestamp=at,
    )


@pytest.fixture
async def twin() -> Twin:
    """A document of A, delivered to B, registered and assigned there."""
    exchange = Twin([Organization(organ_id=A.agency), Organization(organ_id=B.agency)], lambda: NOW)
    sent = await exchange.send(A, PlainSubmission(message=document(), original=b"", package="B"), nothing())
    await exchange.confirm(B, [sent.number])
    for step, code in enumerate((3, 4)):
        reported = status(code, NOW + timedelta(hours=step + 1))
        await exchange.report(B, PlainSubmission(message=reported, original=b"", package="B"))
    return exchange


def codes(traces: list[Trace]) -> list[int]:
    return [trace.status.status_code for trace in traces]


async def test_statuses_are_given_once_when_each_answer_arrives(twin: Twin):
    reader = StatusReader(twin)
    traces = await reader.read(A)
    assert codes(traces) == [1, 3, 4]
    reader.handed_out(A, traces)
    assert await reader.read(A) == []
    assert await twin.pending(A, limit=10) == []


async def test_an_answer_that_did_not_leave_is_given_again(twin: Twin):
    reader = StatusReader(twin)
    assert codes(await reader.read(A)) == [1, 3, 4]  # and the connection breaks: handed_out is not called
    assert codes(await reader.read(A)) == [1, 3, 4]


async def test_a_restart_gives_the_last_answer_again_rather_than_losing_it(twin: Twin):
    reader = StatusReader(twin)
    reader.handed_out(A, await reader.read(A))
    assert codes(await StatusReader(twin).read(A)) == [1, 3, 4]


async def test_what_arrives_between_two_reads_is_not_confirmed_by_them(twin: Twin):
    reader = StatusReader(twin)
    reader.handed_out(A, await reader.read(A))
    await twin.report(B, PlainSubmission(message=status(6), original=b"", package="B"))
    assert codes(await reader.read(A)) == [6]


async def test_one_agency_does_not_confirm_for_another(twin: Twin):
    reader = StatusReader(twin)
    reader.handed_out(A, await reader.read(A))
    assert await reader.read(B) == []
    assert len(await twin.pending(A, limit=10)) == 3


async def test_a_read_with_a_time_stamp_consumes_nothing(twin: Twin):
    assert codes(await statuses_since(twin, A, NOW + timedelta(hours=1))) == [3, 4]
    assert codes(await statuses_since(twin, A, NOW)) == [1, 3, 4]
    assert len(await twin.pending(A, limit=10)) == 3


class FullOfStatuses:
    """An exchange whose mailbox has one document behind more statuses than any look sees."""

    async def pending(
        self, caller: Caller, *, limit: int, wait_seconds: float = 0, kinds: Collection[str]
    ) -> list[Summary]:
        assert (caller, wait_seconds) == (A, 0)
        waiting = ["status"] * 100_000 + ["document"]
        return [
            Summary(
                number=number,
                kind="document" if kind == "document" else "status",
                sender=B.agency,
                document_id=DOCUMENT_ID,
                digest="",
                priority=0,
                size=0,
                accepted_at=NOW,
            )
            for number, kind in enumerate(waiting, 1)
            if kind in kinds
        ][:limit]

    async def confirm(self, caller: Caller, numbers: list[int]) -> list[Confirmation]:
        raise AssertionError((caller, numbers))


async def test_a_document_is_found_behind_unread_statuses():
    exchange = FullOfStatuses()
    assert await waiting_documents(exchange, A) == [100_001]  # type: ignore[arg-type] # only what is asked of it
