"""The order of events: the envelope first, then each attachment under its name, however the file is arranged."""

from __future__ import annotations

from protocol.errors import TOO_LARGE, ExchangeError
from protocol.package_a.events import AttachmentData, AttachmentEnd, AttachmentStart, EnvelopeReady, Event


class EventQueue:
    """Holds events back until the envelope was read and the running attachment is named; `limit` bounds what waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: list[Event] = []
        self._has_envelope = False
        self._unnamed: int | None = None
        self._begun: AttachmentStart | None = None
        self._waiting = 0

    def envelope(self, event: EnvelopeReady) -> None:
        """The envelope: it overtakes whatever stood before it."""
        self._events.insert(0, event)
        self._has_envelope = True

    def begin(self, start: AttachmentStart | None) -> None:
        """An attachment's content begins; without `start` its name is still to come."""
        self._begun = start
        if start is None:
            self._unnamed = len(self._events)
        else:
            self._events.append(start)

    def data(self, pieces: list[bytes]) -> None:
        """Content of the attachment that began last. Raises `message.too-large` when too much waits."""
        self._events.extend(AttachmentData(piece) for piece in pieces if piece)
        if self._must_wait:
            self._waiting += sum(map(len, pieces))
            if self._waiting > self._limit:
                raise ExchangeError(TOO_LARGE, element="AttachmentEncoded", limit=self._limit)

    def end(self, start: AttachmentStart) -> None:
        """The attachment is complete; `start` is all that is known of it."""
        if self._unnamed is not None:
            self._events.insert(self._unnamed, start)
            self._unnamed = None
        known = self._begun or start
        self._events.append(
            AttachmentEnd(
                name=start.name if start.name != known.name else "",
                description=start.description if start.description != known.description else "",
            )
        )

    def release(self) -> list[Event]:
        """The events that may go now."""
        if self._must_wait:
            return []
        events, self._events = self._events, []
        self._waiting = 0
        return events

    @property
    def _must_wait(self) -> bool:
        return not self._has_envelope or self._unnamed is not None
