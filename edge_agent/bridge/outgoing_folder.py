"""The folder `outgoing/`: what is dropped there is sent; where a file lies says how far it is.

    outgoing/X        waiting, or in the outbox and on its way
    done/X            the hub's receipt is held; it lies beside it as X.bien-nhan.tlog-proof
    failed/X          refused; the reason lies beside it as X.reason.txt

A secrecy mark is the exception (Điều 4.2a): the file is neither copied nor moved nor named in any log; only a reason
without content is put beside it. So is an arrangement of files that only a person can put right (`items`).

A file is taken when its size and time stood still between two looks, and still did when it had been read. What goes
wrong with one item is that item's: it waits and is tried again, the others go on. Nothing here must be remembered:
after a crash every file is read again, and the outbox knows what it has.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.backoff import Backoff
from edge_agent.bridge import reasons
from edge_agent.bridge.items import Finder, Item, Signature
from edge_agent.bridge.moving import JOURNAL, JOURNAL_SUFFIX, Mover
from edge_agent.bridge.reasons import REASON, reason_beside, reason_text
from edge_agent.bridge.sources import ChangedError, PackageASource, SidecarSource, Source, StatusSource
from edge_agent.clock import Clock
from edge_agent.intake import Intake
from edge_agent.places import Places
from edge_agent.store import Store
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError, kind_of
from protocol.exchange import PlainSubmission, Upload
from protocol.model import Organization
from protocol.package_a import Limits
from runtime import durable, logs

RECEIPT: Final = ".bien-nhan.tlog-proof"
PATIENCE: Final = 10
"""Looks for which a truncated `.edxml` may still be growing, and a main file that its sidecar names may still come."""
RETRY: Final = Backoff(first=1.0, longest=30.0)
"""Tries of an item that this machine could not take or move (disk full, no permission)."""
STUBBORN: Final = 3
"""Failures in a row after which a person is told."""

_LEFTOVER: Final = re.compile(
    rf"\.(?:{re.escape(JOURNAL)}.*{re.escape(JOURNAL_SUFFIX)}|.*(?:{re.escape(REASON)}|{re.escape(RECEIPT)}))"
    rf"\.[0-9a-f]+{re.escape(durable.TEMPORARY_SUFFIX)}"
)
"""What `durable.write_file` leaves of our own files when the process dies; what others are writing looks different."""

_log = logs.get("edge.outgoing")


class Progress(msgspec.Struct):
    """What is known of an item since this process started.

    `failures` in a row, the last one's `cause` (a code, or the name of an exception), and when to try again (seconds
    of the loop's own clock).
    """

    signature: Signature
    looks: int = 0
    outbox: int | None = None
    refused: bool = False
    failures: int = 0
    cause: str = ""
    not_before: float = 0.0


class OutgoingFolder:
    """One scan at a time."""

    def __init__(
        self,
        *,
        places: Places,
        agency: Organization,
        intake: Intake,
        store: Store,
        watchman: Watchman,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._places = places
        self._agency = agency
        self._intake = intake
        self._store = store
        self._watchman = watchman
        self._limits = limits
        self._clock = clock
        self._progress: dict[Path, Progress] = {}
        self._finder = Finder(places.outgoing)
        self._mover = Mover(places)
        self._moves = Progress(())
        self._left: frozenset[Path] = frozenset()

    async def run(self, drain: asyncio.Event, interval: float) -> None:
        """Scan until `drain`. Raises `OSError` when the folder cannot be read."""
        await asyncio.to_thread(self._clean)
        await asyncio.to_thread(self._mover.resume)
        while not drain.is_set():
            await self.scan(drain.is_set)
            try:
                await asyncio.wait_for(drain.wait(), interval)
            except TimeoutError:
                continue

    async def scan(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Look once; take what stands still, move what is settled."""
        await self._finish_moves()
        items = await asyncio.to_thread(self._find)
        self._progress = {item.main: self._progress[item.main] for item in items if item.main in self._progress}
        taken = [one.outbox for one in self._progress.values() if one.outbox is not None]
        settled = await self._store.run(self._store.outbox.settled, taken) if taken else set()
        self._left = frozenset()
        for item in items:
            if stop():
                return
            await self._look(item, settled)
        await self._tell()

    async def _look(self, item: Item, settled: set[int]) -> None:
        """One item. Whatever goes wrong with it is in no other's way."""
        progress = self._stands_still(item)
        if progress is None or progress.refused or progress.not_before > _now():
            return
        if item.shared & self._left:
            return  # one of those that share it has just gone; the next look knows who is the last
        if item.problem is errors.ATTACHMENT_MISSING and progress.looks < PATIENCE:
            return
        try:
            if item.problem is not None:
                await self._leave(item, progress, ExchangeError(item.problem, element=item.element))
            elif progress.outbox is None:
                await self._take(item, progress)
            elif progress.outbox in settled:
                await self._settle(item, progress)
        except (ChangedError, FileNotFoundError):
            self._progress.pop(item.main, None)  # still being written, or gone: the next look begins anew
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary, and this item's alone
            _postpone(progress, error)

    def _stands_still(self, item: Item) -> Progress | None:
        """What is known of an item that looks as it did the last time; None when it does not."""
        signature = item.signature()
        if signature is None:
            return None
        progress = self._progress.get(item.main)
        if progress is None or not _is_same(progress, signature):
            self._progress[item.main] = Progress(signature)
            return None
        progress.looks += 1
        return progress

    async def _take(self, item: Item, progress: Progress) -> None:
        source = self._source(item)
        try:
            submission = await source.read()
            taken = await self._custody(item, submission, source)
        except ExchangeError as error:
            await self._refuse(item, progress, error)
        else:
            progress.outbox = taken
            progress.failures = 0
            await asyncio.to_thread(_remove_reasons, item)
        finally:
            source.close()

    async def _custody(self, item: Item, submission: PlainSubmission, source: Source) -> int:
        """The number in the outbox. Raises `ChangedError` when a file changed while it was read; nothing is kept."""
        before = self._progress[item.main].signature

        async def watched() -> AsyncIterator[Upload]:
            async for upload in source.uploads():
                yield upload
            await _check(item, before)  # everything is read, nothing has a name yet

        await _check(item, before)
        taken = await self._intake.take(submission, watched(), expected=await asyncio.to_thread(item.attached))
        return taken.number

    async def _refuse(self, item: Item, progress: Progress, error: ExchangeError) -> None:
        if error.kind is errors.MESSAGE_TRUNCATED and progress.looks < PATIENCE:
            return
        if error.kind.temporary:
            _postpone(progress, error)
        elif error.kind is errors.SECRET_MARK:
            await self._leave(item, progress, error)
        else:
            await self._move(item, progress, self._places.failed, {REASON: reason_text(error)})
            _log_refusal(error, left=False)

    async def _leave(self, item: Item, progress: Progress, error: ExchangeError) -> None:
        """Only a person can go on: the files stay, with a reason beside them, until they change."""
        await asyncio.to_thread(reasons.put, item.main, error)
        progress.refused = True
        progress.failures = 0
        _log_refusal(error, left=True)

    async def _settle(self, item: Item, progress: Progress) -> None:
        assert progress.outbox is not None
        row = await self._store.run(self._store.outbox.one, progress.outbox)
        if row is None or row.state == "CHO_GUI":
            return
        if row.state == "DA_GUI":
            receipt = await self._store.run(self._store.outbox.receipt, row.number)
            await self._move(item, progress, self._places.done, {RECEIPT: receipt})
        else:
            error = ExchangeError(kind_of(row.error_code), element=row.error_element)
            await self._move(item, progress, self._places.failed, {REASON: reason_text(error)})
        self._progress.pop(item.main, None)

    async def _move(self, item: Item, progress: Progress, folder: Path, texts: dict[str, str]) -> None:
        """Its files go together; an attachment that another sidecar lists too goes with the last of them.

        Raises `ChangedError` when the next document stands there under the same name by now.
        """

        def move() -> None:
            signature = item.signature()
            if signature is None or not _is_same(progress, signature):
                raise ChangedError
            self._mover.move(item.own, folder, texts)

        await asyncio.to_thread(move)
        self._left |= item.shared

    async def _finish_moves(self) -> None:
        """What began to move and could not go on is tried again, later and later."""
        if not self._mover.unfinished:
            self._moves.failures = 0
        elif self._moves.not_before <= _now():
            await asyncio.to_thread(self._clean)
            await asyncio.to_thread(self._mover.resume)
            if self._mover.unfinished:
                _postpone(self._moves, OSError())

    async def _tell(self) -> None:
        """The alarm about what lies here and cannot be taken or moved."""
        failing = [
            one
            for one in (*self._progress.values(), self._moves)
            if one.failures and one.cause != errors.DISK_FULL.code  # which has an alarm of its own
        ]
        if any(one.failures >= STUBBORN for one in failing):
            text = f"{len(failing)} mục trong outgoing/ không đọc hoặc không chuyển đi được. Kiểm tra quyền và đĩa."
            await self._watchman.alarm("folder", text)
        elif not failing:
            await self._watchman.clear("folder")

    def _clean(self) -> None:
        """Remove what a crash left half written beside the files."""
        for folder in (self._places.outgoing, self._places.done, self._places.failed):
            for path in folder.iterdir():
                if _LEFTOVER.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def _find(self) -> list[Item]:
        """What lies here. A reason goes with the file that it is about."""
        items = self._finder.find()
        for reason in self._finder.stale_reasons():
            reasons.remove(reason)
        return items

    def _source(self, item: Item) -> Source:
        if item.kind == "package":
            return PackageASource(item.main, self._limits)
        if item.kind == "status":
            return StatusSource(item.main, self._agency, self._store)
        return SidecarSource(item, self._agency)


def _log_refusal(error: ExchangeError, *, left: bool) -> None:
    """The code alone: an element may be a name that its author chose (AC-4.2a-4); the reason lies beside the file."""
    _log.warning("file-refused", code=error.kind.code, left=left)


def _is_same(progress: Progress, signature: Signature) -> bool:
    """Whether an item is still what was looked at; what the outbox has may lose an attachment that lies here."""
    if progress.outbox is not None:
        return set(signature) <= set(progress.signature)
    return signature == progress.signature


def _remove_reasons(item: Item) -> None:
    """What was wrong is put right; the reason may lie beside any of the files."""
    for path in item.files:
        reasons.remove(reason_beside(path))


async def _check(item: Item, before: Signature) -> None:
    if await asyncio.to_thread(item.signature) != before:
        raise ChangedError


def _postpone(progress: Progress, error: Exception) -> None:
    progress.failures += 1
    progress.cause = error.kind.code if isinstance(error, ExchangeError) else type(error).__name__
    delay = RETRY.delay(progress.failures, lambda: 1.0)  # nobody else waits for the same disk: no jitter
    progress.not_before = _now() + delay
    _log.warning("postponed", cause=progress.cause, errno=getattr(error, "errno", None), wait=delay)


def _now() -> float:
    """Seconds of the loop's own clock: the wall clock may be put right meanwhile."""
    return asyncio.get_running_loop().time()
