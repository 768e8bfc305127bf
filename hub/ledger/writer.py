"""The one writer: works that wait become one batch = one payload fsync, one transaction, one tree update, one commit.

Law of this file: a work's caller hears of success only after the commit returned. A work refuses (raises
`ExchangeError`) before it writes anything; one that breaks in the middle takes the batch back, and the others are
committed without it. Agencies take turns, so one agency's flood does not starve another (AC-12.1-2).
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, Protocol, TypeVar

import pysqlite3

from hub.ledger import statements as sql
from hub.ledger.clock import JudgedClock
from hub.ledger.evidence import EvidenceLog, Grown
from hub.ledger.placing import BatchPayloads, Places
from hub.ledger.recent import RecentMessages
from hub.ledger.records import Placement
from hub.ledger.transaction import Transaction
from hub.payloads.segments import Appendix
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
REMEMBERED: Final = 8192
"""Places of payloads kept in memory; a committed payload never moves."""
REGISTRY: Final = "registry"
"""The fairness key of works that no agency asked for; they are done whatever the clock says."""

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
        """Check, then write. `places` are where the payloads lie. Raises `ExchangeError` before any write.

        Payloads get their places when the first is asked for: those of a work that refuses are not stored.
        """
        ...


class _Item(Generic[T]):
    __slots__ = ("future", "octets", "payloads", "work")

    def __init__(self, work: Work[T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future
        self.payloads = work.payloads
        self.octets = sum(len(data) for _, data in self.payloads)


class Writer:
    """Owns the writing connection, the segments and the tree. Use from one event loop.

    Works are applied on the loop, where the interpreter is anyway; what waits for the disk (payload fsync, COMMIT) runs
    in one thread while the loop takes the next requests.
    """

    def __init__(
        self, connection: Connection, payloads: PayloadStore, evidence: EvidenceLog, clock: JudgedClock
    ) -> None:
        self._connection = connection
        self._segments = payloads.segments
        self._evidence = evidence
        self.clock = clock
        self._next_number: int = connection.execute(sql.LAST_NUMBER).fetchone()[0] + 1
        self._queues: dict[str, deque[_Item[Any]]] = {}
        self._running: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1, "ledger-disk")
        self._stopping = False
        self._placed: dict[bytes, Placement] = {}
        self.recent = RecentMessages()
        self.batches = 0
        self.works = 0
        self.failure = ""
        """Error code of the latest attempt to commit anything; "" when it succeeded."""

    async def do(self, work: Work[T]) -> T:
        """Return the work's result when it is durable.

        Raises:
            ExchangeError: the work refused, or `server.disk-full`, `server.clock`, `server.internal`,
                `server.stopping`.
        """
        if self._stopping:
            raise ExchangeError(errors.STOPPING)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        item = _Item(work, future)
        queue = self._queues.get(work.agency)
        if queue is None:
            queue = self._queues[work.agency] = deque()
        queue.append(item)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="ledger writer")
        return await future

    def place_of(self, sha256: bytes) -> Placement | None:
        """Where a payload of the latest batches lies: most documents are fetched soon after they came."""
        return self._placed.get(sha256)

    async def close(self) -> None:
        """Commit what waits, then stop; may be called twice."""
        self._stopping = True
        if self._running is not None:
            await self._running
        self._disk.shutdown()

    async def _run(self) -> None:
        """Batches until nothing waits.

        Under load it waits a little for more to come: a batch costs an fsync and a signature, whatever its size.
        """
        size = 0
        while self._queues:
            if size > 1 and not self._stopping:
                await asyncio.sleep(LINGER)
            batch = self._take()
            size = len(batch)
            answers = await self._commit(batch)
            self.batches += 1
            self.works += size
            for item, answer in zip(batch, answers, strict=True):
                _answer(item, answer)

    def _take(self) -> list[_Item[Any]]:
        """One work of each agency in turn, until the batch is full."""
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

    async def _commit(self, batch: list[_Item[Any]]) -> list[object]:
        try:
            return await self._attempt(batch)
        except Exception as error:  # noqa: BLE001 -- whatever broke, every caller gets an answer
            if len(batch) == 1:
                answer = _in_vocabulary(error)
                self.failure = answer.kind.code
                return [answer]
            _log.warning("batch.retried_singly", works=len(batch), error=type(error).__name__)
            return [(await self._commit([item]))[0] for item in batch]

    async def _attempt(self, batch: list[_Item[Any]]) -> list[object]:
        """All works of the batch in one transaction; either it commits or nothing of it counts."""
        time = self.clock.judge(self._evidence.last_event_at)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(
                self._connection,
                now=time.at,
                next_number=self._next_number,
                size=self._evidence.size,
                recent=self.recent,
            )
            payloads = BatchPayloads(self._connection, self._segments.plan())
            answers = [
                ExchangeError(errors.CLOCK, last_event=self._evidence.last_event_at)
                if time.wrong and item.work.agency != REGISTRY
                else _apply(item.work, transaction, Places(item.payloads, payloads.place))
                for item in batch
            ]
            if not transaction.changed:
                self._connection.execute("ROLLBACK")
                return answers
            appendix = payloads.appendix
            grown = self._seal(transaction, appendix)
            await asyncio.get_running_loop().run_in_executor(self._disk, self._make_durable, appendix)
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self.failure = ""
        self._next_number = transaction.next_number
        if appendix is not None:
            self._segments.adopt(appendix)
        if grown is not None:
            self._evidence.adopt(grown, time.at)
        self._remember(transaction.placed)
        self.recent.adopt(transaction.messages, transaction.deliveries, transaction.withdrawn)
        return answers

    def _remember(self, placed: dict[bytes, Placement]) -> None:
        self._placed |= placed
        while len(self._placed) > REMEMBERED:
            del self._placed[next(iter(self._placed))]

    def _seal(self, transaction: Transaction, appendix: Appendix | None) -> Grown | None:
        """What closes the batch: its events, the tree with its checkpoint, the segment's new length."""
        if appendix is not None:
            self._connection.execute(sql.SET_SEGMENT, (appendix.segment, appendix.end))
        transaction.flush()
        if not transaction.hashes:
            return None
        return self._evidence.grow(transaction, self._connection)

    def _make_durable(self, appendix: Appendix | None) -> None:
        """Payloads first, then the transaction that refers to them."""
        if appendix is not None:
            self._segments.write(appendix)
        try:
            self._connection.execute("COMMIT")
        except pysqlite3.Error as error:
            if appendix is not None and _is_full(error):  # only then is it certain that nothing refers to it
                self._segments.withdraw(appendix)
            elif appendix is not None:
                # the frames of this commit may be on the disk all the same: what they refer to must stay as it is
                self._segments.abandon(appendix.segment)
            raise


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
    if _is_full(error) or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}):
        return ExchangeError(errors.DISK_FULL)
    _log.error("batch.failed", error=type(error).__name__, exc_info=error)
    return ExchangeError(errors.INTERNAL, error=type(error).__name__)


def _is_full(error: Exception) -> bool:
    return isinstance(error, pysqlite3.OperationalError) and "full" in str(error)


def _answer(item: _Item[Any], answer: object) -> None:
    if item.future.done():
        return  # its caller has gone; the work stands all the same
    if isinstance(answer, ExchangeError):
        item.future.set_exception(answer)
    else:
        item.future.set_result(answer)
