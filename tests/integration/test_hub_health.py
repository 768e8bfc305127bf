"""/readyz says why documents would be refused, before an agency says so; /metrics counts what it says it counts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from protocol import errors
from protocol.errors import ExchangeError
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


async def problems(at: Stage) -> list[str]:
    """What /readyz says; its status agrees."""
    url = f"http://127.0.0.1:{at.hub.hub.operator_port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        answer = await response.json()
    assert response.status == (200 if answer["ready"] else 503)
    assert answer["ready"] is not bool(answer["problems"])
    return [one for one in answer["problems"] if "dung lượng" not in one]  # the test's machine may have little


async def metric(at: Stage, name: str) -> float:
    url = f"http://127.0.0.1:{at.hub.hub.operator_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", await response.text(), re.MULTILINE)
    return float(value)


async def test_a_hub_in_order_is_ready(at: Stage):
    assert await problems(at) == []


async def test_an_old_revocation_list_is_said_before_everybody_is_refused(at: Stage, clock: MovingClock):
    clock.by = 60 * DAY
    assert await problems(at) == ["danh sách thu hồi đã quá hạn, mọi cơ quan đang bị từ chối"]
    at.hub.hub.authority.renew_crl(at=clock())
    assert await problems(at) == []


@pytest.mark.parametrize(("by", "said"), [(1100 * DAY, "đã hết hạn"), (-2 * DAY, "chưa có hiệu lực")])
async def test_a_certificate_of_the_hub_that_no_agency_believes_is_said(
    at: Stage, clock: MovingClock, by: timedelta, said: str
):
    clock.by = by
    assert [one for one in await problems(at) if "chứng thư của trục" in one and said in one]


async def test_a_ledger_that_cannot_commit_is_said_until_it_can(at: Stage, monkeypatch: pytest.MonkeyPatch):
    segments = at.hub.hub.ledger.payloads.segments

    def fail(_appendix: object) -> None:
        raise OSError(5, "disk")

    with monkeypatch.context() as broken:
        broken.setattr(segments, "write", fail)
        with pytest.raises(ExchangeError) as caught:
            await at.sender.send(at.sealed(at.unsealed()))
        assert caught.value.kind is errors.INTERNAL
    assert await problems(at) == ["lần ghi sổ cái gần nhất không thành công (server.internal)"]
    with pytest.raises(ExchangeError):
        await at.sender.send(at.sealed(at.unsealed(to=("H21.77",))))  # a refusal is written down like everything else
    assert await problems(at) == []


async def test_a_long_poll_is_counted_and_its_waiting_is_no_slowness(at: Stage):
    counted = 'lienthong_requests_total{outcome="ok",package="native"}'
    timed = 'lienthong_request_seconds_count{package="native"}'
    before = await metric(at, counted), await metric(at, timed)
    await at.recipient.pending(wait=0.05)
    assert (await metric(at, counted), await metric(at, timed)) == (before[0] + 1, before[1])
    await at.recipient.pending()
    assert (await metric(at, counted), await metric(at, timed)) == (before[0] + 2, before[1] + 1)
