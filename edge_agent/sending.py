"""The sending task: outbox → hub until the hub's receipt is held, most urgent first.

the answer                                          what happens
a receipt that verifies                             DA_GUI
no line                                             everyone waits (back-off) until the hub answers anything at all;
                                                    a message that breaks a good line twice waits alone from then on
hub busy, full, stopping, wrong clock               everyone waits (back-off), then the most urgent goes first
the agency itself is refused (suspended, revoked)   everyone waits longer, an alarm says why; nothing is given up
a permanent refusal of this message                 GUI_LOI with the reason
anything else, a receipt that does not verify       this message waits (back-off); unknown errors are temporary
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from edge_agent.acknowledging import Acknowledging
from edge_agent.backoff import Backoff, Random
from edge_agent.clock import Clock, from_text
from edge_agent.payloads import Payloads
from edge_agent.records import Outgoing
from edge_agent.store import Store
from edge_agent.uplink import HubLink
from edge_agent.verdicts import AGENCY, CERTIFICATE, HUB
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Accepted
from runtime import logs

IDLE: Final = 30.0
"""Seconds between two looks at an outbox that nobody woke."""

_log = logs.get("edge.sending")


class Sender:
    """One per agent. `wake` when the outbox has something new."""

    def __init__(
        self,
        *,
        acknowledging: Acknowledging,
        store: Store,
        payloads: Payloads,
        link: HubLink,
        watchman: Watchman,
        backoff: Backoff,
        parallel: int,
        clock: Clock,
        random: Random,
    ) -> None:
        self._acknowledging = acknowledging
        self._store = store
        self._payloads = payloads
        self._link = link
        self._watchman = watchman
        self._backoff = backoff
        self._parallel = parallel
        self._clock = clock
        self._random = random
        self._woken = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._failures = 0
        self._pause_until = 0.0  # of the loop's own clock: the wall clock may be put right meanwhile
        self._line_down = False
        self._suspects: set[int] = set()

    def wake(self) -> None:
        """Something new stands in the outbox."""
        self._woken.set()

    async def run(self, drain: asyncio.Event) -> None:
        """Send until `drain`; what is under way then is finished."""
        await self._store.run(self._store.outbox.hurry, self._clock())
        while not drain.is_set():
            self._woken.clear()
            await self._start_due()
            await self._wait(drain)
        if self._under_way:
            await asyncio.wait(self._under_way.values())

    async def _start_due(self) -> None:
        if asyncio.get_running_loop().time() < self._pause_until or (self._line_down and not await self._answers()):
            return
        room = self._parallel - len(self._under_way)
        if self._failures:
            room = min(room, 1 - len(self._under_way))  # one message finds out whether the hub takes any
        if room <= 0:
            return
        for item in await self._store.run(self._store.outbox.due, self._clock(), room + len(self._under_way)):
            if item.number not in self._under_way and room > 0:
                room -= 1
                self._under_way[item.number] = asyncio.create_task(self._send(item), name=f"send-{item.number}")

    async def _answers(self) -> bool:
        """Whether the hub answers a question that costs nothing; no document is the one that finds out."""
        try:
            await self._link.checkpoint()
        except ExchangeError as error:
            if error.kind in {errors.UNREACHABLE, errors.BAD_ANSWER}:
                self._pause(error)
                return False
        self._line_down = False
        return True

    async def _wait(self, drain: asyncio.Event) -> None:
        """Until woken, drained, a message is done, or the next try is due."""
        waits = [asyncio.create_task(self._woken.wait()), asyncio.create_task(drain.wait())]
        try:
            await asyncio.wait(
                [*waits, *self._under_way.values()],
                timeout=await self._until_next(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()
        self._under_way = {number: task for number, task in self._under_way.items() if not task.done()}

    async def _until_next(self) -> float:
        due = await self._store.run(self._store.outbox.next_attempt)
        if due is None:
            return IDLE
        pause = self._pause_until - asyncio.get_running_loop().time()
        seconds = max((from_text(due) - self._clock()).total_seconds(), pause)
        if self._under_way and seconds <= 0:
            return IDLE  # a task will end first
        return min(max(seconds, 0.01), IDLE)

    async def _send(self, item: Outgoing) -> None:
        try:
            await self._acknowledging.keep(item, await self._hand_over(item))
            self._failures, self._pause_until = 0, 0.0
            self._suspects.discard(item.number)
        except ExchangeError as error:
            await self._failed(item, error)
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary, and never stop the queue
            _log.exception("send-failed", number=item.number)
            await self._postpone(item, ExchangeError(errors.INTERNAL, cause=type(error).__name__))

    async def _hand_over(self, item: Outgoing) -> Accepted:
        run, outbox = self._store.run, self._store.outbox
        envelope = await run(outbox.envelope, item.number)
        if item.kind == "status":
            return await self._link.report(envelope)
        attachments = await run(outbox.attachments, item.number)
        if not all(self._payloads.has(one.sha256, one.size) for one in attachments):
            await self._watchman.alarm("payload", f"Mất tệp đính kèm của văn bản gửi số {item.number} trong kho.")
            raise ExchangeError(errors.INTERNAL, reason="payload lost")
        return await self._link.send(envelope, attachments, self._payloads)

    async def _failed(self, item: Outgoing, error: ExchangeError) -> None:
        if error.kind in CERTIFICATE and await self._acknowledging.reseal(item):
            return  # sealed with a certificate that was renewed since; it goes out at once
        if error.kind in AGENCY:
            await self._watchman.alarm("agency", error.sentence)
            await self._keep_place(item, error)
        elif error.kind in HUB:
            await self._keep_place(item, error)
        elif error.kind is errors.UNREACHABLE and item.number not in self._suspects:
            self._suspects.add(item.number)  # the line, or this message: the next time tells
            self._line_down = True
            await self._keep_place(item, error)
        elif error.kind.temporary:
            await self._postpone(item, error)
        else:
            await self._store.run(self._store.outbox.refused, item.number, error, self._clock())
            _log.warning("refused-by-hub", number=item.number, code=error.kind.code, element=error.element)

    async def _keep_place(self, item: Outgoing, error: ExchangeError) -> None:
        """Nobody gets through now. The order of the queue stays: what is urgent then goes first."""
        self._pause(error)
        await self._store.run(self._store.outbox.postpone, item.number, error, now=self._clock(), until=self._clock())

    def _pause(self, error: ExchangeError) -> None:
        self._failures += 1
        delay = self._backoff.delay(self._failures, self._random)
        self._pause_until = asyncio.get_running_loop().time() + delay
        _log.info("hub-away", code=error.kind.code, wait=delay)

    async def _postpone(self, item: Outgoing, error: ExchangeError) -> None:
        delay, now = timedelta(seconds=self._backoff.delay(item.attempts + 1, self._random)), self._clock()
        await self._store.run(self._store.outbox.postpone, item.number, error, now=now, until=now + delay)
        _log.info("postponed", number=item.number, code=error.kind.code, wait=delay.total_seconds())
