"""A clock that a test can put wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class MovingClock:
    """The hub's clock: the machine's, moved by `by`."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by
