"""The folder `outgoing/`: what is dropped there is sent; where a file lies says how far it is.

    outgoing/X        waiting, or in the outbox and on its way
    done/X            the hub's receipt is held; it lies beside it as X.bien-nhan.tlog-proof
    failed/X          refused; the reason lies beside it as X.reason.txt

A secrecy mark is the exception (Điều 4.2a): the file is neither copied nor moved nor named in any log; only a reason
without content is put beside it. A file is taken when its size and time stood still between two looks. Nothing here
must be remembered: after a crash every file is read again, and the outbox knows what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge.moving import Mover
from edge_agent.bridge.sources import PackageASource, SidecarSource, Source, StatusSource
from edge_agent.clock import Clock
from edge_agent.intake import Intake
from edge_agent.places import Places
from edge_agent.store import Store
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError, kind_of
from protocol.model import Organization
from protocol.package_a import Limits
from runtime import durable, logs

REASON: Final = ".reason.txt"
STATUS: Final = ".status.toml"
PACKAGE: Final = ".edxml"
SIDECARS: Final = (".toml", ".json")
UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart")
PATIENCE: Final = 10
"""Looks for which a truncated `.edxml` may still be growing."""
RETRY: Final = 30.0
"""Seconds before a file is tried again that this machine could not take (disk full)."""

_log = logs.get("edge.outgoing")
Signature = tuple[tuple[str, int, int], ...]
"""(name, size, mtime in ns) of every file of an item."""


class Item(msgspec.Struct, frozen=True):
    """Files that are one thing to send; `main` names it."""

    main: Path
    files: tuple[Path, ...]
    kind: str

    def signature(self) -> Signature | None:
        """How its files look now; None when one is gone."""
        try:
            stats = [(path.name, path.stat()) for path in self.files]
        except OSError:
            return None
        return tuple((name, status.st_size, status.st_mtime_ns) for name, status in stats)


class Progress(msgspec.Struct):
    """What is known of an item since this process started."""

    signature: Signature
    looks: int = 0
    outbox: int | None = None
    refused: bool = False
    not_before: float = 0.0
    files: tuple[Path, ...] = ()


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
        self._mover = Mover(places)

    async def run(self, drain: asyncio.Event, interval: float) -> None:
        """Scan until `drain`. Raises `OSError` when the folder cannot be read."""
        await asyncio.to_thread(self._mover.resume)
        while not drain.is_set():
            await self.scan(drain.is_set)
            try:
                await asyncio.wait_for(drain.wait(), interval)
            except TimeoutError:
                continue

    async def scan(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Look once; take what stands still, move what is settled."""
        items = await asyncio.to_thread(self._find)
        self._progress = {item.main: self._progress[item.main] for item in items if item.main in self._progress}
        taken = [one.outbox for one in self._progress.values() if one.outbox is not None]
        settled = await self._store.run(self._store.outbox.settled, taken) if taken else set()
        for item in items:
            if stop():
                return
            await self._look(item, settled)

    def _find(self) -> list[Item]:
        """What lies here; a reason whose file is gone goes too."""
        for reason in self._places.outgoing.glob(f"[!.]*{REASON}"):
            if not reason.with_name(reason.name.removesuffix(REASON)).exists():
                reason.unlink(missing_ok=True)
        return list(find_items(self._places.outgoing))

    async def _look(self, item: Item, settled: set[int]) -> None:
        signature = item.signature()
        if signature is None:
            return
        progress = self._progress.get(item.main)
        if progress is None or progress.signature != signature:
            self._progress[item.main] = Progress(signature)
            return
        progress.looks += 1
        if progress.refused or progress.not_before > self._clock().timestamp():
            return
        if progress.outbox is None:
            await self._take(item, progress)
        elif progress.outbox in settled:
            await self._settle(item, progress)

    async def _take(self, item: Item, progress: Progress) -> None:
        source = self._source(item)
        try:
            submission = await source.read()
            taken = await self._intake.take(submission, source.uploads())
            progress.outbox = taken.number
            progress.files = source.further if isinstance(source, SidecarSource) else ()
            await asyncio.to_thread(_reason_beside(item.main).unlink, missing_ok=True)
        except ExchangeError as error:
            await self._refuse(item, progress, error)
        except OSError as error:  # gone, or not ours to read: look again later
            progress.not_before = self._clock().timestamp() + RETRY
            _log.warning("unreadable", errno=error.errno)
        finally:
            source.close()

    async def _refuse(self, item: Item, progress: Progress, error: ExchangeError) -> None:
        if error.kind is errors.MESSAGE_TRUNCATED and progress.looks < PATIENCE:
            return
        if error.kind.temporary:
            progress.not_before = self._clock().timestamp() + RETRY
            await self._watchman.alarm("disk", error.sentence)
            return
        if error.kind is errors.SECRET_MARK:
            progress.refused = True
            await asyncio.to_thread(durable.write_file, _reason_beside(item.main), reason_text(error).encode())
            return
        await asyncio.to_thread(self._mover.move, item.files, self._places.failed, {REASON: reason_text(error)})

    async def _settle(self, item: Item, progress: Progress) -> None:
        assert progress.outbox is not None
        row = await self._store.run(self._store.outbox.one, progress.outbox)
        if row is None or row.state == "CHO_GUI":
            return
        files = (*item.files, *(path for path in progress.files if path.exists()))
        if row.state == "DA_GUI":
            receipt = await self._store.run(self._store.outbox.receipt, row.number)
            await asyncio.to_thread(self._mover.move, files, self._places.done, {".bien-nhan.tlog-proof": receipt})
        else:
            error = ExchangeError(kind_of(row.error_code), element=row.error_element)
            await asyncio.to_thread(self._mover.move, files, self._places.failed, {REASON: reason_text(error)})
        self._progress.pop(item.main, None)

    def _source(self, item: Item) -> Source:
        if item.kind == PACKAGE:
            return PackageASource(item.main, self._limits)
        if item.kind == STATUS:
            return StatusSource(item.main, self._agency, self._store)
        return SidecarSource(item.files[0], item.files[1], self._agency)


def find_items(folder: Path) -> Iterable[Item]:
    """The complete items of the folder, by name. A file without sidecar, and a sidecar without file, wait."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not _is_foreign(entry.name))
    mains: dict[str, list[str]] = {}
    for name in names:
        if not name.lower().endswith((*SIDECARS, PACKAGE)):
            mains.setdefault(Path(name).stem, []).append(name)
    for name in names:
        path, lower = folder / name, name.lower()
        if lower.endswith(STATUS):
            yield Item(path, (path,), STATUS)
        elif lower.endswith(PACKAGE):
            yield Item(path, (path,), PACKAGE)
        elif lower.endswith(SIDECARS):
            for main in mains.get(path.stem, [])[:1]:
                yield Item(folder / main, (folder / main, path), "sidecar")


def reason_text(error: ExchangeError) -> str:
    """What a person reads beside a file that was not sent: the sentence, then the code. Nothing of the document."""
    element = f" ({error.element})" if error.element and error.element not in error.sentence else ""
    return f"{error.sentence}{element}\nMã lỗi: {error.kind.code}\n"


def _reason_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}{REASON}")


def _is_foreign(name: str) -> bool:
    """Hidden files, copies that are still being made, our own reasons, lock files of editors."""
    return name.startswith((".", "~$")) or name.lower().endswith((*UNFINISHED, REASON))
