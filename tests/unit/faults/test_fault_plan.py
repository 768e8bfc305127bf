"""The choice of faults: every fault has a text form that runs it again, and a sweep covers its points evenly."""

import pytest

from tests.faults.plan import Fault, sweep
from tests.faults.power_cut import Surviving
from tests.faults.shim import Action, Kind


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Action.KILL_BEFORE, 12),
        Fault(Action.FAIL, 3, Surviving.TORN, 99, 28, (Kind.FSYNC, Kind.RENAME), 5, 17),
    ],
)
def test_a_fault_survives_its_text_form(fault: Fault):
    assert Fault.parse(str(fault)) == fault


def test_a_sweep_reaches_every_stretch_of_the_program():
    points = [fault.point for fault in sweep(1000, runs=100, seed=3)]
    assert all(any(start < point <= start + 10 for point in points) for start in range(0, 1000, 10))


def test_a_sweep_with_more_runs_than_points_reaches_every_point():
    assert {fault.point for fault in sweep(40, runs=120, seed=3)} == set(range(1, 41))


def test_a_sweep_kills_and_fails_and_is_the_same_for_the_same_seed():
    faults = list(sweep(500, runs=200, seed=5))
    assert {fault.action for fault in faults} == set(Action) - {Action.COUNT}
    assert {fault.surviving for fault in faults} == set(Surviving)
    assert faults == list(sweep(500, runs=200, seed=5))
