"""Attachments on disk, named by their SHA-256: written once while they are hashed, durable before anyone is told.

Octets go to a temporary file, are fsynced, and get their name by rename; a crash leaves at most a temporary file, which
the next start removes. Nothing here ever holds more than one chunk in memory.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final, Self

import msgspec

from protocol import errors
from protocol.errors import ExchangeError
from runtime import durable

CHUNK: Final = 256 * 1024
"""Octets read at once; the most that one stream holds in memory."""
LOOK_AGAIN: Final = 4 << 20
"""Octets after which a writer looks again whether the disk has room: not everyone says beforehand how much comes."""

REMEMBERED: Final = 15
"""Questions after shortage for which it counts that something did not fit: until it is tried again."""


class StoredPayload(msgspec.Struct, frozen=True):
    """What the store took. `sha256` is hex, `size` octets."""

    sha256: str
    size: int


class PayloadWriter:
    """One attachment while it arrives. Leaving the block without `finish` removes every trace of it."""

    def __init__(self, folder: Path, *, limit: int, check_space: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._limit = limit
        self._check_space = check_space
        self._next_look = LOOK_AGAIN
        self._temporary = folder / "tmp" / f"{secrets.token_hex(16)}{durable.TEMPORARY_SUFFIX}"
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        with disk_errors():
            durable.make_directory(self._temporary.parent, durable.PRIVATE_FOLDER)
            self._file = durable.create_private(self._temporary)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Hash and write. Raises `mime.part-too-large`, `server.disk-full`."""
        assert self._file is not None, "write inside the block"
        self._size += len(data)
        if self._size > self._limit:
            raise ExchangeError(errors.MIME_PART_TOO_LARGE)
        if self._size >= self._next_look:
            self._next_look = self._size + LOOK_AGAIN
            self._check_space()
        self._hash.update(data)
        with disk_errors():
            durable.write_all(self._file.fileno(), data)

    @property
    def written(self) -> StoredPayload:
        """Digest and size of what was written so far."""
        return StoredPayload(self._hash.hexdigest(), self._size)

    def finish(self) -> StoredPayload:
        """Make it durable under its name. Raises `server.disk-full`."""
        assert self._file is not None, "finish inside the block"
        stored = self.written
        final = path_of(self._folder, stored.sha256)
        with disk_errors():
            durable.fsync_file(self._file.fileno())
            self._file.close()
            self._file = None
            durable.make_directory(final.parent, durable.PRIVATE_FOLDER)
            durable.publish(self._temporary, final)
        return stored


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns the disk's complaints into the vocabulary: full is temporary, anything else is internal."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise ExchangeError(errors.DISK_FULL if full else errors.INTERNAL, errno=error.errno) from error


def path_of(folder: Path, sha256: str) -> Path:
    """Where the payload with this digest stands (or would)."""
    return folder / sha256[:2] / sha256[2:]


class Payloads:
    """The store of one agent."""

    def __init__(self, folder: Path, *, limit: int, disk_free: int = 0) -> None:
        """`limit` is the largest attachment, `disk_free` what must stay free; both octets."""
        self._folder = folder
        self._limit = limit
        self._disk_free = disk_free
        self._missed = 0
        self._looks_left = 0

    def clean(self) -> None:
        """Remove what a crash left half written. Call before anything else writes."""
        for path in (self._folder / "tmp").glob(f"*{durable.TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)

    def check_space(self, expected: int = 0, *, folder: Path | None = None) -> None:
        """Refuse at the door what would leave too little free, here or where `folder` lies; `expected` is octets.

        Raises `server.disk-full`.
        """
        free = shutil.disk_usage(folder or self._folder).free
        if free - expected < self._disk_free:
            self._missed, self._looks_left = max(self._missed, expected), REMEMBERED
            raise ExchangeError(errors.DISK_FULL, free=free, expected=expected)

    def shortage(self) -> int:
        """Octets that should be freed: for what must stay free, and for what lately did not fit."""
        if self._looks_left:
            self._looks_left -= 1
        else:
            self._missed = 0
        return max(max(self._disk_free, 1) + self._missed - self.free(), 0)

    def writer(self) -> PayloadWriter:
        """A new attachment (a context manager); its methods block: call them in a thread."""
        self.check_space()
        return PayloadWriter(self._folder, limit=self._limit, check_space=self.check_space)

    def path(self, sha256: str) -> Path:
        """The file of a stored payload."""
        return path_of(self._folder, sha256)

    def has(self, sha256: str, size: int) -> bool:
        """Whether a whole payload stands here."""
        try:
            return self.path(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    async def chunks(self, sha256: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The octets from `offset` on. Raises `attachment.missing` when the file is gone."""
        try:
            file = self.path(sha256).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise ExchangeError(errors.ATTACHMENT_MISSING, sha256=sha256) from error
        with file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    def free(self) -> int:
        """Octets free on this disk."""
        return shutil.disk_usage(self._folder).free


def copy_durably(source: Path, target: Path, *, replace: bool = False) -> str:
    """A copy for people, fsynced; returns the hex SHA-256 of what was copied. Only `replace` overwrites a target.

    No hard link: an editor would change the archive through it.
    """
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as reading, target.open("wb" if replace else "xb") as writing:
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        durable.fsync_file(writing.fileno())
    return digest.hexdigest()
