"""`make faults`: thousands of faults against hub and edge agent, and a table of what they hit and what they broke.

    python -m tests.faults.sweep                          all scenarios, --runs faults each
    python -m tests.faults.sweep hub --runs 5000 --seed 7
    python -m tests.faults.sweep hub --fault kill_after:212:any:lost:4711:5:1:0    one run again, with its trace

The interleaving of a program's threads is its own, so the n-th point of two runs need not be the same operation: a
re-run strikes the same place, and `--again` repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults.mutations import MUTATIONS
from tests.faults.plan import FAILURES, Fault, sweep
from tests.faults.runs import Outcome, Scenario, Theatre, together
from tests.faults.scenarios import SCENARIOS
from tests.faults.shim import Kind

SHOWN_VIOLATIONS = 12
SECOND_LIFE = 60
"""Points of a second life that may be struck: recovery, and the first work after it."""
PARALLEL = 2
"""Runs at a time: a run waits more than it computes."""


class FoundError(Exception):
    """One violation is enough: the other runs are broken off."""


@dataclass
class Tally:
    """What a sweep hit."""

    points: Counter[Kind] = field(default_factory=Counter)
    killed: Counter[Kind] = field(default_factory=Counter)
    failed: Counter[Kind] = field(default_factory=Counter)
    violations: list[Outcome] = field(default_factory=list)
    runs: int = 0
    missed: int = 0

    def add(self, outcome: Outcome) -> None:
        """Counts one run; a fault whose point was never reached is `missed`."""
        self.runs += 1
        if outcome.fired is None:
            self.missed += 1
        else:
            (self.failed if outcome.fired.fired in FAILURES else self.killed)[outcome.fired.kind] += 1
        if outcome.violation:
            self.violations.append(outcome)

    def distinct(self) -> list[tuple[int, Outcome]]:
        """One violation of each sort, and how many of it there are; sorts differ in more than numbers and digests."""
        sorts: dict[str, list[Outcome]] = {}
        for outcome in self.violations:
            sorts.setdefault(re.sub(r"[0-9a-f]{16,}|[0-9]+", "#", outcome.violation), []).append(outcome)
        return sorted(((len(one), one[0]) for one in sorts.values()), key=lambda pair: -pair[0])

    def table(self, name: str) -> str:
        """Points by kind in the counting run, kills and failures by kind, violations."""
        broken = Counter(outcome.fired.kind for outcome in self.violations if outcome.fired)
        lines = [f"{name:<12} {'points':>8} {'killed':>8} {'failed':>8} {'violations':>11}"]
        for kind in Kind:
            row = (self.points[kind], self.killed[kind], self.failed[kind], broken[kind])
            if any(row):
                lines.append(f"  {kind.name.lower():<10} {row[0]:>8} {row[1]:>8} {row[2]:>8} {row[3]:>11}")
        total = (self.points.total(), self.killed.total(), self.failed.total(), len(self.violations))
        lines.append(f"  {'all':<10} {total[0]:>8} {total[1]:>8} {total[2]:>8} {total[3]:>11}")
        return "\n".join([*lines, f"  {self.runs} runs, {self.missed} ended before their point was reached"])


def chains(points: int, *, runs: int, seed: int, kinds: tuple[Kind, ...] = ()) -> Iterator[tuple[Fault, ...]]:
    """Faults for `runs` runs in any order: one in five strikes the restarted program once more, early in its life."""
    chance = random.Random(seed)
    first, second = (
        list(sweep(points, runs=runs, seed=seed, kinds=kinds)),
        list(sweep(SECOND_LIFE, runs=runs, seed=seed + 1)),
    )
    chance.shuffle(first)
    chance.shuffle(second)
    for one, again in zip(first, second, strict=True):
        yield (one, again) if chance.random() < 0.2 else (one,)


async def count(theatre: Theatre) -> tuple[Counter[Kind], Outcome]:
    """The run without faults: its points by kind; its outcome is a violation when the workload itself does not pass."""
    outcome = await theatre.run()
    return Counter(outcome.kinds), outcome


async def run_sweep(
    scenario: Scenario, *, runs: int, seed: int, mutation: str = "", stop: bool = False, parallel: int = PARALLEL
) -> Tally:
    """A counting run, then `runs` faults, a few at a time; `stop` at the first violation."""
    theatre = await Theatre.open(scenario, [f"tests.faults.mutations:apply={mutation}"] if mutation else [])
    tally = Tally()
    try:
        tally.points, counted = await count(theatre)
        if counted.violation:
            tally.violations.append(counted)
            return tally
        kinds = MUTATIONS[mutation].kinds if mutation else ()
        points = sum(number for kind, number in tally.points.items() if not kinds or kind in kinds)
        waiting = chains(points, runs=runs, seed=seed, kinds=kinds)

        async def work() -> None:
            while faults := next(waiting, None):
                tally.add(await theatre.run(*faults))
                if stop and tally.violations:
                    raise FoundError

        with contextlib.suppress(FoundError):
            await together(work() for _ in range(parallel))
    finally:
        theatre.close()
    return tally


def explain(scenario: Scenario, outcome: Outcome) -> str:
    """A violation for a person: what broke, where, and the command that runs it again."""
    command = " ".join(
        ["python -m tests.faults.sweep", scenario.name, *(f"--fault {fault}" for fault in outcome.faults)]
    )
    struck = outcome.fired.describe() if outcome.fired else "no fault fired"
    parts = [outcome.violation, f"  struck: {struck}", f"  again:  {command}", *(f"  {line}" for line in outcome.trace)]
    return "\n".join([*parts, outcome.log[-4000:]])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="default: all of the product")
    parser.add_argument("--runs", type=int, default=2000, help="faults per scenario")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--mutation", default="", choices=["", *MUTATIONS], help="a precaution to take out")
    parser.add_argument("--fault", action="append", default=[], help="one fault, in its text form; twice for two lives")
    parser.add_argument("--again", type=int, default=1, help="how often to repeat --fault")
    return parser.parse_args()


async def _repeat(scenario: Scenario, faults: Sequence[Fault], again: int) -> int:
    theatre = await Theatre.open(scenario)
    broken = 0
    try:
        for _run in range(again):
            outcome = await theatre.run(*faults)
            broken += bool(outcome.violation)
            print(
                explain(scenario, outcome)
                if outcome.violation
                else f"held: {outcome.fired and outcome.fired.describe()}"
            )
    finally:
        theatre.close()
    return broken


def main() -> int:
    """Exit status 1 when a promise was broken."""
    options = _arguments()
    names = options.scenario or [name for name in SCENARIOS if name != "toy"]
    broken = 0
    for name in names:
        scenario = SCENARIOS[name]()
        if options.fault:
            broken += asyncio.run(_repeat(scenario, [Fault.parse(text) for text in options.fault], options.again))
            continue
        print(f"{name}: {options.runs} runs, seed {options.seed}", flush=True)
        tally = asyncio.run(run_sweep(scenario, runs=options.runs, seed=options.seed, mutation=options.mutation))
        print(tally.table(name), flush=True)
        for count, outcome in tally.distinct()[:SHOWN_VIOLATIONS]:
            print(f"{count} times: {explain(scenario, outcome)}")
        broken += len(tally.violations)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
