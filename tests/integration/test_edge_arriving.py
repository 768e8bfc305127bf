"""One message that cannot be had stops nobody; a hub that was set back loses nothing and doubles nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from edge_stage import PDF, A, B, C, Edge, Province, eventually, province

from edge_agent import polling
from edge_agent.backoff import Backoff
from edge_agent.uplink import Fetched, HubLink
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller, Summary

CALLER_B = Caller(agency=B, proof="mutual-tls")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "UNFETCHED", Backoff(first=0.05, longest=0.2))
    monkeypatch.setattr(polling, "NOTHING_NEW", 0.05)


def break_fetch(edge: Edge, failure: Callable[[], Exception], only: Callable[[int], bool]) -> list[int]:
    """From now on these messages cannot be fetched; the numbers asked for are kept."""
    fetch, asked = edge.agent.link.fetch, []

    @asynccontextmanager
    async def broken(number: int) -> AsyncIterator[Fetched]:
        asked.append(number)
        async with fetch(number) as fetched:
            if only(number):
                raise failure()
            yield fetched

    edge.agent.link.fetch = broken  # type: ignore[method-assign]
    return asked


def arrived(edge: Edge) -> list[str]:
    """Numbers and notations of the documents in the inbox, in the order of arrival."""
    rows = reversed(edge.agent.store.inbox.latest(99))
    return [row.document_id.split(",")[2].split("/")[0] for row in rows if row.kind == "document"]


async def sent(edge: Edge, *numbers: str, **fields: object) -> None:
    for number in numbers:
        edge.drop(f"{number}.pdf", PDF, CodeNumber=number, **fields)
        await eventually((edge.places.done / f"{number}.pdf").exists, f"{number} is at the hub")


FAILURES: dict[str, Callable[[], Exception]] = {
    "server.unreachable": lambda: ExchangeError(errors.UNREACHABLE),
    "server.bad-answer": lambda: ExchangeError(errors.BAD_ANSWER),
    "server.disk-full": lambda: ExchangeError(errors.DISK_FULL),
    "server.internal": lambda: ValueError("what nobody foresaw"),
}


@pytest.mark.parametrize("code", FAILURES)
@pytest.mark.usefixtures("_impatient")
async def test_a_message_that_cannot_be_fetched_stops_nobody_and_is_told(code: str):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        failing = [True]
        break_fetch(b, FAILURES[code], lambda number: number == 1 and bool(failing))
        await sent(a, "1", Priority=3)
        await sent(a, "2", "3")
        await eventually(lambda: len(arrived(b)) == 2, "those behind it arrive")
        assert arrived(b) == ["2", "3"]
        (alarm,) = await eventually(b.agent.store.watch.alarms, "the alarm")
        assert alarm.kind == "held-1"
        (held,) = b.agent.store.inbox.held()
        assert (held.hub_number, held.error_code) == (1, code)
        assert held.attempts >= polling.PATIENCE
        failing.clear()
        await eventually(lambda: arrived(b) == ["2", "3", "1"], "it arrives when it can be had")
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")
        assert b.agent.store.inbox.held() == []


@pytest.mark.usefixtures("_impatient")
async def test_a_line_that_is_gone_ends_the_round_at_its_first_message():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        gone, rounds = [True], []
        asked = break_fetch(b, lambda: ExchangeError(errors.UNREACHABLE), lambda _number: bool(gone))
        pending, checkpoint = b.agent.link.pending, b.agent.link.checkpoint

        async def counted(limit: int, wait_seconds: float) -> tuple[Summary, ...]:
            rounds.append(limit)
            return await pending(limit, wait_seconds)

        async def unless_gone() -> str:
            if gone:
                raise ExchangeError(errors.UNREACHABLE)
            return await checkpoint()

        b.agent.link.pending, b.agent.link.checkpoint = counted, unless_gone  # type: ignore[method-assign]
        await sent(a, "1", "2", "3")
        await eventually(lambda: len(asked) >= 4, "some rounds")
        assert len(asked) <= len(rounds) + 1  # the first round may have begun before it was counted
        gone.clear()
        await eventually(lambda: sorted(arrived(b)) == ["1", "2", "3"], "all arrive when the line is back")


async def set_back(gialai: Province, name: str) -> None:
    """The hub dies and comes back from the backup `name`."""
    await gialai.stop_hub()
    shutil.rmtree(gialai.root / "hub")
    shutil.copytree(gialai.root / name, gialai.root / "hub")
    await gialai.start_hub()


async def backed_up(gialai: Province, name: str) -> None:
    await gialai.stop_hub()
    shutil.copytree(gialai.root / "hub", gialai.root / name)
    await gialai.start_hub()


async def test_a_hub_from_a_backup_that_uses_a_number_again_loses_no_new_mail():
    async with province() as gialai:
        a, b, c = await gialai.edge(A), await gialai.edge(B), await gialai.join(C)
        await backed_up(gialai, "backup")
        await sent(a, "1")
        await eventually(lambda: arrived(b) == ["1"], "the first document under number 1")
        await eventually(lambda: b.agent.store.inbox.one(1).confirmed_at, "confirmed")
        await a.stop()
        await set_back(gialai, "backup")
        await c.start()
        await sent(c, "2")
        await eventually(lambda: arrived(b) == ["1", "2"], "the second document under number 1")
        assert {row.hub_number for row in b.agent.store.inbox.latest(9) if row.kind == "document"} == {1}
        assert "hub-numbers" in {alarm.kind for alarm in b.agent.store.watch.alarms()}
        await eventually(lambda: len(b.arrived("van-ban.edxml")) == 2, "both are handed over")


@pytest.mark.usefixtures("_impatient")
async def test_a_confirmation_that_was_due_to_a_lost_hub_is_not_given_for_another_message(
    monkeypatch: pytest.MonkeyPatch,
):
    async with province() as gialai:
        a, b, c = await gialai.edge(A), await gialai.edge(B), await gialai.join(C)
        await backed_up(gialai, "backup")

        async def lost(_numbers: list[int]) -> None:
            raise ExchangeError(errors.UNREACHABLE)

        b.agent.link.confirm = lost  # type: ignore[method-assign,assignment]
        await sent(a, "1")
        await eventually(lambda: arrived(b) == ["1"], "the first document under number 1")
        await b.stop()
        await a.stop()
        await set_back(gialai, "backup")
        await c.start()
        await sent(c, "2")
        fetch, failures = HubLink.fetch, [1, 2]

        @asynccontextmanager
        async def broken_at_first(link: HubLink, number: int) -> AsyncIterator[Fetched]:
            async with fetch(link, number) as fetched:
                if failures:
                    raise ExchangeError(errors.BAD_ANSWER, tries=failures.pop())
                yield fetched

        monkeypatch.setattr(HubLink, "fetch", broken_at_first)
        await b.start()
        await eventually(lambda: arrived(b) == ["1", "2"], "the second document under number 1")
        assert failures == []
        await eventually(lambda: b.agent.store.inbox.unconfirmed(9) == [], "confirmed")
        assert await gialai.hub.exchange.pending(CALLER_B, limit=9) == []


async def test_a_hub_that_forgot_a_confirmation_hears_it_again():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.join(B)
        await sent(a, "1")
        await backed_up(gialai, "backup")
        await b.start()
        await eventually(lambda: b.agent.store.inbox.count("document") and b.agent.store.inbox.one(1).confirmed_at)
        await set_back(gialai, "backup")
        for _ in range(1000):
            if not await gialai.hub.exchange.pending(CALLER_B, limit=9):
                break
            await b.agent.poller._round(b._drain)
        assert await gialai.hub.exchange.pending(CALLER_B, limit=9) == []
        assert len(b.arrived("van-ban.edxml")) == 1
