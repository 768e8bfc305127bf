"""The clock that dates the evidence, judged before it dates anything: an event cannot be given another time later.

Behind the last event by more than `TOLERANCE`: the log would run backwards. Ahead of the steady clock by more than that
since the last look: it was moved while we ran, and one event from the future would keep everybody out until the future
comes. In both cases agencies are told to come back; the registry (suspension, revocation, codes) goes on, dated by what
is known to be right. A clock that was really behind is believed at the next start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

TOLERANCE: Final = 600_000
"""Milliseconds."""

Milliseconds = Callable[[], int]


class Judged(msgspec.Struct, frozen=True):
    """`at` dates what may be written; agencies' messages may only when the clock is not `wrong`."""

    at: int
    wrong: bool


class JudgedClock:
    """`now` is milliseconds since 1970 UTC; `steady` counts milliseconds and is never set, None: there is none."""

    def __init__(self, now: Milliseconds, steady: Milliseconds | None = None) -> None:
        self._now = now
        self._steady = steady
        self._seen = now(), steady() if steady else 0

    def judge(self, last_event_at: int) -> Judged:
        """The time for the next batch. A clock that was set right again is right again."""
        now = self._now()
        ahead = self._steady is not None and now > self._expected() + TOLERANCE
        wrong = ahead or now < last_event_at - TOLERANCE
        if self._steady is not None and not wrong:
            self._seen = now, self._steady()
        return Judged(max(self._expected() if ahead else now, last_event_at), wrong)

    def _expected(self) -> int:
        assert self._steady is not None
        then, ticks = self._seen
        return then + self._steady() - ticks


def steady_milliseconds() -> int:
    """The machine's own count of time, sleep included, whatever the clock is set to."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() // 1_000_000 if clock is None else time.clock_gettime_ns(clock) // 1_000_000
