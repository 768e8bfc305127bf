"""Uploads under stress: several requests for one, a disk that fails, an agency that fills it, a line that stalls."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from hub import upload_room
from protocol import errors
from protocol.errors import ExchangeError
from runtime import durable
from tests.support.agency import AgencyClient, Attached
from tests.support.refusals import Stage, half_stored, stage, until

FILE = Attached("f1", hashlib.shake_256(b"file").digest(3 << 20))
NAME = hashlib.sha256(FILE.data).hexdigest()
PATCH = "PATCH /lienthong/v1/payloads/{0} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: {1}\r\nUpload-Length: {2}\r\n"
QUOTA = 4 << 20
SETTINGS = {"uploads": str(QUOTA), "disk_free": "0", "stall_seconds": "5"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path / "hub", settings=SETTINGS) as ready:
        yield ready


async def head(at: Stage, name: str = NAME, agency: AgencyClient | None = None) -> int:
    client = agency or at.sender
    async with client.session.head(f"{at.hub.url}/lienthong/v1/payloads/{name}") as response:
        _raise(response.headers)
        return int(response.headers["Upload-Offset"])


async def patch(
    at: Stage, data: bytes, offset: int = 0, length: int = 0, name: str = "", agency: AgencyClient | None = None
) -> tuple[int, int]:
    """Status and offset of the answer; raises the error that it names."""
    client = agency or at.sender
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(length or offset + len(data))}
    url = f"{at.hub.url}/lienthong/v1/payloads/{name or hashlib.sha256(data).hexdigest()}"
    async with client.session.patch(url, data=io.BytesIO(data), headers=headers) as response:
        _raise(response.headers)
        return response.status, int(response.headers["Upload-Offset"])


def _raise(headers: object) -> None:
    if "Lienthong-Error" in headers:  # type: ignore[operator] # a mapping
        raise ExchangeError(errors.kind_of(headers["Lienthong-Error"]))  # type: ignore[index]


def partial(at: Stage, name: str = NAME) -> Path:
    return at.hub.hub.ledger.payloads.uploads / f"{at.sender.code}-{name}{durable.TEMPORARY_SUFFIX}"


def uploads_of(at: Stage) -> int:
    """Requests that are about an upload now."""
    (route,) = [
        one
        for one in at.hub.hub._runners[-1].app.router.routes()  # type: ignore[union-attr] # it runs
        if one.method == "PATCH"
    ]
    return sum(upload.users for upload in route.handler.__self__._uploads.values())  # type: ignore[union-attr]


async def begun(at: Stage, name: str = NAME) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A PATCH from the first octet on, of which nothing is sent yet, known to the hub."""
    before = uploads_of(at)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", URL(at.hub.url).port, ssl=at.sender.context, server_hostname="localhost"
    )
    request = PATCH.format(name, 0, len(FILE.data)) + f"Content-Length: {len(FILE.data)}\r\n\r\n"
    writer.write(request.encode())
    await until(lambda: uploads_of(at) == before + 1)
    return reader, writer


def refusals(at: Stage) -> list[str]:
    return [line["code"] for line in at.lines if line["event"] == "refused"]


async def test_requests_for_one_upload_take_turns_also_behind_one_that_broke_off(at: Stage):
    """The turn was lost when the first left while a second waited: two wrote at once, and the agency was blamed."""
    leaves = at.hub.hub.ledger.log.size
    _, first = await begun(at)
    second_answer, second = await begun(at)
    first.transport.abort()
    await until(lambda: uploads_of(at) == 1)
    third_answer, third = await begun(at)
    second.write(FILE.data[: 2 << 20])
    await second.drain()
    third.write(FILE.data)
    await third.drain()
    second.write(FILE.data[2 << 20 :])
    await second.drain()
    assert b"204" in await second_answer.readline()
    assert b"409" in await third_answer.readline()
    second.close()
    third.close()
    assert (refusals(at), at.hub.hub.ledger.log.size) == ([], leaves)
    assert await head(at) == len(FILE.data)
    await at.sender.send(at.sealed(at.unsealed([FILE])))


async def test_offset_is_told_while_octets_come(at: Stage):
    _, writer = await begun(at)
    writer.write(FILE.data[: 2 << 20])
    await writer.drain()
    await until(lambda: partial(at).exists() and partial(at).stat().st_size > 0)
    assert 0 < await head(at) <= 2 << 20
    assert not (partial(at).with_suffix("")).exists()
    writer.write(FILE.data[2 << 20 :])
    await writer.drain()
    writer.close()


async def test_an_upload_that_stalls_is_kept_and_goes_on(at: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("protocol.http.incoming.SLOWEST", 1 << 40)  # only silence counts here
    answer, writer = await begun(at)
    writer.write(FILE.data[: 1 << 20])
    await writer.drain()
    await until(lambda: refusals(at) == [errors.TOO_SLOW.code])
    assert b"503" in await answer.readline()
    writer.close()
    held = await head(at)
    assert held == 1 << 20
    assert await patch(at, FILE.data[held:], held, name=NAME) == (204, len(FILE.data))


class FailingDisk:
    """fsync of partial uploads fails, and so does their removal, as often as told; then all is well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fsyncs: int = 0, unlinks: int = 0) -> None:
        self.fsyncs, self.unlinks = fsyncs, unlinks
        self._fsync, self._unlink = durable.fsync_file, Path.unlink
        monkeypatch.setattr(durable, "fsync_file", self.fsync_file)
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: self.unlink(path, missing_ok))

    def fsync_file(self, descriptor: int) -> None:
        if self.fsyncs and "/uploads/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            self.fsyncs -= 1
            raise OSError(errno.EIO, "fsync")
        self._fsync(descriptor)

    def unlink(self, path: Path, missing_ok: bool) -> None:
        if self.unlinks and path.parent.name == "uploads":
            self.unlinks -= 1
            raise OSError(errno.EIO, "unlink")
        self._unlink(path, missing_ok)


@pytest.mark.parametrize("unlinks", [0, 1, 2])
async def test_octets_whose_fsync_failed_are_never_continued(at: Stage, monkeypatch: pytest.MonkeyPatch, unlinks: int):
    """Memory still shows them, the disk may not have them: a digest that matches says nothing any more."""
    FailingDisk(monkeypatch, fsyncs=1, unlinks=unlinks)
    with pytest.raises(ExchangeError) as caught:
        await patch(at, FILE.data[: 1 << 20], 0, len(FILE.data), NAME)
    assert caught.value.kind is errors.INTERNAL
    for _ in range(unlinks - 1):
        with pytest.raises(ExchangeError):
            await head(at)
    assert await head(at) == 0
    assert not partial(at).exists()
    assert await patch(at, FILE.data) == (204, len(FILE.data))
    assert half_stored(at.hub) == []


async def test_a_disk_that_fails_while_an_offset_is_asked_for_is_an_error_in_the_vocabulary(
    at: Stage, monkeypatch: pytest.MonkeyPatch
):
    """HEAD looks whether the octets of an earlier process are whole; that may fail like any other write."""
    partial(at).write_bytes(FILE.data)
    FailingDisk(monkeypatch, fsyncs=1)
    with pytest.raises(ExchangeError) as caught:
        await head(at)
    assert caught.value.kind is errors.INTERNAL
    assert await head(at) == 0


async def test_a_whole_upload_is_durable_by_name_before_anybody_is_told(at: Stage, monkeypatch: pytest.MonkeyPatch):
    """The rename was done and the folder's fsync failed: the next answer makes up for it."""
    failing = iter([OSError(errno.EIO, "folder")])
    kept, synced = durable.fsync_directory, []

    def fsync_directory(folder: Path) -> None:
        if folder.name == "uploads":
            synced.append(folder)
            for error in failing:
                raise error
        kept(folder)

    monkeypatch.setattr(durable, "fsync_directory", fsync_directory)
    with pytest.raises(ExchangeError):
        await patch(at, FILE.data)
    assert await head(at) == len(FILE.data)
    assert len(synced) == 2


async def test_an_agency_keeps_so_much_and_no_more(at: Stage):
    """Its own share is used up; others have theirs, and a document that takes an upload gives its room back."""
    small = hashlib.shake_256(b"small").digest(2 << 20)
    assert await patch(at, FILE.data) == (204, len(FILE.data))
    with pytest.raises(ExchangeError) as caught:
        await patch(at, small)
    assert (caught.value.kind, caught.value.kind.temporary) == (errors.BUSY, True)
    assert refusals(at) == [errors.BUSY.code]
    assert await patch(at, small, agency=at.recipient) == (204, len(small))
    await at.sender.send(at.sealed(at.unsealed([FILE])))  # it is a stored payload from now on
    assert await patch(at, small) == (204, len(small))


async def test_what_is_on_its_way_counts(at: Stage):
    _, writer = await begun(at)
    small = hashlib.shake_256(b"small").digest(2 << 20)
    with pytest.raises(ExchangeError) as caught:
        await patch(at, small)
    assert caught.value.kind is errors.BUSY
    writer.transport.abort()
    await until(lambda: uploads_of(at) == 0)
    assert await patch(at, small) == (204, len(small))


async def test_the_last_octets_of_the_disk_are_not_for_uploads(at: Stage, monkeypatch: pytest.MonkeyPatch):
    usage = upload_room.shutil.disk_usage(at.hub.folder)
    monkeypatch.setattr(upload_room.shutil, "disk_usage", lambda _: usage._replace(free=len(FILE.data) - 1))
    with pytest.raises(ExchangeError) as caught:
        await patch(at, FILE.data)
    assert caught.value.kind is errors.DISK_FULL
    assert list(at.hub.hub.ledger.payloads.uploads.iterdir()) == []
    monkeypatch.setattr(upload_room.shutil, "disk_usage", lambda _: usage._replace(free=len(FILE.data)))
    assert await patch(at, FILE.data) == (204, len(FILE.data))


async def test_an_upload_that_is_taken_away_while_it_comes_is_no_error_of_the_disk(at: Stage):
    """A document with a state-secret mark came first (AC-4.2a-3)."""
    answer, writer = await begun(at)
    writer.write(FILE.data[: 2 << 20])
    await writer.drain()
    await until(lambda: partial(at).exists())
    at.hub.hub.ledger.payloads.forget_upload(at.sender.code, bytes.fromhex(NAME))
    writer.write(FILE.data[2 << 20 :])
    await writer.drain()
    assert b"409" in await answer.readline()
    writer.close()
    assert await head(at) == 0
    assert list(at.hub.hub.ledger.payloads.uploads.iterdir()) == []


async def test_a_line_that_breaks_leaves_the_octets_and_no_descriptor(at: Stage):
    _, writer = await begun(at)
    writer.write(FILE.data[: 2 << 20])
    await writer.drain()
    await until(lambda: partial(at).exists() and partial(at).stat().st_size > 0)
    writer.transport.abort()
    await until(lambda: uploads_of(at) == 0)
    assert partial(at).stat().st_size > 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            assert "/uploads/" not in str(descriptor.readlink())


async def test_an_upload_that_a_power_cut_damaged_when_all_of_it_was_here_starts_anew(at: Stage):
    """Its length says that nothing is missing; an agency that believed it would never send it again."""
    damaged = bytearray(FILE.data)
    damaged[1000:1512] = bytes(512)
    partial(at).write_bytes(damaged)
    offset = await head(at)
    assert offset == len(FILE.data) - 1
    assert await patch(at, FILE.data[offset:], offset, len(FILE.data), NAME) == (409, 0)
    assert not partial(at).exists()
    assert await patch(at, FILE.data) == (204, len(FILE.data))


async def test_an_upload_that_a_stop_interrupted_goes_on_where_it_was_but_for_an_octet(at: Stage):
    partial(at).write_bytes(FILE.data[:70_000])
    offset = await head(at)
    assert offset == 69_999
    assert await head(at) == offset
    assert await patch(at, FILE.data[offset:], offset, len(FILE.data), NAME) == (204, len(FILE.data))
