"""The harness proved on a toy: a careful program survives every fault, and each removed precaution is missed."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.plan import sweep
from tests.faults.runs import Theatre
from tests.faults.toy_scenario import ToyScenario

SEED = 20261123
MUTATIONS = ("no_file_fsync", "no_folder_fsync", "no_commit_fsync", "no_duplicate_check", "acknowledge_first")


@pytest.fixture
async def theatre(request: pytest.FixtureRequest) -> AsyncIterator[Theatre]:
    mutation = getattr(request, "param", "")
    stage = await Theatre.open(ToyScenario(), [f"tests.faults.toy:mutate_{mutation}"] if mutation else [])
    yield stage
    stage.close()


async def test_a_careful_program_survives_every_point(theatre: Theatre):
    counted = await theatre.run()
    assert counted.violation == ""
    assert counted.points > 25
    for fault in sweep(counted.points, runs=2 * counted.points, seed=SEED):
        outcome = await theatre.run(fault)
        assert outcome.violation == "", (fault, outcome)


async def test_a_restart_may_be_struck_too(theatre: Theatre):
    counted = await theatre.run()
    for first, second in zip(sweep(counted.points, runs=25, seed=1), sweep(8, runs=25, seed=2), strict=True):
        outcome = await theatre.run(first, second)
        assert outcome.violation == "", (first, second, outcome)


@pytest.mark.parametrize("theatre", MUTATIONS, indirect=True)
async def test_a_precaution_that_is_removed_is_missed(theatre: Theatre):
    counted = await theatre.run()
    assert await first_violation(theatre, counted.points)


async def first_violation(theatre: Theatre, points: int) -> str:
    for fault in sweep(points, runs=60, seed=SEED):
        if violation := (await theatre.run(fault)).violation:
            return violation
    return ""
