"""A day without the hub: it is told, nothing is given up, and then the urgent goes first. The clock is the test's."""

from __future__ import annotations

from datetime import datetime, timedelta

from edge_stage import PDF, A, B, Edge, Province, eventually, now, province

from edge_agent import configuration

PRIORITIES = {str(number): 3 if number % 5 == 0 else number % 3 for number in range(10, 34)}
"""Number of a document → its Priority, mixed."""


class Clock:
    """The agency's, `behind` the hub's; when that shrinks at once, so much time has passed here."""

    def __init__(self, behind: timedelta) -> None:
        self.behind = behind

    def __call__(self) -> datetime:
        return now() - self.behind


def one_at_a_time(gialai: Province) -> configuration.Hub:
    return configuration.Hub(url=gialai.url, retry_first=0.05, retry_longest=0.3, poll_wait=2.0, sending=1, batch=5)


def kinds(edge: Edge) -> set[str]:
    return {alarm.kind for alarm in edge.agent.store.watch.alarms()}


async def test_a_long_outage_is_an_alarm_until_the_hub_answers():
    async with province() as gialai:
        a = await gialai.join(A)
        clock = Clock(timedelta(minutes=4))  # more than five are refused
        await a.start(clock=clock)
        await eventually(lambda: [one for one in a.agent.store.watch.contacts() if one.name == "poll"], "contact")
        await gialai.stop_hub()
        await eventually(lambda: a.agent.poller._failures > 1, "the outage is noticed")
        assert "hub" not in kinds(a)
        clock.behind = -timedelta(minutes=2)
        await eventually(lambda: "hub" in kinds(a), "the alarm")
        await gialai.start_hub()
        await eventually(lambda: not a.agent.store.watch.alarms(), "the alarm is over")


async def test_after_a_day_without_the_hub_everything_goes_out_the_urgent_first():
    async with province() as gialai:
        b = await gialai.edge(B)
        a = await gialai.join(A, hub=one_at_a_time(gialai))
        clock = Clock(timedelta(days=1))
        await a.start(clock=clock)
        await gialai.stop_hub()
        for number, priority in PRIORITIES.items():
            a.drop(f"{number}.pdf", PDF, CodeNumber=number, Priority=priority)
        await eventually(lambda: len(a.agent.store.outbox.latest(99)) == len(PRIORITIES), "all in the outbox")
        await eventually(lambda: any(row.attempts for row in a.agent.store.outbox.latest(99)), "some were tried")
        clock.behind = timedelta()
        await gialai.start_hub()
        await eventually(lambda: len(b.incoming()) == len(PRIORITIES), "all arrive")
        rows = sorted(a.agent.store.outbox.latest(99), key=lambda row: row.hub_number or 0)
        assert [row.priority for row in rows] == sorted(PRIORITIES.values(), reverse=True)
        assert len({row.document_id for row in rows}) == len(PRIORITIES)


async def test_after_a_day_away_an_agency_receives_the_urgent_first():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.join(B, hub=one_at_a_time(gialai))
        for number, priority in PRIORITIES.items():
            a.drop(f"{number}.pdf", PDF, CodeNumber=number, Priority=priority)
        for number in PRIORITIES:
            await eventually((a.places.done / f"{number}.pdf").exists, "all at the hub")
        await b.start()
        await eventually(lambda: len(b.incoming()) == len(PRIORITIES), "all arrive")
        arrived = list(reversed(b.agent.store.inbox.latest(99)))
        assert [row.priority for row in arrived] == sorted(PRIORITIES.values(), reverse=True)
