"""The payload store of one hub: small payloads in segments, large ones in files of their own, uploads that resume.

A large payload is received into a temporary file while it is hashed, fsynced, and linked under its digest before the
batch that refers to it commits; files that nothing refers to are removed at start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hub.ledger.records import Placement
from hub.payloads.segments import Segments, segment_path
from runtime import durable

SMALL: Final = 256 << 10
"""Payloads up to this many octets live in segments."""
CHUNK: Final = 256 << 10
"""Octets read or written at a time."""
SYNC_EVERY: Final = 32 << 20
"""Octets of a large payload after which the disk is set to work."""
LARGE: Final = 0
"""Segment number that means: a file of its own."""
LARGE_FOLDER: Final = "large"
SEGMENTS_FOLDER: Final = "segments"
UPLOAD_KEPT: Final = 3 * 86400.0
"""Seconds after its last octet that an upload is kept for its document, or for the rest of it."""


class Receiving:
    """A large payload on its way in. Use from one task; a thread hashes and writes one piece while the next arrives.

    With `resumed` the file may be there already: what it holds is taken over before the first `write`.
    """

    def __init__(self, path: Path, *, resumed: bool = False) -> None:
        self._path = path
        how = os.O_RDWR | os.O_APPEND if resumed else os.O_WRONLY | os.O_EXCL
        self._file = os.open(path, how | os.O_CREAT, 0o600)
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self._held = 0
        self._unsynced = 0
        self._writing: asyncio.Future[None] | None = None
        self.size = 0

    async def take_over(self) -> None:
        """Hash what an earlier request left, and count it. Raises `OSError`."""
        self.size = await asyncio.to_thread(self._hash_what_is_there)

    async def write(self, data: bytes) -> None:
        """Take octets; returns at once until a megabyte is held. Raises `OSError` (disk full)."""
        self._pending.append(data)
        self._held += len(data)
        self.size += len(data)
        if self._held >= 4 * CHUNK:
            await self._flush()

    async def finish(self) -> bytes:
        """Return the SHA-256 when every octet is on the disk."""
        await self._flush()
        await self._written()
        await asyncio.to_thread(durable.fsync_file, self._file)
        os.close(self._file)
        self._file = -1
        return self._hash.digest()

    @property
    def path(self) -> Path:
        """The temporary file."""
        return self._path

    async def settle(self) -> None:
        """Return when no thread writes any more; `discard` then leaves nothing at once."""
        if self._writing is not None:
            with suppress(OSError):
                await asyncio.shield(self._writing)

    def discard(self) -> None:
        """Leave nothing behind; may be called at any time, also twice. What a thread still writes goes when it ends."""
        self._when_written(self._remove)

    def leave(self) -> None:
        """As `discard`, but what was written stays, for a later request to take over."""
        self._when_written(self._close)

    def _when_written(self, end: Callable[[], None]) -> None:
        if self._writing is None or self._writing.done():
            end()
        else:
            self._writing.add_done_callback(lambda _writing: end())

    def _remove(self) -> None:
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._writing is not None and not self._writing.cancelled():
            self._writing.exception()  # the caller has another reason to give up, or has seen this one
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _hash_what_is_there(self) -> int:
        if os.fstat(self._file).st_size:
            durable.fsync_file(self._file)
            if hasattr(os, "posix_fadvise"):  # so that the disk is read: memory may know better than the disk does
                os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        position = 0
        while data := os.pread(self._file, CHUNK, position):
            self._hash.update(data)
            position += len(data)
        return position

    async def _flush(self) -> None:
        """Hand what is held to the thread, once it has written what it was given before."""
        await self._written()
        held, self._pending, self._held = self._pending, [], 0
        if held:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write_out, held))

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _write_out(self, held: list[bytes]) -> None:
        for data in held:
            self._hash.update(data)
            durable.write_all(self._file, data)
            self._unsynced += len(data)
        if self._unsynced >= SYNC_EVERY:
            self._unsynced = 0
            durable.fsync_file(self._file)  # the disk works while the rest arrives


class PayloadStore:
    """Everything below one folder: `segments/`, `large/`, `receiving/`, `uploads/`."""

    def __init__(self, folder: Path, committed: Iterable[tuple[int, int]], known_large: Iterable[bytes]) -> None:
        self._folder = folder
        self._large = folder / LARGE_FOLDER
        self._receiving = folder / "receiving"
        self.uploads = folder / "uploads"
        """The folder of resumable uploads."""
        for path in (self._large, self._receiving, self.uploads):
            durable.make_directory(path, durable.PRIVATE_FOLDER)
        self.segments = Segments(folder / SEGMENTS_FOLDER, committed)
        self._counter = 0
        self._undecided: Counter[bytes] = Counter()
        self._linking = asyncio.Lock()
        self._remove_strays(set(known_large))

    def receive(self) -> Receiving:
        """A place for a payload of unknown size. Raises `OSError`."""
        self._counter += 1
        return Receiving(self._receiving / f"{os.getpid()}-{self._counter}{durable.TEMPORARY_SUFFIX}")

    async def keep_large(self, source: Path, sha256: bytes, size: int) -> Placement:
        """Give a finished file its place under its digest; `decide` follows, once. The source stays."""
        self._undecided[sha256] += 1
        # two documents may bring the same file at once; the second relies on the first's fsync
        async with self._linking:
            return await asyncio.to_thread(self._link_large, source, sha256, size)

    def decide(self, sha256: bytes, *, unwanted: bool) -> None:
        """The batch with this file was answered; an unwanted one goes, unless another batch counts on it."""
        self._undecided[sha256] -= 1
        if not self._undecided[sha256]:
            del self._undecided[sha256]
            if unwanted:
                self._large_path(sha256).unlink(missing_ok=True)

    def _link_large(self, source: Path, sha256: bytes, size: int) -> Placement:
        final = self._large_path(sha256)
        if not final.exists():
            durable.make_directory(final.parent, durable.PRIVATE_FOLDER)
            os.link(source, final)
        durable.fsync_directory(final.parent)  # also for a name that is there: the fsync of who made it may have failed
        return Placement(LARGE, 0, size)

    def upload_path(self, agency: str, sha256: bytes) -> Path:
        """Where this agency's resumable upload lies; complete ones have no suffix."""
        return self.uploads / f"{agency}-{sha256.hex()}"

    def forget_upload(self, agency: str, sha256: bytes) -> None:
        """Remove what this agency has uploaded under the digest, complete or not."""
        path = self.upload_path(agency, sha256)
        for one in (path, path.with_name(path.name + durable.TEMPORARY_SUFFIX)):
            one.unlink(missing_ok=True)

    def forget_old_uploads(self, now: float) -> None:
        """Remove uploads that nobody touched for `UPLOAD_KEPT`; one that a document took is a second name by then."""
        for path in self.uploads.iterdir():
            if path.stat().st_mtime < now - UPLOAD_KEPT:
                path.unlink(missing_ok=True)

    def read_small(self, place: Placement) -> bytes | None:
        """A small payload from the page cache, or None when the disk must be asked (`read` does)."""
        return self.segments.read_cached(place)

    async def read(self, place: Placement) -> bytes:
        """A small payload, off the loop if the disk must be asked."""
        cached = self.segments.read_cached(place)
        return cached if cached is not None else await asyncio.to_thread(self.segments.read, place)

    async def chunks(self, place: Placement, sha256: bytes) -> AsyncIterator[bytes]:
        """The octets of any payload, in order."""
        if place.segment != LARGE:
            yield await self.read(place)
            return
        descriptor = os.open(self._large_path(sha256), os.O_RDONLY)
        try:
            position = 0
            while position < place.length:
                data = await asyncio.to_thread(os.pread, descriptor, CHUNK, position)
                if not data:
                    raise OSError(f"payload {sha256.hex()} is shorter than the ledger says")
                position += len(data)
                yield data
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close every file; may be called twice."""
        self.segments.close()

    @staticmethod
    def large_path(folder: Path, sha256: bytes) -> Path:
        """The file of a large payload in the store below `folder`."""
        name = sha256.hex()
        return folder / LARGE_FOLDER / name[:2] / name

    @staticmethod
    def segment_path(folder: Path, segment: int) -> Path:
        """The file of a segment in the store below `folder`."""
        return segment_path(folder / SEGMENTS_FOLDER, segment)

    def _large_path(self, sha256: bytes) -> Path:
        return self.large_path(self._folder, sha256)

    def _remove_strays(self, known: set[bytes]) -> None:
        """What a stopped process left half done."""
        for path in self._receiving.iterdir():
            path.unlink()
        self.forget_old_uploads(time.time())
        for path in self._large.glob("??/*"):
            if bytes.fromhex(path.name) not in known:
                path.unlink()
