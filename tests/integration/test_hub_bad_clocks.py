"""Clocks that are wrong by a day: the agency's, the hub's, and the hub's against its own evidence log (AC-8.3c-3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from protocol import errors, native
from protocol.errors import ErrorKind
from tests.support.moving_clock import MovingClock
from tests.support.refusals import Stage, stage

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
async def at(tmp_path: Path, clock: MovingClock) -> AsyncIterator[Stage]:
    async with stage(tmp_path / "hub", now=clock) as ready:
        yield ready


async def refused_for_now(at: Stage, clock: MovingClock, by: timedelta, kind: ErrorKind) -> None:
    """With the hub's clock moved nothing is accepted; moved back, the same document is."""
    envelope = at.sealed(at.unsealed())
    home = clock.by
    leaves = at.hub.hub.ledger.log.size
    at.lines.clear()
    clock.by = home + by
    with pytest.raises(errors.ExchangeError) as caught:
        await at.sender.send(envelope)
    clock.by = home
    assert caught.value.kind is kind
    (line,) = [line for line in at.lines if line["event"] == "refused"]
    assert line["code"] == kind.code
    at.named(line, proved=kind is errors.CLOCK)
    assert at.hub.hub.ledger.log.size == leaves
    assert not (await at.sender.send(envelope)).repeated


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["ahead", "behind"])
async def test_agency_whose_clock_is_wrong_by_a_day(at: Stage, by: timedelta):
    """Its dates would be wrong for ever: refused before anything is taken, with a word that says what to do."""
    stated = format(datetime.now(UTC) + by, "%a, %d %b %Y %H:%M:%S GMT")
    body = native.write_send(at.sealed(at.unsealed()))
    error = await at.refused(at.sender.call(body, Date=stated), errors.CLOCK)
    assert error.kind.temporary
    await at.refused(at.sender.call(native.write_get_pending(1), Date=stated), errors.CLOCK)
    good = format(datetime.now(UTC) + timedelta(minutes=5), "%a, %d %b %Y %H:%M:%S GMT")
    await at.sender.call(body, Date=good)


@pytest.mark.parametrize("stated", ["yesterday", "", "Mon, 31 Feb 2026 00:00:00 GMT"])
async def test_date_that_is_none_is_not_judged(at: Stage, stated: str):
    await at.sender.call(native.write_get_pending(1), Date=stated)


async def test_hub_a_day_behind_its_own_evidence_log_takes_nothing(at: Stage, clock: MovingClock):
    """The times of the log would run backwards. The certificate is good on both days: the log is what objects."""
    clock.by = 3 * DAY
    await at.sender.send(at.sealed(at.unsealed()))
    await refused_for_now(at, clock, -DAY, errors.CLOCK)
    clock.by -= DAY
    ready = f"http://127.0.0.1:{at.hub.hub.operator_port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(ready) as response:
        assert response.status == 503
        assert "đồng hồ" in str(await response.json())


async def test_hub_a_few_minutes_behind_goes_on_and_time_never_runs_backwards(at: Stage, clock: MovingClock):
    clock.by = timedelta(minutes=5)
    await at.sender.send(at.sealed(at.unsealed()))
    clock.by = timedelta()
    await at.sender.send(at.sealed(at.unsealed()))
    times = [row[0] for row in at.hub.hub.ledger._reading.execute("SELECT at FROM events ORDER BY leaf")]
    assert times == sorted(times)


async def test_hub_a_day_behind_believes_no_certificate_of_today(at: Stage, clock: MovingClock):
    await refused_for_now(at, clock, -DAY, errors.CERTIFICATE_EXPIRED)


async def test_hub_three_years_ahead_sees_certificates_as_expired(at: Stage, clock: MovingClock):
    await refused_for_now(at, clock, 1100 * DAY, errors.CERTIFICATE_EXPIRED)


async def test_hub_with_an_old_revocation_list_believes_nobody_for_now(at: Stage, clock: MovingClock):
    """A month without a fresh list: temporary, because nothing is wrong with the sender."""
    await refused_for_now(at, clock, 60 * DAY, errors.TRUST_STALE)
    assert errors.TRUST_STALE.temporary
