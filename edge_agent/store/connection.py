"""Owns the SQLite file: opening, the writer thread, transactions, the event trail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import msgspec
import pysqlite3

from edge_agent.schema import MIGRATIONS
from protocol import errors
from protocol.errors import ExchangeError
from runtime.database import Connection, open_database

P = ParamSpec("P")
T = TypeVar("T")
Record = TypeVar("Record", bound=msgspec.Struct)

_MOVE: Final = "UPDATE recipients SET state = ?, changed_at = ? WHERE outbox = ? AND agency = ?"
_EVENT: Final = "INSERT INTO events (at, subject, item, event, detail) VALUES (?, ?, ?, ?, ?)"


class StoreConnection:
    """The database of one agent. Reads and writes are short functions; `run` brings them to the one writer thread."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, apply migrations. Raises `SchemaError`, `UnsafeSqliteError`, SQLite's own errors."""
        self._database = open_database(path, MIGRATIONS, read_only=read_only)
        self._connection: Connection = self._database.conn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._closed = False

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(*args)` in the writer thread: the event loop never waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing, durable when the block is left without an exception. Raises `server.disk-full`."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, pysqlite3.OperationalError) and "full" in str(error):
                raise ExchangeError(errors.DISK_FULL, cause="database") from error
            raise

    def rows(self, sql: str, parameters: Sequence[object], record: type[Record]) -> list[Record]:
        """The result as structs; columns are matched by name."""
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        found = (dict(zip(names, row, strict=True)) for row in cursor)
        return [msgspec.convert(row, record, strict=False) for row in found]  # STRICT tables have no booleans

    def value(self, sql: str, parameters: Sequence[object] = ()) -> object:
        """The first column of the first row, or None."""
        row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """The result as plain rows."""
        return list(self._connection.execute(sql, parameters))

    def values(self, sql: str, parameters: Sequence[object] = ()) -> list[object]:
        """The first column of every row."""
        return [row[0] for row in self._connection.execute(sql, parameters)]

    def close(self) -> None:
        """Finish what is queued, then close; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._thread.shutdown(wait=True)
            self._database.close()


def move_recipient(connection: Connection, outbox: int, agency: str, states: tuple[str, str], now: str) -> None:
    """A sent document stands elsewhere at one recipient: (before, after); nothing happens when both are one."""
    before, after = states
    if before != after:
        connection.execute(_MOVE, (after, now, outbox, agency))
        note(connection, now, "recipient", outbox, event=after, detail=agency)


def note(connection: Connection, at: str, subject: str, item: int, *, event: str, detail: str = "") -> None:
    """One line of the trail, in the caller's transaction. `detail` is codes and numbers, never text of a document."""
    connection.execute(_EVENT, (at, subject, item, event, detail))
