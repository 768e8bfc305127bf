"""Segment files: small payloads appended one after another, one write and one fsync for a whole batch.

Law of this file: octets are never changed once a committed length covers them. What lies behind the committed length
belongs to a batch that did not commit, and is cut off at the next start. After a failed fsync the kernel may have
dropped what it could not write, so the segment is closed for ever and the next batch begins a new one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hub.ledger.records import Placement
from runtime import durable

SEGMENT_SIZE: Final = 64 << 20
"""A segment that reached this many octets is followed by a new one."""


class Segments:
    """Appends by one thread; reads by any. `committed` maps a segment's number to its committed length, octets."""

    def __init__(self, folder: Path, committed: Iterable[tuple[int, int]]) -> None:
        self._folder = folder
        self._lengths = dict(committed)
        self._readers: dict[int, int] = {}
        self._writer: int | None = None
        self._current = max(self._lengths, default=0)
        self._end = self._lengths.get(self._current, 0)
        durable.make_directory(folder)
        self._cut_uncommitted()

    @property
    def end(self) -> tuple[int, int]:
        """Number and length of the segment that is being written; the ledger commits it with the batch."""
        return self._current, self._end

    def append(self, payloads: Sequence[bytes]) -> list[Placement]:
        """Write the payloads and return when they are on the disk.

        Raises:
            OSError: nothing of this call counts; the next call starts clean.
        """
        if self._writer is None or self._end >= SEGMENT_SIZE:
            self._open_next()
        assert self._writer is not None
        start = self._end
        placements = []
        position = start
        for payload in payloads:
            placements.append(Placement(self._current, position, len(payload)))
            position += len(payload)
        try:
            durable.write_all(self._writer, b"".join(payloads))
        except OSError:
            self._take_back(start)
            raise
        try:
            durable.fsync_file(self._writer)
        except OSError:
            self._abandon()
            raise
        self._end = position
        return placements

    def roll_back(self, end: tuple[int, int]) -> None:
        """The batch that began at `end` did not commit: forget what it appended."""
        segment, length = end
        if segment == self._current and self._writer is not None:
            self._take_back(length)

    def read(self, place: Placement) -> bytes:
        """The octets of a payload."""
        return os.pread(self._reader(place.segment), place.length, place.position)

    def read_cached(self, place: Placement) -> bytes | None:
        """The octets if the page cache holds them all, else None: never waits for the disk."""
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
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.seg"

    def _reader(self, segment: int) -> int:
        descriptor = self._readers.get(segment)
        if descriptor is None:
            descriptor = self._readers[segment] = os.open(self._path(segment), os.O_RDONLY)
        return descriptor

    def _open_next(self) -> None:
        """Continue the current segment when it has room, else begin the next one."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
        fresh = self._current == 0 or self._end >= SEGMENT_SIZE
        number, end = (self._current + 1, 0) if fresh else (self._current, self._end)
        path = self._path(number)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_TRUNC if fresh else 0)
        self._writer = os.open(path, flags, 0o600)
        self._current, self._end = number, end
        if fresh:
            durable.fsync_directory(self._folder)

    def _take_back(self, length: int) -> None:
        assert self._writer is not None
        try:
            os.ftruncate(self._writer, length)
            self._end = length
        except OSError:
            self._abandon()

    def _abandon(self) -> None:
        """Never write to this segment again."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
        self._end = SEGMENT_SIZE

    def _cut_uncommitted(self) -> None:
        for path in self._folder.glob("*.seg"):
            number = int(path.stem)
            committed = self._lengths.get(number, 0)
            if committed == 0:
                path.unlink()
            elif path.stat().st_size > committed:
                os.truncate(path, committed)
        durable.fsync_directory(self._folder)
