"""The polling task: hub's mailbox → inbox, durable first, confirmed then; a wrong message never blocks the others.

    fetch → checks → durable in the inbox → confirm        (a crash between the last two only repeats the confirmation)

A message that fails its checks for good is held: it stays at the hub, unconfirmed, is tried again later and later, and
a person sees it. Outbound only: the poll is held open by the hub, nothing listens here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from edge_agent.backoff import Backoff, Random
from edge_agent.clock import HORIZON, Clock, to_text
from edge_agent.receiving import Receiver
from edge_agent.records import Held
from edge_agent.store import Store
from edge_agent.uplink import HubLink
from edge_agent.verdicts import AGENCY
from edge_agent.waiting import pause, unless
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Summary
from runtime import logs

HELD: Final = Backoff(first=60.0, longest=3600.0)
"""Tries of a message that failed its checks."""
CONFIRM_AFTER: Final = 20
"""Messages that are confirmed in one request."""
NOTHING_NEW: Final = 2.0
"""Seconds between polls while only held messages wait: the hub answers at once then."""

_log = logs.get("edge.polling")


class Poller:
    """One per agent. `arrived` is called when the inbox has something new."""

    def __init__(
        self,
        *,
        store: Store,
        link: HubLink,
        receiver: Receiver,
        watchman: Watchman,
        backoff: Backoff,
        batch: int,
        poll_wait: float,
        arrived: Callable[[], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._link = link
        self._receiver = receiver
        self._watchman = watchman
        self._backoff = backoff
        self._batch = batch
        self._poll_wait = poll_wait
        self._clock = clock
        self._random = random
        self._failures = 0
        self._arrived = arrived

    async def run(self, drain: asyncio.Event) -> None:
        """Poll until `drain`; a message that is being received then is finished."""
        while not drain.is_set():
            seconds = await self._round(drain)
            if seconds:
                await pause(drain, seconds)

    async def _round(self, drain: asyncio.Event) -> float:
        """One poll and what it brings; seconds to wait before the next."""
        try:
            await self._confirm()
            held = {one.hub_number: one for one in await self._store.run(self._store.inbox.held)}
            waiting = await unless(drain, self._link.pending(self._batch + len(held), self._poll_wait))
            if waiting is None:
                return 0.0
            await self._watchman.reached("poll")
            await self._watchman.clear("agency")
            news = await self._receive_all(waiting, held, drain)
            await self._confirm()
        except ExchangeError as error:
            return await self._failed(error)
        self._failures = 0
        return NOTHING_NEW if waiting and not news else 0.0

    async def _receive_all(self, waiting: tuple[Summary, ...], held: dict[int, Held], drain: asyncio.Event) -> int:
        news = 0
        for summary in waiting:
            if drain.is_set():
                break
            if not await self._is_due(summary, held):
                continue
            news += await self._receive(summary, held.get(summary.number))
            if news and news % CONFIRM_AFTER == 0:
                await self._confirm()
        return news

    async def _is_due(self, summary: Summary, held: dict[int, Held]) -> bool:
        before = held.get(summary.number)
        now = self._clock()
        if before is not None and to_text(now) < before.next_attempt_at < to_text(now + HORIZON):
            return False
        return not await self._store.run(self._store.inbox.knows, summary.number)

    async def _receive(self, summary: Summary, before: Held | None) -> int:
        try:
            receipt = await self._receiver.receive(summary)
        except ExchangeError as error:
            if error.kind.temporary or error.kind in AGENCY:
                raise
            if error.kind is not errors.DOCUMENT_NOT_FOUND:  # withdrawn by its sender between poll and fetch
                await self._hold(summary, error, before)
            return 0
        self._arrived()
        await self._watchman.reached("receive")
        await self._watchman.clear(f"held-{summary.number}")
        await self._watchman.see(receipt)
        return 1

    async def _hold(self, summary: Summary, error: ExchangeError, before: Held | None) -> None:
        attempts = 1 if before is None else before.attempts + 1
        now = self._clock()
        held = Held(
            hub_number=summary.number,
            kind=summary.kind,
            sender=summary.sender,
            error_code=error.kind.code,
            error_element=error.element,
            attempts=attempts,
            first_at=to_text(now),
            next_attempt_at=to_text(now + timedelta(seconds=HELD.delay(attempts, self._random))),
        )
        await self._store.run(self._store.inbox.hold, held)
        _log.error("held", hub_number=summary.number, code=error.kind.code, element=error.element)
        text = f"Văn bản số {summary.number} của {summary.sender} trên trục không đạt kiểm tra: {error.sentence}"
        await self._watchman.alarm(f"held-{summary.number}", text)

    async def _confirm(self) -> None:
        """Tell the hub what is durable here, until nothing is left to tell."""
        while numbers := await self._store.run(self._store.inbox.unconfirmed, 500):
            confirmations = await self._link.confirm(numbers)
            answered = {one.number for one in confirmations}
            for one in confirmations:
                if one.outcome == "unknown":  # a hub that was set back; the message is safe here
                    _log.warning("confirmed-unknown", hub_number=one.number)
            if not answered:
                raise ExchangeError(errors.BAD_ANSWER, reason="nothing confirmed")
            await self._store.run(self._store.inbox.confirmed, sorted(answered), self._clock())

    async def _failed(self, error: ExchangeError) -> float:
        self._failures += 1
        if error.kind in AGENCY:
            await self._watchman.alarm("agency", error.sentence)
        await self._watchman.missed(error)
        delay = self._backoff.delay(self._failures, self._random)
        _log.info("poll-failed", code=error.kind.code, wait=delay)
        return delay
