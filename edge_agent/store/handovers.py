"""The hand-over queue on disk: one outcome per message and way into the local system."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from edge_agent.clock import to_text
from edge_agent.records import Handover, Route
from edge_agent.store.connection import StoreConnection, note

_COLUMNS: Final = "inbox, route, state, begun, attempts, next_attempt_at, error_code, error_text"
_DUE: Final = f"""
SELECT {", ".join("handover." + name.strip() for name in _COLUMNS.split(","))}
FROM handover JOIN inbox ON inbox.number = handover.inbox
WHERE handover.route = ? AND handover.state IN ('CHO', 'SAN_SANG')
  AND (handover.next_attempt_at <= ? OR handover.planned_at > ?)
ORDER BY inbox.priority DESC, inbox.number LIMIT ?"""  # noqa: S608 -- column list is a literal
_ONE: Final = f"SELECT {_COLUMNS} FROM handover WHERE inbox = ? AND route = ?"  # noqa: S608 -- column list is a literal
_ALL: Final = f"SELECT {_COLUMNS} FROM handover WHERE inbox = ? ORDER BY route"  # noqa: S608 -- column list is a literal
_REFUSALS: Final = f"SELECT {_COLUMNS} FROM handover WHERE state = 'TU_CHOI' ORDER BY inbox"  # noqa: S608 -- column list is a literal
_NEXT: Final = "SELECT min(next_attempt_at) FROM handover WHERE route = ? AND state IN ('CHO', 'SAN_SANG')"
_DONE: Final = """
UPDATE handover SET state = 'XONG', ended_at = ?, attempts = attempts + 1, error_code = '', error_text = ''
WHERE inbox = ? AND route = ? AND state IN ('CHO', 'SAN_SANG')"""
_STAGED: Final = "UPDATE handover SET state = 'SAN_SANG' WHERE inbox = ? AND route = ? AND state = 'CHO'"
_REFUSED: Final = """
UPDATE handover SET state = 'TU_CHOI', ended_at = ?, attempts = attempts + 1, error_code = ?, error_text = ?
WHERE inbox = ? AND route = ? AND state = 'CHO'"""
_POSTPONED: Final = """
UPDATE handover SET attempts = attempts + 1, next_attempt_at = ?, planned_at = ?, error_code = ?, error_text = ?
WHERE inbox = ? AND route = ? AND state IN ('CHO', 'SAN_SANG')"""
_BEGUN: Final = "UPDATE handover SET begun = begun + 1 WHERE inbox = ? AND route = ? AND state = 'CHO'"
_HURRY: Final = """
UPDATE handover SET next_attempt_at = ?, planned_at = ?
WHERE route = ? AND state IN ('CHO', 'SAN_SANG') AND next_attempt_at > ?"""
_RELEASED: Final = """
UPDATE handover SET state = 'CHO', ended_at = NULL, next_attempt_at = ?, planned_at = ?, begun = 0, attempts = 0,
                    error_code = '', error_text = ''
WHERE inbox = ? AND route = ? AND state = 'TU_CHOI'"""
_STUCK: Final = """
SELECT inbox FROM handover WHERE route = ? AND state IN ('CHO', 'SAN_SANG') AND attempts >= ? LIMIT 1"""
_COUNTS: Final = """
SELECT handover.route, handover.state, count(*) AS count, min(inbox.received_at) AS oldest
FROM handover JOIN inbox ON inbox.number = handover.inbox GROUP BY handover.route, handover.state"""


class RouteCount(msgspec.Struct, frozen=True):
    """How many messages stand in one state on one route, and since when the oldest is here."""

    route: str
    state: str
    count: int
    oldest: str


class Handovers:
    """Every arrow of the hand-over is one method; each writes its event in the same transaction."""

    def __init__(self, store: StoreConnection) -> None:
        self._store = store

    def due(self, route: Route, now: datetime, limit: int) -> list[Handover]:
        """What may be handed over now, most urgent first."""
        return self._store.rows(_DUE, (route, to_text(now), to_text(now), limit), Handover)

    def next_attempt(self, route: Route) -> str | None:
        """When the earliest waiting one may be tried; None when nothing waits."""
        found = self._store.value(_NEXT, (route,))
        return None if found is None else str(found)

    def one(self, inbox: int, route: Route) -> Handover | None:
        """Where one message stands on one route."""
        return next(iter(self._store.rows(_ONE, (inbox, route), Handover)), None)

    def of(self, inbox: int) -> list[Handover]:
        """Where one message stands on every route."""
        return self._store.rows(_ALL, (inbox,), Handover)

    def refusals(self) -> list[Handover]:
        """What the local system refused; kept until a person releases it."""
        return self._store.rows(_REFUSALS, (), Handover)

    def done(self, inbox: int, route: Route, now: datetime) -> bool:
        """The local system has it: CHO → XONG. False when it had it before."""
        with self._store.transaction() as connection:
            changed: int = connection.execute(_DONE, (to_text(now), inbox, route)).rowcount
            if changed:
                note(connection, to_text(now), "handover", inbox, event="done", detail=route)
        return bool(changed)

    def staged(self, inbox: int, route: Route, now: datetime) -> None:
        """Everything is on the disk and only the rename is left: CHO → SAN_SANG."""
        with self._store.transaction() as connection:
            if connection.execute(_STAGED, (inbox, route)).rowcount:
                note(connection, to_text(now), "handover", inbox, event="staged", detail=route)

    def refused(self, inbox: int, route: Route, code: str, text: str, now: datetime) -> bool:
        """The local system said no for good: CHO → TU_CHOI. False in any other state: what is staged is not refused."""
        with self._store.transaction() as connection:
            changed: int = connection.execute(_REFUSED, (to_text(now), code, text, inbox, route)).rowcount
            if changed:
                note(connection, to_text(now), "handover", inbox, event="refused", detail=f"{route} {code}")
        return bool(changed)

    def begin(self, inbox: int, route: Route) -> None:
        """The local system is about to be called; from here on it may have the message, whatever is heard of it."""
        with self._store.transaction() as connection:
            connection.execute(_BEGUN, (inbox, route))

    def postpone(self, inbox: int, route: Route, error: tuple[str, str], *, now: datetime, until: datetime) -> None:
        """A try failed with `error` (code, sentence) and may succeed later."""
        with self._store.transaction() as connection:
            connection.execute(_POSTPONED, (to_text(until), to_text(now), *error, inbox, route))

    def stuck(self, route: Route, attempts: int) -> bool:
        """Whether anything waits on this route after at least so many tries."""
        return self._store.value(_STUCK, (route, attempts)) is not None

    def release(self, inbox: int, route: Route, now: datetime) -> bool:
        """A person says: try again. TU_CHOI → CHO."""
        with self._store.transaction() as connection:
            changed: int = connection.execute(_RELEASED, (to_text(now), to_text(now), inbox, route)).rowcount
            if changed:
                note(connection, to_text(now), "handover", inbox, event="released", detail=route)
        return bool(changed)

    def hurry(self, route: Route, now: datetime) -> None:
        """A new start: everything that waits on this route is due."""
        with self._store.transaction() as connection:
            connection.execute(_HURRY, (to_text(now), to_text(now), route, to_text(now)))

    def counts(self) -> list[RouteCount]:
        """Queue lengths and ages by route and state."""
        return self._store.rows(_COUNTS, (), RouteCount)
