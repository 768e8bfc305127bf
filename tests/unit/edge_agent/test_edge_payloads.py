"""Attachments on disk: named by their digest, there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from edge_agent.payloads import CHUNK, LOOK_AGAIN, REMEMBERED, Payloads, StoredPayload, copy_durably
from protocol import errors
from protocol.errors import ExchangeError
from runtime import durable

DATA = b"\r\n" + bytes(range(256)) * 3000 + b"\r\n"


def store(payloads: Payloads, *pieces: bytes) -> StoredPayload:
    with payloads.writer() as writer:
        for piece in pieces:
            writer.write(piece)
        return writer.finish()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_octets_come_back_as_they_went_in_from_any_offset(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=1 << 20)
    stored = store(payloads, DATA[:10], b"", DATA[10:])
    assert (stored.sha256, stored.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert b"".join([chunk async for chunk in payloads.chunks(stored.sha256)]) == DATA
    assert b"".join([chunk async for chunk in payloads.chunks(stored.sha256, 1000)]) == DATA[1000:]
    assert all([len(chunk) <= CHUNK async for chunk in payloads.chunks(stored.sha256)])
    assert payloads.has(stored.sha256, len(DATA))
    assert not payloads.has(stored.sha256, 1)
    assert not payloads.has("00" * 32, 1)


def test_the_same_octets_are_one_file(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=1 << 20)
    store(payloads, DATA)
    store(payloads, DATA)
    assert len(files(tmp_path)) == 1


def test_too_large_is_refused_and_leaves_nothing(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=len(DATA) - 1)
    with pytest.raises(ExchangeError) as refusal:
        store(payloads, DATA)
    assert refusal.value.kind.code == "mime.part-too-large"
    assert files(tmp_path) == []


def test_a_full_disk_is_temporary_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    payloads = Payloads(tmp_path, limit=1 << 20)
    for name in ("write_all", "fsync_file", "publish"):
        with monkeypatch.context() as patch:
            patch.setattr(durable, name, full)
            with pytest.raises(ExchangeError) as refusal:
                store(payloads, DATA)
        assert refusal.value.kind.code == "server.disk-full"
        assert refusal.value.kind.temporary
        assert files(tmp_path) == []
    store(payloads, DATA)


def test_the_door_closes_before_the_disk_is_full(tmp_path: Path):
    with pytest.raises(ExchangeError) as refusal:
        Payloads(tmp_path, limit=1, disk_free=1 << 60).writer()
    assert refusal.value.kind.code == "server.disk-full"


def test_what_a_crash_left_is_removed_at_start(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=1 << 20)
    writer = payloads.writer()
    writer.__enter__()
    writer.write(DATA)
    assert len(files(tmp_path)) == 1
    Payloads(tmp_path, limit=1).clean()
    assert files(tmp_path) == []
    writer.__exit__(None, None, None)


async def test_a_lost_file_is_an_error_of_the_vocabulary(tmp_path: Path):
    with pytest.raises(ExchangeError) as refusal:
        _ = [chunk async for chunk in Payloads(tmp_path, limit=1).chunks("00" * 32)]
    assert refusal.value.kind.code == "attachment.missing"


def test_a_copy_is_no_second_name(tmp_path: Path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(DATA)
    copy_durably(source, target)
    target.write_bytes(b"edited")
    assert source.read_bytes() == DATA


def test_what_is_expected_counts_at_the_door(tmp_path: Path):
    """A document of 1 GB on a disk with 500 MB free filled it at each try."""
    payloads = Payloads(tmp_path, limit=1 << 60)
    payloads.check_space(payloads.free() // 2)
    assert payloads.shortage() == 0
    with pytest.raises(ExchangeError) as caught:
        payloads.check_space(payloads.free() + (1 << 30))
    assert caught.value.kind is errors.DISK_FULL
    assert payloads.shortage() > 0


def test_a_shortage_is_forgotten_when_nobody_comes_again(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=1)
    with pytest.raises(ExchangeError):
        payloads.check_space(1 << 60)
    assert [bool(payloads.shortage()) for _ in range(REMEMBERED + 1)] == [True] * REMEMBERED + [False]


def test_who_does_not_say_how_much_comes_is_stopped_before_the_disk_is_full(tmp_path: Path):
    payloads = Payloads(tmp_path, limit=1 << 40, disk_free=1)
    with payloads.writer() as writer:
        writer.write(bytes(LOOK_AGAIN - 1))
        payloads._disk_free = 1 << 60  # somebody else took the rest
        with pytest.raises(ExchangeError) as caught:
            writer.write(b"xx")
        assert caught.value.kind is errors.DISK_FULL
    assert list((tmp_path / "tmp").iterdir()) == []
