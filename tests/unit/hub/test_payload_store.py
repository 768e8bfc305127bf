"""The payload store where two documents meet: one file at once for both, or for one that is refused."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from hub.payloads.store import UPLOAD_KEPT, PayloadStore
from runtime import durable

DATA = b"%PDF-1.7"
SHA256 = hashlib.sha256(DATA).digest()


@pytest.fixture
def store(tmp_path: Path) -> PayloadStore:
    return PayloadStore(tmp_path / "payloads", [], [])


def finished(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_bytes(DATA)
    return path


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "payloads/large").rglob("*") if path.is_file()]


async def test_same_file_at_once_is_one_file(store: PayloadStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It used to be a disk that is full: the second link found the first one."""

    def slowly(folder: Path, mode: int = 0o755) -> None:
        make_directory(folder, mode)
        time.sleep(0.02)  # long enough for another to look whether the file is there

    make_directory = durable.make_directory
    monkeypatch.setattr(durable, "make_directory", slowly)
    sources = [finished(tmp_path, str(number)) for number in range(16)]
    await asyncio.gather(*(store.keep_large(source, SHA256, len(DATA)) for source in sources))
    assert [path.read_bytes() for path in kept(tmp_path)] == [DATA]


async def test_file_of_a_refused_document_goes_unless_another_counts_on_it(store: PayloadStore, tmp_path: Path):
    for _ in range(2):
        await store.keep_large(finished(tmp_path, "a"), SHA256, len(DATA))
    store.decide(SHA256, unwanted=True)
    assert kept(tmp_path), "the other document is not decided yet"
    store.decide(SHA256, unwanted=False)
    assert kept(tmp_path)
    await store.keep_large(finished(tmp_path, "a"), SHA256, len(DATA))
    store.decide(SHA256, unwanted=True)
    assert kept(tmp_path) == []


def test_uploads_go_when_nobody_came_for_them(store: PayloadStore):
    complete = store.upload_path("H21.16", SHA256)
    half = complete.with_name(complete.name + ".part")
    for path in (complete, half):
        path.write_bytes(DATA)
    touched = half.stat().st_mtime
    store.forget_old_uploads(touched + UPLOAD_KEPT - 1)
    assert complete.exists()
    store.forget_old_uploads(touched + UPLOAD_KEPT + 60)
    assert not complete.exists()
    assert not half.exists()


def test_an_agency_forgets_its_own_upload_only(store: PayloadStore):
    mine, other = store.upload_path("H21.16", SHA256), store.upload_path("H21.1", SHA256)
    for path in (mine, other, mine.with_name(mine.name + ".part")):
        path.write_bytes(DATA)
    store.forget_upload("H21.16", SHA256)
    assert [path.name for path in mine.parent.iterdir()] == [other.name]
