"""A full disk under the hub: refused cleanly at every place it can hit, and all is well when there is room again."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import pytest_asyncio

from protocol import errors
from protocol.errors import ExchangeError
from runtime import durable
from tests.support.agency import Attached
from tests.support.refusals import CONTENT, Stage, half_stored, held, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = Attached("f1", hashlib.shake_256(b"small").digest(200 << 10))
"""Goes into a segment."""
LARGE = Attached("f2", hashlib.shake_256(b"large").digest(3 << 20))
"""Goes through a file of its own."""
CAPACITY = 24 << 20


class Disk(Protocol):
    """A disk that can be filled."""

    def fill(self, leaving: int = 0) -> None:
        """Leave only so many octets of room."""

    def empty(self) -> None:
        """Give the room back."""


class RealDisk:
    """A file system of its own, in memory; a ballast file fills it."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, leaving: int = 0) -> None:
        self.empty()
        free = os.statvfs(self._ballast.parent)
        with self._ballast.open("wb") as file:
            left = free.f_bavail * free.f_frsize - leaving
            while left > 0:
                left -= file.write(b"\0" * min(left, 1 << 20))

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


class PretendedDisk:
    """Where no file system may be mounted: every write of payloads fails as on a full one, after some octets."""

    def __init__(self) -> None:
        self._full = False
        self._room = 0
        self._write, self._pwrite = durable.os.write, durable.os.pwrite

    def fill(self, leaving: int = 0) -> None:
        self._full, self._room = True, leaving

    def empty(self) -> None:
        self._full = False

    def write(self, descriptor: int, data: bytes) -> int:
        return self._write(descriptor, self._fitting(data))

    def pwrite(self, descriptor: int, data: bytes, position: int) -> int:
        return self._pwrite(descriptor, self._fitting(data), position)

    def _fitting(self, data: bytes) -> bytes:
        if not self._full:
            return data
        fitting = data[: self._room]
        self._room -= len(fitting)
        if not fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fitting


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Disk, Path]]:
    folder = tmp_path_factory.mktemp("hub")
    data = folder / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={CAPACITY}", "tmpfs", str(data)]
    try:
        mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
    except FileNotFoundError:
        mounted = False
    if mounted:
        yield RealDisk(data), folder
        subprocess.run(["umount", "--lazy", str(data)], check=True)
        return
    with pytest.MonkeyPatch.context() as patch:
        pretended = PretendedDisk()
        patch.setattr(durable.os, "write", pretended.write)
        patch.setattr(durable.os, "pwrite", pretended.pwrite)
        yield pretended, folder


@pytest.fixture(autouse=True)
def _room_again(disk: tuple[Disk, Path]) -> Iterator[None]:
    yield
    disk[0].empty()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(disk: tuple[Disk, Path]) -> AsyncIterator[Stage]:
    async with stage(disk[1], settings={"disk_free": "0"}) as ready:
        await ready.sender.send(ready.sealed(ready.unsealed()))  # there is a segment from now on
        yield ready


async def refused_then_accepted(at: Stage, disk: Disk, file: Attached, leaving: int) -> None:
    """Refused as often as it is tried, nothing left; accepted when there is room."""
    envelope = at.sealed(at.unsealed([file]))
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    disk.fill(leaving)
    for _ in range(3):
        at.lines.clear()
        with pytest.raises(ExchangeError) as caught:
            await at.sender.send(envelope, [file])
        assert caught.value.kind is errors.DISK_FULL
        assert caught.value.kind.temporary
        (line,) = [line for line in at.lines if line["event"] == "refused"]
        assert line["code"] == errors.DISK_FULL.code
        at.named(line)
        assert CONTENT not in repr(at.lines)
        assert held(at.hub) == before
        assert half_stored(at.hub) == []
        assert at.hub.hub.ledger.log.size == leaves
    disk.empty()
    accepted = await at.sender.send(envelope, [file])
    assert not accepted.repeated
    assert (await at.recipient.fetch(accepted.number)).parts == {file.content_id: file.data}
    await at.recipient.confirm(accepted.number)


@pytest.mark.parametrize("leaving", [0, 64 << 10, 180 << 10])
@pytest.mark.parametrize("file", [SMALL, LARGE], ids=["segment", "file"])
async def test_ac_8_3c_3_disk_full_refuses_cleanly_and_recovers(
    at: Stage, disk: tuple[Disk, Path], file: Attached, leaving: int
):
    """With no room, with room for some octets, with room for nearly all of the payload."""
    distinct = Attached(file.content_id, file.data + str(leaving).encode())
    await refused_then_accepted(at, disk[0], distinct, leaving)


async def test_room_for_the_payload_but_not_for_the_ledger(at: Stage, disk: tuple[Disk, Path]):
    """The segment is written, the commit finds no room: the segment gives its octets back."""
    for file, pages in ((Attached("f1", SMALL.data + b"ledger"), 2), (Attached("f2", LARGE.data + b"ledger"), 3)):
        if isinstance(disk[0], RealDisk):
            size = len(file.data) + (len(at.sealed(at.unsealed([file]))) if file.content_id == "f1" else 0)
            await refused_then_accepted(at, disk[0], file, (size // 4096 + pages) * 4096)
        else:  # SQLite writes past a pretended disk, and is told that itself has no room
            full = FullLedger(at.hub.hub.ledger._writing)
            await use_up(at, full)
            await refused_then_accepted(at, full, file, 0)


class FullLedger:
    """A database file that may not grow."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._limit = connection.execute("PRAGMA max_page_count").fetchone()[0]

    def fill(self, leaving: int = 0) -> None:
        assert leaving == 0
        self._connection.execute("PRAGMA max_page_count = 1").fetchone()  # SQLite makes it the size that the file has

    def empty(self) -> None:
        self._connection.execute(f"PRAGMA max_page_count = {self._limit}").fetchone()


async def use_up(at: Stage, ledger: FullLedger) -> None:
    """Send until the free room in its pages is used up; the last is refused."""

    async def send_many() -> None:
        for _ in range(400):
            await at.sender.send(at.sealed(at.unsealed()))

    ledger.fill()
    with pytest.raises(ExchangeError) as caught:
        await send_many()
    assert caught.value.kind is errors.DISK_FULL


async def test_ledger_that_may_not_grow(at: Stage):
    """SQLite's own word for it, before the disk's: the same answer, nothing kept."""
    ledger = FullLedger(at.hub.hub.ledger._writing)
    await use_up(at, ledger)
    assert half_stored(at.hub) == []
    ledger.empty()
    await at.sender.send(at.sealed(at.unsealed()))


async def test_upload_that_finds_no_room(at: Stage, disk: tuple[Disk, Path]):
    file = Attached("f3", hashlib.shake_256(b"upload").digest(2 << 20))
    url = f"{at.hub.url}/lienthong/v1/payloads/{hashlib.sha256(file.data).hexdigest()}"
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(file.data))}
    disk[0].fill(500 << 10)
    at.lines.clear()
    async with at.sender.session.patch(url, data=io.BytesIO(file.data), headers=headers) as response:
        assert (response.status, response.headers["Lienthong-Error"]) == (507, errors.DISK_FULL.code)
    assert [line["code"] for line in at.lines if line["event"] == "refused"] == [errors.DISK_FULL.code]
    assert half_stored(at.hub) == []
    disk[0].empty()
    async with at.sender.session.patch(url, data=io.BytesIO(file.data), headers=headers) as response:
        assert response.status == 204
    await at.sender.send(at.sealed(at.unsealed([file])))


async def test_other_operations_go_on_while_the_disk_is_full(at: Stage, disk: tuple[Disk, Path]):
    """What needs no room needs none; the probe says not ready, and the log of evidence still proves itself."""
    accepted = await at.sender.send(at.sealed(at.unsealed([SMALL])), [SMALL])
    disk[0].fill()
    assert (await at.recipient.fetch(accepted.number)).parts == {"f1": SMALL.data}
    assert accepted.number in {summary.number for summary in await at.recipient.pending(limit=1000)}
    disk[0].empty()
    assert [one.outcome for one in await at.recipient.confirm(accepted.number)] == ["delivered"]


async def test_probe_says_not_ready_below_a_gigabyte(at: Stage):
    ready = f"http://127.0.0.1:{at.hub.hub.operator_port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(ready) as response:
        free = os.statvfs(at.hub.hub.configuration.data)
        assert response.status == (503 if free.f_bavail * free.f_frsize < 1 << 30 else 200)
