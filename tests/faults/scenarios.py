"""The scenarios by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.faults.edge_scenario import EdgeScenario
from tests.faults.hub_scenario import HubScenario
from tests.faults.runs import Scenario
from tests.faults.toy_scenario import ToyScenario

SCENARIOS: Final[dict[str, Callable[[], Scenario]]] = {"hub": HubScenario, "edge": EdgeScenario, "toy": ToyScenario}
