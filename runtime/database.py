"""Opens SQLite files the one way that is safe here, and brings their schema up to date.

WAL, `synchronous=FULL` (an acknowledged commit survives a power cut), foreign keys on, one writer per file. SQLite
before 3.51.3 (3.50.7, 3.44.6 on their branches) can corrupt a WAL database when two connections checkpoint at once;
such a library is refused at start. pysqlite3 carries a good one, and it is the only SQLite library in the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pysqlite3
import sqlite_utils

from runtime import durable

MINIMUM_VERSION: Final = (3, 51, 3)
BACKPORTS: Final = {(3, 44): 6, (3, 50): 7}
"""Patch releases of older branches that have the correction."""

Connection = Any
"""A pysqlite3 connection (the library ships no types)."""


class UnsafeSqliteError(RuntimeError):
    """The SQLite library of this process can corrupt WAL databases; install the pinned pysqlite3."""


class SchemaError(RuntimeError):
    """The database was written by a newer version of the program than this one."""


class Migration(msgspec.Struct, frozen=True):
    """One step of a schema's life; `name` is written to the database once its statements are done."""

    name: str
    statements: str


def is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the correction of the WAL-reset bug."""
    patch = BACKPORTS.get((version[0], version[1]))
    return version >= MINIMUM_VERSION or (patch is not None and version[2] >= patch)


def library_version() -> tuple[int, ...]:
    """Version of the SQLite library in use."""
    return tuple(int(part) for part in pysqlite3.sqlite_version.split("."))


def connect(path: Path, *, read_only: bool = False) -> Connection:
    """A raw connection with the safe settings, in autocommit mode; transactions are begun explicitly.

    Raises:
        UnsafeSqliteError: the library is older than the correction.
        pysqlite3.OperationalError: the file cannot be opened.
        OSError: the disk does not keep the names of the files.
    """
    if not is_safe(library_version()):
        raise UnsafeSqliteError(f"SQLite {pysqlite3.sqlite_version} may corrupt WAL databases; need 3.51.3 or later")
    if not read_only:
        _make_private(path)
    mode = "ro" if read_only else "rwc"
    connection = pysqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=30
    )
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        _make_names_durable(connection, path)
    return connection


def _make_private(path: Path) -> None:
    """A new file, and with it what SQLite puts beside it, is its owner's alone.

    Never by opening a file that is there: closing it again would drop SQLite's locks of this process.
    """
    with suppress(OSError):  # there already; or SQLite says in its own words what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, durable.PRIVATE_MODE))


def _make_names_durable(connection: Connection, path: Path) -> None:
    """The log file is there before anything is written; SQLite itself goes on when this fsync of it fails."""
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        durable.fsync_directory(path.absolute().parent)
    except OSError:
        connection.close()
        raise


def open_database(
    path: Path, migrations: Sequence[Migration] = (), *, read_only: bool = False
) -> sqlite_utils.Database:
    """Open (or create) a database file and apply the migrations that it has not seen, each in one transaction.

    Raises:
        SchemaError: the file knows migrations that this program does not.
    """
    database = sqlite_utils.Database(connect(path, read_only=read_only))
    if migrations and not read_only:
        migrate(database, migrations)
    return database


def migrate(database: sqlite_utils.Database, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, in order."""
    connection: Connection = database.conn
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
    done = {row[0] for row in connection.execute("SELECT name FROM migrations")}
    unknown = done - {migration.name for migration in migrations}
    if unknown:
        raise SchemaError(f"database has migrations of a newer version: {', '.join(sorted(unknown))}")
    for migration in migrations:
        if migration.name not in done:
            _apply(connection, migration)


def _apply(connection: Connection, migration: Migration) -> None:
    name = migration.name.replace("'", "''")
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migration.statements}\n;INSERT INTO migrations VALUES ('{name}');\nCOMMIT;"  # noqa: S608 -- names are literals of our own migrations
        )
    except pysqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
