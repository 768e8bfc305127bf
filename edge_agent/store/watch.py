"""What the agent watches, on disk: checkpoints of the hub's log, alarms, last contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from edge_agent.clock import to_text
from edge_agent.records import Alarm, Contact, SeenCheckpoint
from edge_agent.store.connection import StoreConnection, note

_LATEST: Final = "SELECT * FROM checkpoints WHERE consistent = 1 ORDER BY size DESC LIMIT 1"
_OF_SIZE: Final = "SELECT * FROM checkpoints WHERE size = ?"
_UNPROVED: Final = "SELECT * FROM checkpoints WHERE consistent = 0 ORDER BY size"
_SEE: Final = "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT (size) DO NOTHING"
_PROVED: Final = "UPDATE checkpoints SET consistent = 1 WHERE size = ?"
_RAISE: Final = "INSERT INTO alarms (kind, text, raised_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING number"
_CLEAR: Final = "UPDATE alarms SET cleared_at = ? WHERE kind = ? AND cleared_at IS NULL RETURNING number"
_ALARMS: Final = "SELECT kind, text, raised_at FROM alarms WHERE cleared_at IS NULL ORDER BY number"
_CONTACT: Final = (
    "INSERT INTO contacts VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail"
)
_CONTACTS: Final = "SELECT * FROM contacts ORDER BY name"


class Watch:
    """Checkpoints are only added; an alarm stays open until what raised it is over."""

    def __init__(self, store: StoreConnection) -> None:
        self._store = store

    def latest_checkpoint(self) -> SeenCheckpoint | None:
        """The largest tree that proofs lead to."""
        return next(iter(self._store.rows(_LATEST, (), SeenCheckpoint)), None)

    def checkpoint_of(self, size: int) -> SeenCheckpoint | None:
        """The checkpoint seen for this tree size."""
        return next(iter(self._store.rows(_OF_SIZE, (size,), SeenCheckpoint)), None)

    def unproved_checkpoints(self) -> list[SeenCheckpoint]:
        """Seen in receipts, not yet connected by a proof."""
        return self._store.rows(_UNPROVED, (), SeenCheckpoint)

    def see(self, checkpoint: SeenCheckpoint) -> None:
        """Keep a checkpoint; the first one seen of a size stays."""
        values = (checkpoint.size, checkpoint.root, checkpoint.text, checkpoint.seen_at, int(checkpoint.consistent))
        with self._store.transaction() as connection:
            connection.execute(_SEE, values)

    def proved(self, size: int) -> None:
        """A consistency proof connects this checkpoint."""
        with self._store.transaction() as connection:
            connection.execute(_PROVED, (size,))

    def alarm(self, kind: str, text: str, now: datetime) -> bool:
        """Raise an alarm; False when it is up already."""
        with self._store.transaction() as connection:
            row = connection.execute(_RAISE, (kind, text, to_text(now))).fetchone()
            if row is not None:
                note(connection, to_text(now), "alarm", row[0], event="raised", detail=kind)
        return row is not None

    def clear(self, kind: str, now: datetime) -> bool:
        """What raised it is over; False when it was not up."""
        if not any(alarm.kind == kind for alarm in self.alarms()):
            return False
        with self._store.transaction() as connection:
            row = connection.execute(_CLEAR, (to_text(now), kind)).fetchone()
            if row is not None:
                note(connection, to_text(now), "alarm", row[0], event="cleared", detail=kind)
        return row is not None

    def alarms(self) -> list[Alarm]:
        """Open alarms, oldest first."""
        return self._store.rows(_ALARMS, (), Alarm)

    def contact(self, name: str, detail: str, now: datetime) -> None:
        """Something happened just now."""
        with self._store.transaction() as connection:
            connection.execute(_CONTACT, (name, to_text(now), detail))

    def contacts(self) -> list[Contact]:
        """Last times, by name."""
        return self._store.rows(_CONTACTS, (), Contact)
