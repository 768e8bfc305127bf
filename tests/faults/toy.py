"""A toy program for the harness itself: a keeper of notes over TCP, with every precaution that a mutation can remove.

Request `PUT id text\\n`, answer `KEPT id\\n` once the note is durable, or `BUSY\\n`; `LIST\\n` answers one JSON line.
A note is a file of its own (temporary name, fsync, rename, fsync of the folder) and a row of a SQLite ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

synchronous = "FULL"
checks_duplicates = True
acknowledges_first = False


def flush(descriptor: int) -> None:
    """A seam for a mutation: the fsync of a note."""
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """A seam for a mutation: the fsync of the folder of notes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Keeper:
    """The notes and their ledger."""

    def __init__(self, root: Path) -> None:
        self.notes = root / "notes"
        self.database = sqlite.connect(str(root / "ledger.db"), isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute(f"PRAGMA synchronous={synchronous}")
        self.database.execute("SELECT count(*) FROM sqlite_schema")  # makes the -wal file
        flush_folder(root)  # SQLite fsyncs the folder of a new -wal too, but ignores a failure of that

    @staticmethod
    def init(root: Path) -> None:
        """An empty keeper, durable."""
        (root / "notes").mkdir()
        keeper = Keeper(root)
        keeper.database.execute("CREATE TABLE note (number INTEGER PRIMARY KEY, id TEXT NOT NULL)")
        keeper.database.close()

    def put(self, note: str, text: str) -> None:
        """Keeps a note once, whatever the number of times it is put."""
        if checks_duplicates and self.database.execute("SELECT 1 FROM note WHERE id = ?", (note,)).fetchone():
            return
        temporary, final = self.notes / f"{note}.tmp", self.notes / note
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            left = memoryview(text.encode())
            while left:
                left = left[os.write(descriptor, left) :]
            flush(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(final)
        flush_folder(self.notes)
        self.database.execute("INSERT INTO note (id) VALUES (?)", (note,))

    def listing(self) -> dict[str, list[str]]:
        """Note → its text, once per row of the ledger."""
        found: dict[str, list[str]] = {}
        for (note,) in self.database.execute("SELECT id FROM note ORDER BY number"):
            place = self.notes / note
            found.setdefault(note, []).append(place.read_text() if place.exists() else "(no file)")
        return found


async def _serve(root: Path, port: int) -> None:
    keeper = Keeper(root)

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            answer = json.dumps(keeper.listing()) if verb == "LIST" else _put(keeper, rest, writer)
            writer.write(answer.encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(session, "127.0.0.1", port)
    await server.serve_forever()


def _put(keeper: Keeper, rest: str, writer: asyncio.StreamWriter) -> str:
    note, _, text = rest.partition(" ")
    if acknowledges_first:
        writer.write(f"KEPT {note}\n".encode())
    try:
        keeper.put(note, text)
    except (OSError, sqlite.Error):
        return "BUSY"
    return "" if acknowledges_first else f"KEPT {note}"


def serve(root: str, port: int) -> None:
    """The program: serves until it is killed."""
    asyncio.run(_serve(Path(root), port))


def _set(**values: object) -> None:
    globals().update(values)


def mutate_no_file_fsync() -> None:
    """Removes the fsync of a note."""
    _set(flush=lambda _descriptor: None)


def mutate_no_folder_fsync() -> None:
    """Removes the fsync of the folder."""
    _set(flush_folder=lambda _folder: None)


def mutate_no_commit_fsync() -> None:
    """Lets SQLite commit without waiting for the disk."""
    _set(synchronous="OFF")


def mutate_no_duplicate_check() -> None:
    """Keeps a note as often as it is put."""
    _set(checks_duplicates=False)


def mutate_acknowledge_first() -> None:
    """Answers before the note is kept."""
    _set(acknowledges_first=True)
