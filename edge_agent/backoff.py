"""How long to wait before the next try: exponential, bounded, with jitter so that agencies do not return in step."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Random = Callable[[], float]
"""Uniform in [0, 1)."""


class Backoff(msgspec.Struct, frozen=True):
    """`first` and `longest` are seconds."""

    first: float
    longest: float

    def delay(self, failures: int, random: Random) -> float:
        """Seconds to wait after this many failures in a row (1 or more): half fixed, half jitter."""
        whole = min(self.longest, self.first * float(2 ** min(failures - 1, 30)))
        return whole / 2 + random() * whole / 2
