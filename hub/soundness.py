"""Whether the payloads that the ledger counts on are there, by name and size. Reads only, also beside a running hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hub.ledger import statements as sql
from hub.payloads.store import PayloadStore
from runtime.database import Connection


def missing(connection: Connection, folder: Path) -> Iterator[str]:
    """The payload files below `folder` that are not there, or shorter than what was committed to them.

    The ledger is asked first: what it has committed by then was on the disk before.
    """
    for segment, length in connection.execute(sql.SEGMENTS).fetchall():
        path = PayloadStore.segment_path(folder, segment)
        if _size(path) < length:
            yield str(path.relative_to(folder))
    for sha256, length in connection.execute(sql.LARGE_SIZES):
        path = PayloadStore.large_path(folder, sha256)
        if _size(path) < length:
            yield str(path.relative_to(folder))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
