"""How an event moves a sent document at one recipient, as the edge notes it: by the lifecycle table, never by force."""

from __future__ import annotations

from collections.abc import Callable

from protocol import lifecycle
from protocol.errors import ExchangeError

Movement = Callable[[str], str]
"""From a recipient's state to the next one."""


def movement(event: lifecycle.Event) -> Movement:
    """What the table says; what it forbids is kept as a message and moves nothing."""

    def move(state: str) -> str:
        try:
            return lifecycle.apply(state, event).state
        except ExchangeError:
            return state

    return move
