"""Messages of the latest batches, kept in memory: most documents are fetched and confirmed as soon as they came.

Law of this file: only what is committed is here, and what was withdrawn is gone before its withdrawal is answered. A
message never changes; whether it may be fetched can change in one direction only, so absence here means "ask the
database" and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from hub.ledger.records import Stored

REMEMBERED: Final = 4096
"""Messages (about 2 kB each)."""


class RecentMessages:
    """Use from one event loop."""

    def __init__(self) -> None:
        self._messages: OrderedDict[int, Stored] = OrderedDict()
        self._recipients: dict[int, set[str]] = {}

    def adopt(
        self,
        messages: Iterable[Stored],
        deliveries: Iterable[tuple[int, str]],
        withdrawn: Iterable[tuple[int, str]],
    ) -> None:
        """A batch committed: its messages, its (message, recipient) pairs, and those it withdrew."""
        for message in messages:
            self._messages[message.number] = message
            self._recipients[message.number] = set()
        for number, recipient in deliveries:
            if number in self._recipients:
                self._recipients[number].add(recipient)
        for number, recipient in withdrawn:
            self._recipients.get(number, set()).discard(recipient)
        while len(self._messages) > REMEMBERED:
            del self._recipients[self._messages.popitem(last=False)[0]]

    def message(self, number: int) -> Stored | None:
        """A message, if it is remembered."""
        return self._messages.get(number)

    def fetchable(self, number: int, recipient: str) -> Stored | None:
        """A message that is remembered and known to be for this recipient, not withdrawn from it."""
        return self._messages[number] if recipient in self._recipients.get(number, ()) else None
