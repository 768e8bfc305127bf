"""The clock that dates the evidence: behind the log, moved ahead while we run, set right again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from hub.ledger.clock import TOLERANCE, JudgedClock, steady_milliseconds
from hub.ledger.ledger import Ledger
from hub.works import AgencyChange, ChangeAgency
from protocol import errors
from protocol.errors import ExchangeError
from tests.unit.hub.test_ledger import KEY, NOW, Clock, accept

DAY = int(timedelta(days=1).total_seconds() * 1000)


class Machine:
    """A wall clock that can be set, and a count of time that cannot."""

    def __init__(self) -> None:
        self.wall = NOW
        self.count = 5_000

    def passes(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.count += milliseconds

    def clock(self) -> JudgedClock:
        return JudgedClock(lambda: self.wall, lambda: self.count)


def test_a_clock_that_goes_with_the_machine_is_right_however_long_it_goes():
    machine = Machine()
    clock = machine.clock()
    for _ in range(3):
        machine.passes(30 * DAY)
        assert (clock.judge(NOW).at, clock.judge(NOW).wrong) == (machine.wall, False)


def test_a_clock_that_is_corrected_a_little_at_a_time_is_right():
    machine = Machine()
    clock = machine.clock()
    for _ in range(10):
        machine.wall += TOLERANCE
        assert not clock.judge(NOW).wrong


def test_a_clock_that_was_moved_ahead_is_wrong_until_it_is_set_right():
    machine = Machine()
    clock = machine.clock()
    machine.passes(1_000)
    machine.wall += DAY
    assert (clock.judge(NOW).at, clock.judge(NOW).wrong) == (NOW + 1_000, True)
    machine.passes(1_000)
    assert clock.judge(NOW).at == NOW + 2_000
    machine.wall -= DAY
    assert (clock.judge(NOW).at, clock.judge(NOW).wrong) == (NOW + 2_000, False)


def test_a_start_believes_the_clock_unless_the_log_contradicts_it():
    machine = Machine()
    assert not machine.clock().judge(NOW - 400 * DAY).wrong
    judged = machine.clock().judge(NOW + DAY)
    assert (judged.at, judged.wrong) == (NOW + DAY, True)


def test_the_steady_clock_is_a_clock():
    first = steady_milliseconds()
    assert 0 < first <= steady_milliseconds()


@pytest.mark.parametrize("by", [-DAY, DAY], ids=["behind", "ahead"])
async def test_agencies_are_kept_out_and_the_registry_goes_on_while_the_clock_is_wrong(tmp_path: Path, by: int) -> None:
    wall, count = Clock(), Clock()
    ledger = Ledger(tmp_path, KEY, wall, count)
    for code in ("H21.16", "H21.23"):
        await ledger.do(ChangeAgency(code=code, change=AgencyChange(name=code), what="added", creates=True))
    wall.now += by
    suspended = ChangeAgency(code="H21.23", change=AgencyChange(state="suspended"), what="suspended")
    answers = await asyncio.gather(
        ledger.do(accept(1)), ledger.do(suspended), ledger.do(accept(2)), return_exceptions=True
    )
    assert [one.kind if isinstance(one, ExchangeError) else one.state for one in answers] == [
        errors.CLOCK,
        "suspended",
        errors.CLOCK,
    ]
    assert ledger.log.last_event_at == NOW
    wall.now -= by
    assert (await ledger.do(accept(1))).number == 1
    await ledger.close()
