"""Dates and times as edXML writes them: `yyyy/MM/dd[ HH:mm:ss]` in Vietnam time; other systems' patterns are read too.

Vietnam has had one fixed offset since 1975, so no time-zone data is needed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

VIETNAM: Final = timezone(timedelta(hours=7), "ICT")
"""The time of the wire: UTC+07:00."""

_LENGTH_MAX: Final = 64
"""Characters; the longest pattern has half of them."""
# day and month may lack their zero; the year never has two digits (22/11/26 cannot be told from 26/11/22)
_WRITTEN: Final = re.compile(
    r"""\s*(?:(?P<y>\d{4})([/-])(?P<m>\d{1,2})\2(?P<d>\d{1,2})      # yyyy/MM/dd, yyyy-MM-dd
           |(?P<d2>\d{1,2})([/-])(?P<m2>\d{1,2})\6(?P<y2>\d{4}))     # dd/MM/yyyy, dd-MM-yyyy
        (?:(?:\s+|T)(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?
           \s*(?P<zone>Z|[+-]\d{2}:?\d{2})?)?\s*""",
    re.ASCII | re.VERBOSE,
)


def parse_timestamp(text: str) -> datetime | None:
    """The moment that `text` names, aware UTC; `None` when it names none. A date alone is its midnight in Vietnam."""
    try:
        moment = _parse(text) if len(text) <= _LENGTH_MAX else None
        # through Vietnam time: what cannot be written back at the ends of the calendar is no moment
        return moment and moment.astimezone(VIETNAM).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: str) -> date | None:
    """The day in Vietnam that `text` names, with or without a time; `None` when it names none."""
    try:
        moment = _parse(text) if len(text) <= _LENGTH_MAX else None
        return moment and moment.astimezone(VIETNAM).date()
    except (ValueError, OverflowError):
        return None


def format_date(day: date) -> str:
    """`yyyy/MM/dd` (QCVN 102:2016)."""
    return f"{day.year:04}/{day.month:02}/{day.day:02}"


def format_timestamp(moment: datetime) -> str:
    """`yyyy/MM/dd HH:mm:ss` in Vietnam time; `moment` is aware."""
    local = moment.astimezone(VIETNAM)
    return f"{format_date(local)} {local.hour:02}:{local.minute:02}:{local.second:02}"


def _zone(text: str | None) -> timezone:
    if text is None:
        return VIETNAM
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


@lru_cache(maxsize=4096)  # the texts of one day repeat
def _parse(text: str) -> datetime | None:
    """Aware, in the zone that the text names; raises ValueError for a 31st of February."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    return datetime(
        int(part["y"] or part["y2"]),
        int(part["m"] or part["m2"]),
        int(part["d"] or part["d2"]),
        int(part["H"] or 0),
        int(part["M"] or 0),
        int(part["S"] or 0),
        int((part["f"] or "").ljust(6, "0")[:6]),
        tzinfo=_zone(part["zone"]),
    )
