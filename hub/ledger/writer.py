"""The one writer: works that wait become one batch = one payload fsync, one transaction, one tree update, one commit.

Law of this file: a work's caller hears of success only after the commit returned. A work refuses (raises
`ExchangeError`) before it writes anything; one that breaks in the middle takes the batch back, and the others are
committed without it. Agencies take turns, so one agency's flood does not starve another (AC-12.1-2).
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import pysqlite3

from hub.ledger import statements as sql
from hub.ledger.evidence import EvidenceLog
from hub.ledger.records import Placement
from hub.ledger.transaction import Transaction
from hub.payloads.store import PayloadStore
from protocol import errors
from protocol.errors import ExchangeError
from runtime import logs
from runtime.database import Connection

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

MAXIMUM_BATCH: Final = 256
MAXIMUM_BATCH_OCTETS: Final = 32 << 20
LINGER: Final = 0.002
"""Seconds."""
CLOCK_TOLERANCE: Final = 600_000
"""Milliseconds that the clock may go back before nothing is accepted any more."""

_log = logs.get(__name__)


class Work(Protocol[T_co]):
    """Something to be done in a batch."""

    @property
    def agency(self) -> str:
        """Whose turn this is."""
        ...

    @property
    def payloads(self) -> Sequence[tuple[bytes | None, bytes]]:
        """Small payloads to be durable first: (SHA-256, octets); None for octets that nobody shares."""
        ...

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> T_co:
        """Check, then write. `places` are where the payloads lie. Raises `ExchangeError` before any write."""
        ...


class _Item(Generic[T]):
    __slots__ = ("future", "loop", "octets", "work")

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.octets = sum(len(data) for _, data in work.payloads)


class Writer:
    """Owns the writing connection, the segments and the tree; one thread."""

    def __init__(
        self, connection: Connection, payloads: PayloadStore, evidence: EvidenceLog, now: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._payloads = payloads
        self._evidence = evidence
        self._now = now
        self._next_number: int = connection.execute(sql.LAST_NUMBER).fetchone()[0] + 1
        self._queues: dict[str, deque[_Item[Any]]] = {}
        self._ready = threading.Condition()
        self._stopping = False
        self.batches = 0
        self.works = 0
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def do(self, work: Work[T]) -> T:
        """Return the work's result when it is durable.

        Raises:
            ExchangeError: the work refused, or `server.disk-full`, `server.clock`, `server.internal`,
                `server.stopping`.
        """
        item = _Item(work, asyncio.get_running_loop())
        with self._ready:
            if self._stopping:
                raise ExchangeError(errors.STOPPING)
            queue = self._queues.get(work.agency)
            if queue is None:
                queue = self._queues[work.agency] = deque()
            queue.append(item)
            self._ready.notify()
        return await item.future

    def waiting(self, agency: str) -> int:
        """Works of this agency that are not yet taken."""
        queue = self._queues.get(agency)
        return len(queue) if queue is not None else 0

    def close(self) -> None:
        """Commit what waits, then stop; may be called twice."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        batch: list[_Item[Any]] = []
        while batch := self._take(linger=len(batch) > 1):
            answers = self._commit(batch)
            self.batches += 1
            self.works += len(batch)
            for loop in {item.loop for item in batch}:
                mine = [(item, answer) for item, answer in zip(batch, answers, strict=True) if item.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_resolve, mine)

    def _take(self, *, linger: bool) -> list[_Item[Any]]:
        """One work of each agency in turn, until the batch is full. Empty: the writer is to stop.

        Under load (`linger`) it waits a little for more to come: a batch costs an fsync and a signature, whatever its
        size. A hub with little to do never waits.
        """
        if linger and not self._stopping:
            time.sleep(LINGER)
        with self._ready:
            while not self._queues and not self._stopping:
                self._ready.wait()
            batch: list[_Item[Any]] = []
            octets = 0
            while self._queues and len(batch) < MAXIMUM_BATCH and octets < MAXIMUM_BATCH_OCTETS:
                for agency in list(self._queues):
                    queue = self._queues[agency]
                    item = queue.popleft()
                    batch.append(item)
                    octets += item.octets
                    if not queue:
                        del self._queues[agency]
            return batch

    def _commit(self, batch: list[_Item[Any]]) -> list[object]:
        try:
            return self._attempt(batch)
        except Exception as error:  # noqa: BLE001 -- whatever broke, every caller gets an answer
            if len(batch) == 1:
                return [_in_vocabulary(error)]
            _log.warning("batch.retried_singly", works=len(batch), error=type(error).__name__)
            return [self._commit([item])[0] for item in batch]

    def _attempt(self, batch: list[_Item[Any]]) -> list[object]:
        """All works of the batch in one transaction; either it commits or nothing of it counts."""
        now = self._now()
        if now < self._evidence.last_event_at - CLOCK_TOLERANCE:
            raise ExchangeError(errors.CLOCK, now=now, last_event=self._evidence.last_event_at)
        end = self._payloads.segments.end
        try:
            places = self._place(batch)
            answers, committed = self._write(batch, places, max(now, self._evidence.last_event_at))
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._payloads.segments.roll_back(end)
            raise
        if not committed:
            self._payloads.segments.roll_back(end)
        return answers

    def _write(self, batch: list[_Item[Any]], places: list[list[Placement]], now: int) -> tuple[list[object], bool]:
        self._connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(self._connection, now=now, next_number=self._next_number, size=self._evidence.size)
        answers = [_apply(item.work, transaction, place) for item, place in zip(batch, places, strict=True)]
        if not transaction.changed:
            self._connection.execute("ROLLBACK")
            return answers, False
        grown = None
        if transaction.hashes:
            transaction.write_events()
            grown = self._evidence.grow(transaction, self._connection)
        if any(item.work.payloads for item in batch):
            self._connection.execute(sql.SET_SEGMENT, self._payloads.segments.end)
        self._connection.execute("COMMIT")
        self._next_number = transaction.next_number
        if grown is not None:
            self._evidence.adopt(grown, now)
        return answers, True

    def _place(self, batch: list[_Item[Any]]) -> list[list[Placement]]:
        """Append the payloads that are not stored yet, durably; where each lies, per work."""
        places: list[list[Placement | None]] = []
        fresh: list[bytes] = []
        slots: list[tuple[int, int]] = []
        new: dict[bytes, int] = {}
        shared: list[tuple[int, int, int]] = []
        for number, item in enumerate(batch):
            row: list[Placement | None] = []
            for position, (sha256, data) in enumerate(item.work.payloads):
                known = self._known(sha256)
                if known is None and sha256 is not None and sha256 in new:
                    shared.append((number, position, new[sha256]))
                elif known is None:
                    if sha256 is not None:
                        new[sha256] = len(fresh)
                    fresh.append(data)
                    slots.append((number, position))
                row.append(known)
            places.append(row)
        if fresh:
            appended = self._payloads.segments.append(fresh)
            for (number, position), place in zip(slots, appended, strict=True):
                places[number][position] = place
            for number, position, index in shared:
                places[number][position] = appended[index]
        return [[place for place in row if place is not None] for row in places]

    def _known(self, sha256: bytes | None) -> Placement | None:
        if sha256 is None:
            return None
        row = self._connection.execute(sql.FIND_PAYLOAD, (sha256,)).fetchone()
        return None if row is None else Placement(*row)


def _apply(work: Work[T], transaction: Transaction, places: Sequence[Placement]) -> T | ExchangeError:
    """The work's result or its refusal; a refusal after a write breaks the batch (and so the law of this file)."""
    changed, transaction.changed = transaction.changed, False
    try:
        return work.apply(transaction, places)
    except ExchangeError as refusal:
        if transaction.changed:
            raise RuntimeError(f"{type(work).__name__} refused after it wrote") from refusal
        return refusal
    finally:
        transaction.changed = transaction.changed or changed


def _in_vocabulary(error: Exception) -> ExchangeError:
    if isinstance(error, ExchangeError):
        return error
    full = isinstance(error, pysqlite3.OperationalError) and "full" in str(error)
    if full or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}):
        return ExchangeError(errors.DISK_FULL)
    _log.error("batch.failed", error=type(error).__name__, exc_info=error)
    return ExchangeError(errors.INTERNAL, error=type(error).__name__)


def _resolve(answered: list[tuple[_Item[Any], object]]) -> None:
    for item, answer in answered:
        if item.future.done():
            continue
        if isinstance(answer, ExchangeError):
            item.future.set_exception(answer)
        else:
            item.future.set_result(answer)
