"""The clock seam: aware UTC time is asked of a callable, so that tests and restores decide what time it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

Clock = Callable[[], datetime]
"""Returns aware UTC time."""


VIETNAM: Final = timezone(timedelta(hours=7), "+07")
"""Vietnam has had one offset without summer time since 1975; Windows has no time-zone data to ask."""


def system_clock() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def is_due(next_attempt_at: str, planned_at: str, now: datetime) -> bool:
    """Whether a try planned at `planned_at` for `next_attempt_at` (RFC 3339 UTC) may be made now.

    A plan made later than now was made under a wrong clock, however long its wait is, and holds nobody back.
    The queues on disk ask the same in SQL.
    """
    return next_attempt_at <= to_text(now) or planned_at > to_text(now)


def to_text(moment: datetime) -> str:
    """RFC 3339 UTC with milliseconds: sorts as text, as the database needs it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """The inverse of `to_text`. Raises `ValueError`."""
    return datetime.fromisoformat(text)
