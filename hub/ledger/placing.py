"""Where the payloads of a batch lie: given a place only when their work asks, so that a refused one stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from hub.ledger import statements as sql
from hub.ledger.records import Placement
from hub.payloads.segments import Appendix, Plan
from runtime.database import Connection


class Places(Sequence[Placement]):
    """The places of one work's payloads."""

    def __init__(
        self, payloads: Sequence[tuple[bytes | None, bytes]], place: Callable[[bytes | None, bytes], Placement]
    ) -> None:
        self._payloads = payloads
        self._place = place
        self._placed: list[Placement] | None = None

    def __len__(self) -> int:
        return len(self._payloads)

    @overload
    def __getitem__(self, index: int) -> Placement: ...
    @overload
    def __getitem__(self, index: slice) -> list[Placement]: ...
    def __getitem__(self, index: int | slice) -> Placement | list[Placement]:
        if self._placed is None:
            self._placed = [self._place(sha256, data) for sha256, data in self._payloads]
        return self._placed[index]


class BatchPayloads:
    """The payloads of one batch: what is stored already, what this batch stores, and where."""

    def __init__(self, connection: Connection, plan: Plan) -> None:
        self._connection = connection
        self._plan = plan
        self._fresh: dict[bytes, Placement] = {}

    def place(self, sha256: bytes | None, data: bytes) -> Placement:
        """Where this payload lies or will lie; None for octets that nobody shares."""
        if sha256 is None:
            return self._plan.add(data)
        known = self._fresh.get(sha256)
        if known is None:
            row = self._connection.execute(sql.FIND_PAYLOAD, (sha256,)).fetchone()
            known = self._fresh[sha256] = self._plan.add(data) if row is None else Placement(*row)
        return known

    @property
    def appendix(self) -> Appendix | None:
        """What is to be written."""
        return self._plan.appendix
