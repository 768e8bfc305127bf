"""Dispatch: wakes whoever waits for an agency's mailbox. It carries no messages; the ledger is the truth.

The seam is two methods. This one serves a hub of one process; a wake-up that is lost costs one poll interval, never a
message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol


class Dispatch(Protocol):
    """The seam."""

    def wake(self, agencies: Iterable[str]) -> None:
        """Something new lies in these mailboxes."""
        ...

    async def wait(self, agency: str, seconds: float) -> None:
        """Return at the next wake-up of this agency, or after `seconds`."""
        ...


class InProcessDispatch:
    """Wakes the tasks of this process. Use from one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._stopping = False

    def wake(self, agencies: Iterable[str]) -> None:
        """Wake every task that waits for one of these agencies."""
        for agency in agencies:
            for future in self._waiting.pop(agency, ()):
                if not future.done():
                    future.set_result(None)

    def wake_all(self) -> None:
        """Wake everybody and let nobody wait any more: the hub is stopping."""
        self._stopping = True
        self.wake(list(self._waiting))

    async def wait(self, agency: str, seconds: float) -> None:
        """Wait for a wake-up, at most `seconds`."""
        if self._stopping or seconds <= 0:
            await asyncio.sleep(0)  # a worker that asks again and again must still be cancellable
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(agency, set()).add(future)
        try:
            # not wait_for: on 3.11 it swallows a cancellation that comes together with the wake-up
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            waiting = self._waiting.get(agency)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[agency]
