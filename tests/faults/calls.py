"""Makes each kind of file-system call once, the way the program's libraries make them, for the test of the shim."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import tempfile
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite


def python_files(root: str) -> None:
    """Calls of os, io, shutil, tempfile and pathlib."""
    top = Path(root)
    with (top / "text").open("w") as file:
        file.write("a" * 100_000)
        file.flush()
        os.fsync(file.fileno())
    descriptor = os.open(top / "raw", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(descriptor, b"0123456789")
    os.pwrite(descriptor, b"AB", 4)
    os.writev(descriptor, [b"x", b"yz"])
    os.ftruncate(descriptor, 12)
    os.fdatasync(descriptor)
    os.close(descriptor)
    (top / "folder" / "below").mkdir(parents=True)
    (top / "raw").rename(top / "folder" / "moved")
    Path(top / "text").replace(top / "folder" / "text")
    os.link(top / "folder" / "text", top / "linked")
    shutil.copyfile(top / "linked", top / "copied")
    with tempfile.NamedTemporaryFile(dir=top / "folder", delete=False) as named:
        named.write(b"named")
    with tempfile.TemporaryFile(dir=top) as nameless:
        nameless.write(b"nameless")
    with (top / "copied").open("r+b") as file:
        file.truncate(7)
    with (top / "copied").open("ab") as file:
        file.write(b"tail")
    os.truncate(top / "linked", 50)
    (top / "folder" / "below").rmdir()
    (top / "folder" / "moved").unlink()
    shutil.rmtree(top / "folder")
    folder = os.open(top, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def sqlite_files(root: str) -> None:
    """A WAL database through pysqlite3: commit, checkpoint."""
    database = sqlite.connect(f"{root}/ledger.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE t (x)")
    for number in range(10):
        database.execute("INSERT INTO t VALUES (?)", ("x" * 5000 * number,))
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("INSERT INTO t VALUES (1)")
    os._exit(0)  # a close would tidy away the -wal, which is to be compared


def sends(port: int, root: str, *, loop: str) -> None:
    """Sends over TCP by asyncio (or uvloop), one big enough to be sent in pieces, and a file by sendfile."""
    runner = asyncio if loop == "asyncio" else importlib.import_module("uvloop")
    runner.run(_sends(port, root, by_sendfile=loop == "asyncio"))  # uvloop has no sendfile


async def _sends(port: int, root: str, *, by_sendfile: bool) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    await writer.drain()
    writer.writelines([b"a" * 1000, b"b" * 1_000_000])
    await writer.drain()
    path = Path(root) / "body"
    path.write_bytes(b"c" * 100_000)
    with path.open("rb") as body:
        if by_sendfile:
            await asyncio.get_running_loop().sendfile(writer.transport, body)
        else:
            writer.write(body.read())
            await writer.drain()
    writer.close()
    await writer.wait_closed()
