"""AC-8.2c-1, AC-8.2c-6 for the edge agent: what it took arrives once, and so does what is sent to its agency.

A sample of the points; `make faults` strikes thousands. And each precaution that is taken out is missed.
"""

import pytest

from tests.faults import agency
from tests.faults.edge_scenario import EdgeScenario
from tests.faults.mutations import EDGE
from tests.faults.sweep import explain, run_sweep

SEED = 20261123
RUNS = 80
RUNS_PER_MUTATION = 80


async def test_ac_8_2c_1_the_edge_survives_kills_failures_and_power_cuts() -> None:
    tally = await run_sweep(EdgeScenario(), runs=RUNS, seed=SEED)
    print(tally.table("edge"))
    assert not tally.violations, "\n".join(explain(EdgeScenario(), outcome) for _, outcome in tally.distinct())
    assert tally.runs == RUNS
    assert tally.killed.total() + tally.failed.total() > RUNS * 0.9


@pytest.mark.parametrize("name", EDGE)
async def test_a_precaution_that_is_taken_out_of_the_edge_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agency, "PATIENCE", 3.0)
    tally = await run_sweep(EdgeScenario(), runs=RUNS_PER_MUTATION, seed=SEED, mutation=f"edge/{name}", stop=True)
    assert tally.violations, EDGE[name].meaning
