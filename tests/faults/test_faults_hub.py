"""AC-8.2c-1, AC-8.2c-6: the hub may die, fail or lose power at any point; what it acknowledged is delivered once.

A sample of the points; `make faults` strikes thousands. And each precaution that is taken out is missed.
"""

import pytest

from tests.faults import agency
from tests.faults.hub_scenario import HubScenario
from tests.faults.mutations import HUB
from tests.faults.sweep import explain, run_sweep

SEED = 20261123
RUNS = 120
RUNS_PER_MUTATION = 80


async def test_ac_8_2c_1_the_hub_survives_kills_failures_and_power_cuts() -> None:
    tally = await run_sweep(HubScenario(), runs=RUNS, seed=SEED)
    print(tally.table("hub"))
    assert not tally.violations, "\n".join(explain(HubScenario(), outcome) for _, outcome in tally.distinct())
    assert tally.runs == RUNS
    assert tally.killed.total() + tally.failed.total() > RUNS * 0.9


@pytest.mark.parametrize("name", HUB)
async def test_a_precaution_that_is_taken_out_of_the_hub_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agency, "PATIENCE", 3.0)
    tally = await run_sweep(HubScenario(), runs=RUNS_PER_MUTATION, seed=SEED, mutation=f"hub/{name}", stop=True)
    assert tally.violations, HUB[name].meaning
