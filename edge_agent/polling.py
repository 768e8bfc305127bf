"""The polling task: hub's mailbox → inbox, durable first, confirmed then; no message ever blocks the others.

    fetch → checks → durable in the inbox → confirm        (a crash between the last two only repeats the confirmation)

what failed                                         what happens
a check, for good                                   the message is held: it stays at the hub, unconfirmed, is tried
                                                    again later and later, and a person sees it at once
anything else about one message, unknown errors     it is held likewise, tried again soon; an alarm when it goes on
the line while it was fetched                       likewise, and the hub is asked whether it is there at all
the hub is away, or refuses this agency             the round ends; everyone waits (back-off)
this machine cannot judge seals now                 likewise

Urgent first, whatever is held. Outbound only: the poll is held open by the hub, nothing listens here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from edge_agent.backoff import Backoff, Random
from edge_agent.clock import Clock, is_due, to_text
from edge_agent.receiving import Receiver
from edge_agent.records import Held
from edge_agent.store import Store
from edge_agent.uplink import HubLink
from edge_agent.verdicts import CALLER, HUB, LINE
from edge_agent.waiting import pause, unless
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Summary
from runtime import logs

HELD: Final = Backoff(first=60.0, longest=3600.0)
"""Tries of a message that failed its checks."""
UNFETCHED: Final = Backoff(first=1.0, longest=600.0)
"""Tries of a message that could not be fetched or kept."""
PATIENCE: Final = 5
"""Such tries in a row before a person is told."""
CONFIRM_AFTER: Final = 20
"""Messages that are confirmed in one request, while more are received."""
LEFT: Final = 1000
"""The most in one request, and the most that the hub lists."""
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
            await self._confirm_left()
            held = {one.hub_number: one for one in await self._store.run(self._store.inbox.held)}
            waiting = await unless(drain, self._link.pending(self._batch + len(held), self._poll_wait))
            if waiting is None:
                return 0.0
            await self._watchman.reached("poll")
            await self._watchman.clear("agency")
            news = await self._receive_all(waiting, held, drain)
            await self._confirm_all()
        except ExchangeError as error:
            return await self._failed(error)
        self._failures = 0
        return NOTHING_NEW if waiting and not news else 0.0

    async def _receive_all(self, waiting: tuple[Summary, ...], held: dict[int, Held], drain: asyncio.Event) -> int:
        news, again = 0, []
        for summary in waiting:
            if drain.is_set():
                break
            standing = await self._store.run(self._store.inbox.standing, summary.number, summary.digest)
            before = held.get(summary.number)
            if standing == "known":
                again.append(summary.number)
            elif before is None or is_due(before.next_attempt_at, before.planned_at, self._clock()):
                if standing == "renumbered":
                    await self._tell_renumbered(summary)
                news += await self._receive(summary, before)
                if news and news % CONFIRM_AFTER == 0:
                    await self._confirm_all()
        if again:  # the hub lists what is here: a confirmation was lost, or the hub was set back
            await self._confirm(again)
        return news

    async def _tell_renumbered(self, summary: Summary) -> None:
        """A hub that was restored from a backup may use a number again; a number is not what makes two messages one."""
        _log.error("renumbered", hub_number=summary.number)
        await self._watchman.alarm(
            "hub-numbers",
            f"Trục dùng lại số {summary.number} cho một văn bản khác (có thể vừa khôi phục từ bản sao lưu)."
            " Văn bản mới vẫn được nhận.",
        )

    async def _receive(self, summary: Summary, before: Held | None) -> int:
        """1 when the message is in the inbox; 0 when it is held, or gone from the mailbox.

        Raises `ExchangeError` when no message can be received now.
        """
        try:
            receipt = await self._receiver.receive(summary)
        except ExchangeError as error:
            await self._failed_one(summary, error, before)
            return 0
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary, and never stop the others
            _log.exception("receive-failed", hub_number=summary.number)
            await self._failed_one(summary, ExchangeError(errors.INTERNAL, cause=type(error).__name__), before)
            return 0
        self._arrived()
        await self._watchman.reached("receive")
        await self._watchman.clear(f"held-{summary.number}")
        await self._watchman.clear("revocation")
        await self._watchman.see(receipt)
        return 1

    async def _failed_one(self, summary: Summary, error: ExchangeError, before: Held | None) -> None:
        """Raises `error` when it is about this agency or machine, `server.unreachable` when the hub is away."""
        if error.kind is errors.TRUST_STALE:
            await self._watchman.alarm("revocation", f"Chưa kiểm tra được dấu số của văn bản đến: {error.sentence}")
            raise error
        if error.kind in CALLER:
            raise error
        if error.kind is errors.DOCUMENT_NOT_FOUND:  # withdrawn by its sender between poll and fetch
            return
        await self._hold(summary, error, before)
        if error.kind in LINE | HUB:
            await self._link.checkpoint()  # the line, or this message: a question that costs nothing tells

    async def _hold(self, summary: Summary, error: ExchangeError, before: Held | None) -> None:
        attempts = 1 if before is None else before.attempts + 1
        now = self._clock()
        backoff = UNFETCHED if error.kind.temporary else HELD
        held = Held(
            hub_number=summary.number,
            kind=summary.kind,
            sender=summary.sender,
            error_code=error.kind.code,
            error_element=error.element,
            attempts=attempts,
            first_at=to_text(now),
            next_attempt_at=to_text(now + timedelta(seconds=backoff.delay(attempts, self._random))),
            planned_at=to_text(now),
        )
        await self._store.run(self._store.inbox.hold, held)
        _log.error("held", hub_number=summary.number, code=error.kind.code, element=error.element, attempts=attempts)
        await self._tell_held(held, error, before)

    async def _tell_held(self, held: Held, error: ExchangeError, before: Held | None) -> None:
        """An alarm: at once for a verdict, after some tries for what may pass by itself; the newest reason stands."""
        if before is not None and before.error_code != held.error_code:
            await self._watchman.clear(f"held-{held.hub_number}")
        if error.kind.temporary and held.attempts < PATIENCE:
            return
        tried = f"chưa lấy về được sau {held.attempts} lần thử" if error.kind.temporary else "không đạt kiểm tra"
        where = f"Văn bản số {held.hub_number} của {held.sender} trên trục"
        await self._watchman.alarm(f"held-{held.hub_number}", f"{where} {tried}: {error.sentence}")

    async def _confirm_left(self) -> None:
        """What an earlier round left to confirm. Raises `ExchangeError` as the hub does.

        A hub that was set back may have another message under such a number by now: it must not be told that this one
        is here, and it has nothing to confirm of the one that it forgot.
        """
        left = set(await self._store.run(self._store.inbox.unconfirmed, LEFT))
        if not left:
            return
        forgotten = [
            one.number
            for one in await self._link.pending(LEFT, 0)
            if one.number in left
            and await self._store.run(self._store.inbox.standing, one.number, one.digest) == "renumbered"
        ]
        if forgotten:
            await self._store.run(self._store.inbox.confirmed, forgotten, self._clock())
        await self._confirm_all()

    async def _confirm_all(self) -> None:
        """Tell the hub what is durable here, until nothing is left to tell."""
        while numbers := await self._store.run(self._store.inbox.unconfirmed, LEFT):
            await self._confirm(numbers)

    async def _confirm(self, numbers: list[int]) -> None:
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
        if error.kind in CALLER:
            await self._watchman.alarm("agency", error.sentence)
        await self._watchman.missed(error)
        delay = self._backoff.delay(self._failures, self._random)
        _log.info("poll-failed", code=error.kind.code, wait=delay)
        return delay
