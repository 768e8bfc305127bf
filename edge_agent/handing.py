"""The hand-over task: inbox → local system, one worker per route, most urgent first, nothing given up unseen.

the route's answer          what happens
taken                       XONG
temporary, or unknown       the message waits (back-off); the others go on
refused for good            TU_CHOI with the reason, an alarm; a person releases it (`lienthong-edge release`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from edge_agent.backoff import Backoff, Random
from edge_agent.clock import Clock, from_text
from edge_agent.records import Handover, Route
from edge_agent.store import Store
from edge_agent.watching import Watchman
from protocol.errors import ExchangeError
from runtime import logs

AT_ONCE: Final = 20
IDLE: Final = 30.0
"""Seconds between two looks at a queue that nobody woke."""
HandOver = Callable[[Handover], Awaitable[None]]
"""Brings one message into the local system and marks it; raises `ExchangeError` when it could not."""

_log = logs.get("edge.handing")


class Handing:
    """The worker of one route. `wake` when the inbox has something new."""

    def __init__(
        self,
        route: Route,
        hand_over: HandOver,
        *,
        store: Store,
        watchman: Watchman,
        backoff: Backoff,
        clock: Clock,
        random: Random,
    ) -> None:
        self._route = route
        self._hand_over = hand_over
        self._store = store
        self._watchman = watchman
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something new stands in the inbox."""
        self._woken.set()

    async def run(self, drain: asyncio.Event) -> None:
        """Hand over until `drain`; the message under way is finished."""
        await self._store.run(self._store.handovers.hurry, self._route, self._clock())
        while not drain.is_set():
            self._woken.clear()
            due = await self._store.run(self._store.handovers.due, self._route, self._clock(), AT_ONCE)
            for handover in due:
                if drain.is_set():
                    return
                await self._one(handover)
            if not due:
                await self._wait(drain)

    async def _one(self, handover: Handover) -> None:
        try:
            await self._hand_over(handover)
        except ExchangeError as error:
            await self._failed(handover, error)
        else:
            _log.info("handed-over", number=handover.inbox, route=self._route)

    async def _failed(self, handover: Handover, error: ExchangeError) -> None:
        run, handovers = self._store.run, self._store.handovers
        code, text = error.kind.code, error.sentence
        _log.warning("hand-over-failed", number=handover.inbox, route=self._route, code=code)
        if error.kind.temporary:
            delay = timedelta(seconds=self._backoff.delay(handover.attempts + 1, self._random))
            await run(handovers.postpone, handover.inbox, self._route, code, text, until=self._clock() + delay)
            return
        await run(handovers.refused, handover.inbox, self._route, code, text, self._clock())
        await self._watchman.alarm(
            f"handover-{self._route}-{handover.inbox}",
            f"Phần mềm QLVB từ chối văn bản đến số {handover.inbox}: {text}",
        )

    async def _wait(self, drain: asyncio.Event) -> None:
        due = await self._store.run(self._store.handovers.next_attempt, self._route)
        seconds = IDLE if due is None else max((from_text(due) - self._clock()).total_seconds(), 0.05)
        waits = [asyncio.create_task(self._woken.wait()), asyncio.create_task(drain.wait())]
        await asyncio.wait(waits, timeout=min(seconds, IDLE), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
