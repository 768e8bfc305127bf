"""The ledger: one batch or nothing, refusals that harm nobody, evidence that outlives a restart, append-only events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pysqlite3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.ledger.ledger import FILE_NAME, Ledger
from hub.ledger.records import Agency, Placement
from hub.ledger.schema import MIGRATIONS
from hub.ledger.transaction import Transaction
from hub.works import Accept, AgencyChange, ChangeAgency, Refuse, identity_of
from protocol import errors
from protocol.checkpoint import LogKey, read_checkpoint
from protocol.errors import ExchangeError
from protocol.merkle import verify_consistency
from protocol.receipts import verify
from runtime.config import ConfigError
from runtime.database import connect, open_database

KEY = LogKey.from_private("test.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NOW = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1000)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


def accept(number: int, *, digest: bytes = b"", to: tuple[str, ...] = ("H21.23",)) -> Accept:
    digest = digest or number.to_bytes(32, "big")
    name = f"H21.16,2026/11/20,{number}/VD"
    return Accept(
        agency="H21.16",
        document_id=name,
        identity=identity_of("document", "H21.16", name, 0, digest),
        digest=digest,
        doc_type=0,
        priority=0,
        recipients=to,
        basis="KYSO_CQ",
        envelope=b"<sealed %d/>" % number,
        attachments=(),
        small=((digest, b"payload %d" % number),),
        large=(),
    )


async def opened(folder: Path, clock: Clock | None = None) -> Ledger:
    ledger = Ledger(folder, KEY, clock or Clock())
    for code in ("H21.16", "H21.23"):
        await ledger.do(ChangeAgency(code=code, change=AgencyChange(name=code), what="added", creates=True))
    return ledger


class Breaks(msgspec.Struct, frozen=True):
    """A work with a bug: it writes, then raises something that is not in the vocabulary."""

    agency: str = "H21.16"
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:
        transaction.put_agency(Agency(code="H21.BROKEN", name="", state="active"))
        raise ZeroDivisionError


class RefusesLate(msgspec.Struct, frozen=True):
    """A work that breaks the law: it refuses after it wrote."""

    agency: str = "H21.16"
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:
        transaction.put_agency(Agency(code="H21.LATE", name="", state="active"))
        raise ExchangeError(errors.ELEMENT_RANGE)


async def test_a_batch_is_one_commit_with_one_checkpoint(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    before = ledger.writer.batches
    recorded = await asyncio.gather(*(ledger.do(accept(number)) for number in range(1, 41)))
    assert ledger.writer.batches - before <= 3
    assert sorted(one.number for one in recorded) == list(range(1, 41))
    for one in recorded:
        leaf = verify(ledger.receipt(one.leaf), [KEY.vkey])
        assert (leaf.number, leaf.document_id) == (one.number, one.document_id)
    await ledger.close()
    await ledger.close()


@pytest.mark.parametrize("bad", [Breaks(), RefusesLate()])
async def test_a_broken_work_takes_nothing_and_nobody_with_it(tmp_path: Path, bad: Breaks | RefusesLate) -> None:
    ledger = await opened(tmp_path)
    results = await asyncio.gather(ledger.do(accept(1)), ledger.do(bad), ledger.do(accept(2)), return_exceptions=True)
    assert isinstance(results[1], ExchangeError)
    assert results[1].kind is errors.INTERNAL
    assert [one.number for one in (results[0], results[2])] == [1, 2]  # type: ignore[union-attr]
    assert {agency.code for agency in ledger.agencies()} == {"H21.16", "H21.23"}
    await ledger.close()


async def test_ac_12_1_2_one_agencys_flood_does_not_starve_another(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    flood = [asyncio.create_task(ledger.do(accept(number))) for number in range(1, 301)]
    other = msgspec.structs.replace(accept(999), agency="H21.23", identity=b"other agency...!", recipients=("H21.16",))
    recorded, *_ = await asyncio.gather(ledger.do(other), *flood)
    assert recorded.number == 2
    await ledger.close()


async def test_conflict_is_refused_inside_a_batch_too(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    results = await asyncio.gather(
        ledger.do(accept(1)), ledger.do(accept(1)), ledger.do(accept(1, digest=b"x" * 32)), return_exceptions=True
    )
    assert [getattr(one, "repeated", None) for one in results] == [False, True, None]
    assert isinstance(results[2], ExchangeError)
    assert results[2].kind is errors.DOCUMENT_CONFLICT
    await ledger.close()


async def test_receipts_from_stored_nodes_equal_those_from_the_batch_and_history_only_grows(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    notes = []
    leaves = []
    for start in range(1, 60, 7):
        done = await asyncio.gather(*(ledger.do(accept(start + offset)) for offset in range(7)))
        leaves += [one.leaf for one in done]
        notes.append(ledger.log.note)
    made = {leaf: ledger.receipt(leaf).to_text() for leaf in leaves}
    await ledger.close()
    again = Ledger(tmp_path, KEY, Clock())
    assert {leaf: again.receipt(leaf).to_text() for leaf in leaves} == made
    points = [read_checkpoint(note, [KEY.vkey]) for note in notes]
    for old, new in pairwise(points):
        verify_consistency(old.size, old.root, new.size, new.root, again.consistency(old.size, new.size))
    assert again.log.note == notes[-1]
    await again.close()


async def test_octets_of_a_commit_that_failed_are_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of such a commit may be on the disk: after a crash they would refer to another batch's octets."""
    ledger = await opened(tmp_path)
    first = await ledger.do(accept(1))
    writer = ledger.writer
    real = writer._connection

    class FailsOnce:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def execute(self, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT":
                writer._connection = real
                raise pysqlite3.OperationalError("disk I/O error")
            return real.execute(statement, *arguments)

    writer._connection = FailsOnce()
    with pytest.raises(ExchangeError) as caught:
        await ledger.do(accept(2))
    assert caught.value.kind is errors.INTERNAL
    third = await ledger.do(accept(3))
    places = [ledger.find_message(one.number).envelope for one in (first, third)]  # type: ignore[union-attr]
    assert [place.segment for place in places if place] == [1, 2]
    await ledger.close()


async def test_a_clock_that_went_back_a_day_stops_acceptance_until_it_is_right(tmp_path: Path) -> None:
    clock = Clock()
    ledger = await opened(tmp_path, clock)
    clock.now -= 86_400_000
    with pytest.raises(ExchangeError) as caught:
        await ledger.do(accept(1))
    assert caught.value.kind is errors.CLOCK
    clock.now = NOW
    assert (await ledger.do(accept(1))).number == 1
    await ledger.close()


async def test_events_cannot_be_changed_or_deleted(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    await ledger.do(Refuse(agency="H21.16", reason="seal.invalid"))
    await ledger.close()
    connection = connect(tmp_path / FILE_NAME)
    for statement in ("UPDATE events SET data = x''", "DELETE FROM events"):
        with pytest.raises(pysqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


async def test_two_hubs_cannot_open_one_ledger(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    with pytest.raises(ConfigError):
        Ledger(tmp_path, KEY, Clock())
    await ledger.close()
    await Ledger(tmp_path, KEY, Clock()).close()


async def test_a_closed_ledger_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    await (await opened(tmp_path / "warm")).close()
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    ledger = await opened(tmp_path / "measured")
    recorded = await ledger.do(accept(1))
    message = ledger.find_message(recorded.number)
    assert message is not None
    assert message.envelope is not None
    assert await ledger.payloads.read(message.envelope) == b"<sealed 1/>"
    await ledger.close()
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


def test_a_migrated_database_equals_a_fresh_one(tmp_path: Path) -> None:
    fresh = open_database(tmp_path / "fresh", MIGRATIONS)
    steps = open_database(tmp_path / "steps", MIGRATIONS[:1])
    steps.close()
    migrated = open_database(tmp_path / "steps", MIGRATIONS)
    assert migrated.schema == fresh.schema
    fresh.close()
    migrated.close()
