"""The hand-over task: inbox → local system, one worker per route, most urgent first, nothing given up unseen.

the route's answer          what happens
taken                       XONG
temporary, or unknown       the message waits (back-off); the others go on; an alarm when it goes on for long
refused for good            TU_CHOI with the reason, an alarm; a person releases it (`lienthong-edge release`)
                            (what is staged already, SAN_SANG, waits instead: only this machine is in its way)
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
from protocol import errors
from protocol.errors import ExchangeError
from runtime import logs

AT_ONCE: Final = 20
IDLE: Final = 30.0
"""Seconds between two looks at a queue that nobody woke."""
PATIENCE: Final = 8
"""Tries of one message in a row before a person is told."""
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
        self._troubled = True  # the alarm may be up from before the start

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
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary, and never stop the route
            _log.exception("hand-over-stumbled", number=handover.inbox, route=self._route)
            await self._postpone(handover, ExchangeError(errors.INTERNAL, cause=type(error).__name__))
        else:
            _log.info("handed-over", number=handover.inbox, route=self._route)
            await self._relieved()

    async def _failed(self, handover: Handover, error: ExchangeError) -> None:
        code, text = error.kind.code, error.sentence
        _log.warning("hand-over-failed", number=handover.inbox, route=self._route, code=code)
        refused = not error.kind.temporary and await self._store.run(
            self._store.handovers.refused, handover.inbox, self._route, code, text, self._clock()
        )
        if not refused:
            await self._postpone(handover, error)
            return
        # a folder refuses nothing: what cannot be handed over there is no longer what was received
        what = "Không giao được" if self._route == "folder" else "Phần mềm QLVB từ chối"
        await self._watchman.alarm(
            f"handover-{self._route}-{handover.inbox}", f"{what} văn bản đến số {handover.inbox}: {text}"
        )

    async def _postpone(self, handover: Handover, error: ExchangeError) -> None:
        attempts, now = handover.attempts + 1, self._clock()
        until = now + timedelta(seconds=self._backoff.delay(attempts, self._random))
        said = (error.kind.code, error.sentence)
        await self._store.run(self._store.handovers.postpone, handover.inbox, self._route, said, now=now, until=until)
        if attempts >= PATIENCE:  # one alarm for the route: a local system that is away has many waiting for it
            self._troubled = True
            await self._watchman.alarm(
                f"handover-{self._route}",
                f"Văn bản đến số {handover.inbox} chưa giao được cho phần mềm QLVB sau {attempts} lần thử:"
                f" {error.sentence}",
            )

    async def _relieved(self) -> None:
        """The alarm of the route is over when nothing waits after that many tries any more."""
        if self._troubled and not await self._store.run(self._store.handovers.stuck, self._route, PATIENCE):
            self._troubled = False
            await self._watchman.clear(f"handover-{self._route}")

    async def _wait(self, drain: asyncio.Event) -> None:
        due = await self._store.run(self._store.handovers.next_attempt, self._route)
        seconds = IDLE if due is None else max((from_text(due) - self._clock()).total_seconds(), 0.05)
        waits = [asyncio.create_task(self._woken.wait()), asyncio.create_task(drain.wait())]
        await asyncio.wait(waits, timeout=min(seconds, IDLE), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
