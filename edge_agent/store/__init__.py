"""The edge's memory: one SQLite file, one writer thread, named SQL beside the functions that use it."""

from __future__ import annotations

from pathlib import Path

from edge_agent.store.connection import StoreConnection
from edge_agent.store.handovers import Handovers
from edge_agent.store.inbox import Inbox
from edge_agent.store.outbox import Outbox
from edge_agent.store.watch import Watch


class Store(StoreConnection):
    """The whole database, in four rooms."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file. Raises `SchemaError`, `UnsafeSqliteError`, SQLite's own errors."""
        super().__init__(path, read_only=read_only)
        self.outbox = Outbox(self)
        self.inbox = Inbox(self)
        self.handovers = Handovers(self)
        self.watch = Watch(self)


__all__ = ["Store"]
