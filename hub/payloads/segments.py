"""Segment files: small payloads one after another, one write and one fsync for a whole batch.

Law of this file: octets are never changed once a committed length covers them. A batch is placed right behind the
committed length; one that does not commit is overwritten by the next, or cut off at the next start. After a failed
fsync the kernel may have dropped what it could not write, so that segment is closed for ever.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from hub.ledger.records import Placement
from runtime import durable

SEGMENT_SIZE: Final = 64 << 20
"""A segment that reached this many octets is followed by a new one."""
READERS: Final = 64
"""Segments that are open for reading at once: descriptors are for connections."""
RECENT_OCTETS: Final = 8 << 20
"""Octets of the latest batches that stay in memory: most payloads are fetched as soon as they came."""


class Appendix(msgspec.Struct, frozen=True):
    """The payloads of one batch and where they go: `segment` from octet `start` to `end`."""

    segment: int
    start: int
    end: int
    payloads: tuple[bytes, ...]


class Plan:
    """Where the payloads of one batch will lie, one after another."""

    def __init__(self, segment: int, start: int) -> None:
        self._segment = segment
        self._start = self._end = start
        self._payloads: list[bytes] = []

    def add(self, payload: bytes) -> Placement:
        """The place of one more."""
        place = Placement(self._segment, self._end, len(payload))
        self._payloads.append(payload)
        self._end += len(payload)
        return place

    @property
    def appendix(self) -> Appendix | None:
        """What is to be written, if anything."""
        return Appendix(self._segment, self._start, self._end, tuple(self._payloads)) if self._payloads else None


class Segments:
    """One writer at a time, any number of readers. `committed` maps segment numbers to committed lengths in octets."""

    def __init__(self, folder: Path, committed: Iterable[tuple[int, int]]) -> None:
        self._folder = folder
        lengths = dict(committed)
        self._readers: OrderedDict[int, int] = OrderedDict()
        self._writer: tuple[int, int] | None = None
        self._recent: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._recent_octets = 0
        self._current = max(lengths, default=0)
        self._end = lengths.get(self._current, SEGMENT_SIZE)
        durable.make_directory(folder, durable.PRIVATE_FOLDER)
        self._cut_uncommitted(lengths)

    def plan(self) -> Plan:
        """A batch in the making; nothing is written yet, and nothing is remembered until `adopt`."""
        if self._end >= SEGMENT_SIZE:
            return Plan(self._current + 1, 0)
        return Plan(self._current, self._end)

    def write(self, appendix: Appendix) -> None:
        """Return when the batch's payloads are on the disk. Raises `OSError`; then nothing of it counts."""
        descriptor = self._open(appendix)
        try:
            _write_at(descriptor, appendix.start, b"".join(appendix.payloads))
        except OSError:
            self.withdraw(appendix)
            raise
        try:
            durable.fsync_file(descriptor)
        except OSError:
            self.abandon(appendix.segment)
            raise

    def withdraw(self, appendix: Appendix) -> None:
        """Give back the room that the batch took: a full disk needs it, and nothing half-stored stays."""
        with suppress(OSError):
            os.truncate(self._path(appendix.segment), appendix.start)

    def adopt(self, appendix: Appendix) -> None:
        """The batch committed: its octets are octets now."""
        self._current, self._end = appendix.segment, appendix.end
        position = appendix.start
        for payload in appendix.payloads:
            self._recent[appendix.segment, position] = payload
            position += len(payload)
        self._recent_octets += appendix.end - appendix.start
        while self._recent_octets > RECENT_OCTETS:
            self._recent_octets -= len(self._recent.popitem(last=False)[1])

    def read(self, place: Placement) -> bytes:
        """The octets of a payload; may wait for the disk, from any thread. Raises `OSError` when they are not there."""
        descriptor = os.open(self._path(place.segment), os.O_RDONLY)
        try:
            data = os.pread(descriptor, place.length, place.position)
        finally:
            os.close(descriptor)
        if len(data) != place.length:
            raise OSError(errno.EIO, f"segment {place.segment} is shorter than the ledger says")
        return data

    def read_cached(self, place: Placement) -> bytes | None:
        """The octets if they are in memory (ours or the page cache), else None: never waits for the disk.

        Called from one thread only: it keeps a few files open.
        """
        recent = self._recent.get((place.segment, place.position))
        if recent is not None and len(recent) == place.length:
            return recent
        if not hasattr(os, "RWF_NOWAIT"):
            return None
        buffer = bytearray(place.length)
        try:
            count = os.preadv(self._reader(place.segment), [buffer], place.position, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
                return None
            raise
        return bytes(buffer) if count == place.length else None

    def close(self) -> None:
        """Close every file; may be called twice."""
        for descriptor in self._readers.values():
            os.close(descriptor)
        self._readers.clear()
        self._close_writer()

    def _path(self, segment: int) -> Path:
        return segment_path(self._folder, segment)

    def _reader(self, segment: int) -> int:
        descriptor = self._readers.get(segment)
        if descriptor is None:
            descriptor = self._readers[segment] = os.open(self._path(segment), os.O_RDONLY)
            if len(self._readers) > READERS:
                os.close(self._readers.popitem(last=False)[1])
        return descriptor

    def _open(self, appendix: Appendix) -> int:
        """The file of the appendix, made durable in its folder when it is new."""
        if self._writer is not None and self._writer[0] == appendix.segment:
            return self._writer[1]
        self._close_writer()
        descriptor = os.open(self._path(appendix.segment), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if appendix.start == 0:
                durable.fsync_directory(self._folder)
        except OSError:
            os.close(descriptor)  # so that the next batch makes its name durable, or fails too
            raise
        self._writer = appendix.segment, descriptor
        return descriptor

    def _close_writer(self) -> None:
        if self._writer is not None:
            os.close(self._writer[1])
            self._writer = None

    def abandon(self, segment: int) -> None:
        """Never write to this segment again."""
        self._close_writer()
        self._current, self._end = segment, SEGMENT_SIZE

    def _cut_uncommitted(self, lengths: dict[int, int]) -> None:
        for path in self._folder.glob("*.seg"):
            committed = lengths.get(int(path.stem), 0)
            if committed == 0:
                path.unlink()
            elif path.stat().st_size > committed:
                os.truncate(path, committed)
        durable.fsync_directory(self._folder)


def _write_at(descriptor: int, position: int, data: bytes) -> None:
    """Write every octet; a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, position)
        view = view[written:]
        position += written


def segment_path(folder: Path, segment: int) -> Path:
    """The file of a segment."""
    return folder / f"{segment:08d}.seg"
