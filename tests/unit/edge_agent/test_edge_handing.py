"""The worker of a route: a failure waits its turn, whatever it is, and a person hears of what goes on failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_edge_store import arrived

from edge_agent.backoff import Backoff
from edge_agent.handing import PATIENCE, Handing
from edge_agent.records import Handover
from edge_agent.store import Store
from protocol import errors
from protocol.errors import ExchangeError

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FOUR_HOURS = 14_400.0


class Watchman:
    """Keeps alarms as the database does, and nothing else."""

    def __init__(self) -> None:
        self.alarms: dict[str, str] = {}

    async def alarm(self, kind: str, text: str) -> None:
        self.alarms.setdefault(kind, text)

    async def clear(self, kind: str) -> bool:
        return self.alarms.pop(kind, None) is not None


class Route:
    """One route on a real database, with a clock that the test moves."""

    def __init__(self, store: Store, hand_over: Callable[[Handover], Awaitable[None]], backoff: Backoff) -> None:
        self.store = store
        self.now = START
        self.drain = asyncio.Event()
        self.watchman = Watchman()
        self.tries: list[int] = []
        self._given = hand_over
        self._handing = Handing(
            "folder", self._hand_over, store=store, watchman=self.watchman,  # type: ignore[arg-type] # what it is asked
            backoff=backoff, clock=lambda: self.now, random=lambda: 1.0,
        )  # fmt: skip

    async def _hand_over(self, handover: Handover) -> None:
        self.tries.append(handover.inbox)
        await self._given(handover)
        await self.store.run(self.store.handovers.done, handover.inbox, "folder", self.now)

    async def every_due(self) -> list[int]:
        """What is tried until nothing is due: a message that is due at once again would never let this end."""
        self.tries.clear()
        while due := self.store.handovers.due("folder", self.now, 20):
            for handover in due:
                await self._handing._one(handover)
            assert len(self.tries) < 50, "a busy loop"
        return list(self.tries)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "edge.db")
    yield opened
    opened.close()


async def _broken(_handover: Handover) -> None:
    raise ValueError("There is no default service defined.")


async def test_a_rename_that_fails_waits_like_everything_else(store: Store):
    async def staged_and_stuck(handover: Handover) -> None:
        store.handovers.staged(handover.inbox, "folder", START)
        raise ExchangeError(errors.DISK_FULL)

    number = store.inbox.receive(arrived(), ("folder",), START)
    route = Route(store, staged_and_stuck, Backoff(first=1.0, longest=60.0))
    for _ in range(3):
        assert await route.every_due() == [number]
        route.now += timedelta(minutes=2)
    assert store.handovers.one(number, "folder").state == "SAN_SANG"


async def test_a_refusal_of_what_is_staged_waits_and_makes_no_busy_loop(store: Store):
    async def staged_and_refused(handover: Handover) -> None:
        store.handovers.staged(handover.inbox, "folder", START)
        raise ExchangeError(errors.ATTACHMENT_MISSING)

    number = store.inbox.receive(arrived(), ("folder",), START)
    route = Route(store, staged_and_refused, Backoff(first=1.0, longest=60.0))
    assert await route.every_due() == [number]


async def test_an_error_outside_the_vocabulary_stops_one_message_and_not_the_route(store: Store):
    first = store.inbox.receive(arrived(1), ("folder",), START)
    second = store.inbox.receive(arrived(2), ("folder",), START)

    async def one_is_broken(handover: Handover) -> None:
        if handover.inbox == first:
            await _broken(handover)

    route = Route(store, one_is_broken, Backoff(first=1.0, longest=60.0))
    assert await route.every_due() == [first, second]
    assert store.handovers.one(second, "folder").state == "XONG"
    waiting = store.handovers.one(first, "folder")
    assert (waiting.state, waiting.error_code) == ("CHO", "server.internal")


async def test_what_goes_on_failing_is_an_alarm_of_its_route_until_it_gets_through(store: Store):
    first = store.inbox.receive(arrived(1), ("folder",), START)
    works: list[bool] = []

    async def at_last(handover: Handover) -> None:
        if not works and handover.inbox == first:
            await _broken(handover)

    route = Route(store, at_last, Backoff(first=1.0, longest=60.0))
    for _ in range(PATIENCE):
        assert route.watchman.alarms == {}
        assert await route.every_due() == [first]
        route.now += timedelta(minutes=2)
    assert list(route.watchman.alarms) == ["handover-folder"]
    store.inbox.receive(arrived(2), ("folder",), route.now)
    await route.every_due()
    assert route.watchman.alarms, "another message got through, the first still waits"
    works.append(True)
    route.now += timedelta(minutes=2)
    assert await route.every_due() == [first]
    assert route.watchman.alarms == {}


async def test_a_longest_wait_of_hours_makes_no_busy_loop(store: Store):
    number = store.inbox.receive(arrived(), ("folder",), START)
    route = Route(store, _broken, Backoff(first=FOUR_HOURS, longest=FOUR_HOURS))
    assert await route.every_due() == [number]
    route.now += timedelta(hours=3)
    assert await route.every_due() == []
    route.now += timedelta(hours=1)
    assert await route.every_due() == [number]
