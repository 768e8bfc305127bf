"""What every `Exchange` between agencies promises, asked of the hub and of its in-memory twin alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller, Exchange, PlainSubmission, Upload
from protocol.model import (
    Bussiness,
    BussinessDocType,
    Code,
    Document,
    MessageHeader,
    Organization,
    PromulgationInfo,
    ResponseFor,
    StatusMessage,
)
from protocol.twin import Twin
from tests.support.running_hub import RunningHub

A, B, C, STRANGER = (Caller(agency=code, proof="token") for code in ("H21.16", "H21.23", "H21.24", "H21.99"))
EVERYBODY = (A, B, C, STRANGER)
STYLES = ["status", "document"]


@pytest.fixture(params=["hub", "twin"])
async def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Exchange]:
    if request.param == "twin":
        yield Twin([Organization(organ_id=one.agency) for one in EVERYBODY], lambda: datetime.now(UTC))
        return
    async with RunningHub(tmp_path / "hub") as running:
        for one in EVERYBODY:
            await running.hub.administration.add(one.agency, f"Cơ quan {one.agency}")
        yield running.hub.exchange


async def nothing() -> AsyncIterator[Upload]:
    return
    yield


def letter(name: str, sender: Caller, *to: Caller, **changes: object) -> Document:
    header = MessageHeader(
        sender=Organization(organ_id=sender.agency, organ_name="Cơ quan gửi"),
        to=tuple(Organization(organ_id=one.agency) for one in to),
        code=Code(number=name[:11], notation="VD"),
        promulgation_info=PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20)),
        subject="V/v thử nghiệm",
        document_id=name,
    )
    return Document(header=msgspec.structs.replace(header, **changes))


async def send(exchange: Exchange, caller: Caller, document: Document) -> int:
    submission = PlainSubmission(message=document, original=b"<x/>", package="B")
    return (await exchange.send(caller, submission, nothing())).number


async def report(exchange: Exchange, caller: Caller, code: int, *meant: tuple[Caller, str], reason: str = "") -> int:
    status = StatusMessage(
        sender=Organization(organ_id=caller.agency),
        response_for=tuple(ResponseFor(organ_id=owner.agency, document_id=name) for owner, name in meant),
        status_code=code,
        description=reason,
        timestamp=datetime(2026, 11, 20, 3, tzinfo=UTC),
    )
    return (await exchange.report(caller, PlainSubmission(message=status, original=b"<x/>", package="B"))).number


async def recall(exchange: Exchange, style: str, name: str, *to: Caller, number: str = "thu-hoi") -> int:
    if style == "status":
        return await report(exchange, A, 13, (A, name), reason=number)
    answered = (ResponseFor(organ_id=A.agency, document_id=name),)
    document = letter(number, A, *to, response_for=answered)
    kind = Bussiness(doc_type=BussinessDocType.RECALL)
    return await send(exchange, A, msgspec.structs.replace(document, bussiness=kind))


async def waiting(exchange: Exchange, caller: Caller) -> list[int]:
    return [one.number for one in await exchange.pending(caller, limit=100)]


async def outcome(exchange: Exchange, caller: Caller, number: int) -> str:
    return (await exchange.confirm(caller, [number]))[0].outcome


async def refusal(attempt: object) -> errors.ErrorKind:
    with pytest.raises(ExchangeError) as caught:
        await attempt  # type: ignore[misc] # an awaitable of any result
    return caught.value.kind


async def test_a_document_waits_until_it_is_confirmed_and_its_sender_is_told(exchange: Exchange) -> None:
    number = await send(exchange, A, letter("1", A, B))
    assert await send(exchange, A, letter("1", A, B)) == number
    assert await refusal(send(exchange, A, letter("1", A, B, subject="V/v khác"))) is errors.DOCUMENT_CONFLICT
    assert await waiting(exchange, B) == [number]
    assert [await outcome(exchange, one, number) for one in (STRANGER, B, B)] == ["unknown", "delivered", "already"]
    assert await waiting(exchange, B) == []
    (notice,) = await exchange.pending(A, limit=10)
    assert (notice.kind, notice.document_id) == ("notice", "1")
    assert [one.number for one in await exchange.pending(A, limit=10, kinds={"notice"})] == [notice.number]
    assert await exchange.pending(A, limit=10, kinds={"document", "status"}) == []


@pytest.mark.parametrize("style", STYLES)
async def test_recall_stops_the_undelivered_and_asks_who_has_it(exchange: Exchange, style: str) -> None:
    number = await send(exchange, A, letter("1", A, B, C))
    await exchange.confirm(B, [number])
    asked = await recall(exchange, style, "1", B, C)
    assert (await waiting(exchange, B), await waiting(exchange, C)) == ([asked], [])
    assert await refusal(exchange.fetch(C, number)) is errors.DOCUMENT_NOT_FOUND
    again = await recall(exchange, style, "1", B, C, number="lan-hai")
    assert (await waiting(exchange, B), await waiting(exchange, C)) == ([asked, again], [])


@pytest.mark.parametrize("style", STYLES)
async def test_recall_that_crosses_a_fetch_follows_the_document(exchange: Exchange, style: str) -> None:
    number = await send(exchange, A, letter("1", A, B))
    await exchange.fetch(B, number)
    asked = await recall(exchange, style, "1", B)
    assert await waiting(exchange, B) == []
    assert [await outcome(exchange, B, number) for _ in range(2)] == ["delivered", "already"]
    assert await waiting(exchange, B) == [asked]
    assert "notice" in [one.kind for one in await exchange.pending(A, limit=10)]
    assert await refusal(exchange.fetch(B, number)) is errors.DOCUMENT_NOT_FOUND


@pytest.mark.parametrize("style", STYLES)
async def test_report_of_who_had_fetched_brings_the_recall_too(exchange: Exchange, style: str) -> None:
    number = await send(exchange, A, letter("1", A, B))
    asked = await recall(exchange, style, "1", B)
    await report(exchange, B, 3, (A, "1"))
    assert await waiting(exchange, B) == [asked]
    assert await outcome(exchange, B, number) == "delivered"
    assert await waiting(exchange, B) == [asked]


async def test_who_may_say_what_of_which_document(exchange: Exchange) -> None:
    number = await send(exchange, A, letter("1", A, B))
    for name in ("1", "không có"):
        for code in (3, 13):
            assert await refusal(report(exchange, STRANGER, code, (A, name))) is errors.DOCUMENT_NOT_FOUND
    assert await refusal(report(exchange, B, 13, (A, "1"))) is errors.STATUS_NOT_YOURS
    assert await refusal(report(exchange, A, 3, (A, "1"))) is errors.STATUS_NOT_YOURS
    theft = letter("2", STRANGER, B, response_for=(ResponseFor(organ_id=A.agency, document_id="1"),))
    theft = msgspec.structs.replace(theft, bussiness=Bussiness(doc_type=BussinessDocType.RECALL))
    assert await refusal(send(exchange, STRANGER, theft)) is errors.DOCUMENT_NOT_FOUND
    assert await waiting(exchange, B) == [number]


async def test_the_agency_that_is_named_decides_between_documents_of_one_name(exchange: Exchange) -> None:
    number = await send(exchange, A, letter("123", A, B))
    await send(exchange, B, letter("123", B, A))
    reported = await report(exchange, B, 3, (A, "123"))
    assert reported in await waiting(exchange, A)
    asked = await report(exchange, A, 13, (B, "123"), reason="của chính mình")
    assert await waiting(exchange, B) == [number, asked]


async def test_a_status_is_about_one_document(exchange: Exchange) -> None:
    for name in ("1", "2"):
        await send(exchange, A, letter(name, A, B))
    assert await refusal(report(exchange, B, 3, (A, "1"), (A, "2"))) is errors.ELEMENT_RANGE
    assert await waiting(exchange, A) == []
    reported = await report(exchange, B, 3, (A, "1"), (A, " 1 "))
    assert await waiting(exchange, A) == [reported]


async def test_every_recipient_traces_the_recall(exchange: Exchange) -> None:
    number = await send(exchange, A, letter("1", A, B, C))
    for one in (B, C):
        await exchange.confirm(one, [number])
    asked = await recall(exchange, "status", "1")
    for one in (B, C):
        assert [trace.number for trace in await exchange.traces(one)] == [asked]
    assert [trace.status.status_code for trace in await exchange.traces(A, document_id="1")] == [1, 1]


async def test_a_recall_is_forbidden_only_where_it_is_too_late_for_everybody(exchange: Exchange) -> None:
    number = await send(exchange, A, letter("1", A, B, C))
    await exchange.confirm(B, [number])
    await report(exchange, B, 6, (A, "1"))
    await recall(exchange, "status", "1")
    assert await waiting(exchange, B) == []
    await report(exchange, C, 2, (A, "1"), reason="nhầm nơi nhận")
    assert await refusal(recall(exchange, "status", "1", number="nữa")) is errors.STATUS_NOT_ALLOWED
