"""What a batch stores and what it remembers: nothing of a refused work, nothing withdrawn, nothing uncommitted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from hub.ledger import recent
from hub.ledger.ledger import Ledger
from hub.ledger.recent import RecentMessages
from hub.ledger.records import Placement
from hub.ledger.transaction import Transaction
from hub.works import Confirm
from protocol.errors import DOCUMENT_CONFLICT, ExchangeError
from tests.unit.hub.test_ledger import accept, opened


def octets_of_segments(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((folder / "payloads" / "segments").iterdir()))


async def test_octets_of_a_refused_work_are_not_stored_with_the_others(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    await ledger.do(accept(1))
    conflicts = [
        msgspec.structs.replace(accept(1), digest=bytes([n]) * 32, envelope=b"<conflict %d/>" % n) for n in range(5, 9)
    ]
    works = [accept(2), *conflicts, accept(1), accept(3)]
    answers = await asyncio.gather(*(ledger.do(work) for work in works), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, ExchangeError)]
    assert [one.kind for one in refused] == [DOCUMENT_CONFLICT] * 4
    stored = octets_of_segments(tmp_path)
    assert b"conflict" not in stored
    assert stored.count(b"<sealed 1/>") == stored.count(b"<sealed 2/>") == stored.count(b"<sealed 3/>") == 1
    await ledger.close()


async def test_a_document_is_fetched_from_memory_and_from_the_database_alike(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    recorded = await ledger.do(accept(1))
    remembered = ledger.find_fetchable(recorded.number, "H21.23")
    assert remembered is not None
    assert ledger.find_fetchable(recorded.number, "H21.16") is None
    assert ledger.find_fetchable(recorded.number + 1, "H21.23") is None
    ledger.writer.recent = RecentMessages()
    assert ledger.find_fetchable(recorded.number, "H21.23") == remembered
    assert ledger.find_fetchable(recorded.number, "H21.16") is None
    await ledger.close()


async def test_a_withdrawn_document_is_not_fetched_from_memory(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    recorded = await ledger.do(accept(1))
    await ledger.do(Withdraw(message=recorded.number))
    assert ledger.find_fetchable(recorded.number, "H21.23") is None
    await ledger.close()


class Withdraw(msgspec.Struct, frozen=True, kw_only=True):
    """What a recall does to a copy that was not fetched yet."""

    message: int
    agency: str = "H21.16"
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:
        row = transaction.find_delivery(self.message, "H21.23")
        assert row is not None
        transaction.settle(row, "withdrawn", row.handling)


class AcceptAndConfirm(msgspec.Struct, frozen=True, kw_only=True):
    """A work that reads what it wrote."""

    agency: str = "H21.16"
    payloads: tuple[tuple[None, bytes], ...] = ((None, b"<sealed/>"), (None, b"x"))

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> tuple[object, ...]:
        recorded = accept(7).apply(transaction, places)
        again = accept(7).apply(transaction, places)
        confirmed = Confirm(agency="H21.23", numbers=(recorded.number,)).apply(transaction, ())
        return recorded.number, again.number, again.repeated, confirmed.outcomes, len(transaction.recipients(1))


async def test_a_batch_sees_what_it_wrote(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    assert await ledger.do(AcceptAndConfirm()) == (1, 1, True, ("delivered",), 1)
    await ledger.close()


async def test_memory_is_bounded_and_what_is_forgotten_is_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "REMEMBERED", 3)
    ledger: Ledger = await opened(tmp_path)
    numbers = [(await ledger.do(accept(number))).number for number in range(1, 8)]
    assert [ledger.writer.recent.message(number) is not None for number in numbers] == [False] * 4 + [True] * 3
    assert all(ledger.find_fetchable(number, "H21.23") is not None for number in numbers)
    confirmed = await ledger.do(Confirm(agency="H21.23", numbers=tuple(numbers)))
    assert confirmed.outcomes == ("delivered",) * 7
    await ledger.close()
