"""Row 4: what a document costs when the ledger already holds a million of them, against an empty ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Final

from tests.perf import stage
from tests.perf.filling import filled, query
from tests.perf.rows import Row
from tests.perf.throughput import Burst, Traffic

GROWTH: Final = 1.10
"""Times the cost of an empty ledger that is still flat."""


def rows(*, ledger: int, documents: int, rounds: int) -> Iterator[Row]:
    """Two hubs live side by side and are loaded in turns with the same documents."""
    title = f"Cost per document with {ledger:,} documents in the ledger"
    empty, full, seconds = filled(ledger)
    found: dict[str, list[Burst]] = {"empty": [], "full": []}
    with ExitStack() as stack:
        folder = stack.enter_context(stage.copy(empty, "empty-now"))
        servers = {name: stack.enter_context(stage.hub(one)) for name, one in (("empty", folder), ("full", full))}
        # the full ledger is kept from run to run: its documents need names that it does not know
        first = int(str(query(full, "SELECT max(number) FROM messages")[0][0])) + 1
        traffic = {"empty": Traffic(empty), "full": Traffic(empty, first=first)}
        for name, server in servers.items():
            traffic[name].burst(server, documents)
        for turn in range(rounds):
            order = ("empty", "full") if turn % 2 else ("full", "empty")
            for name in order:
                found[name].append(traffic[name].burst(servers[name], documents))
        peak = servers["full"].peak()
    note = f"filled in {seconds:.0f} s" if seconds else "ledger kept from an earlier run"
    size = (full / "data" / "ledger.sqlite").stat().st_size / 1e9
    yield Row(section=title, name="size of ledger.sqlite", measured=size, unit="GB", note=note)
    for name, bursts in found.items():
        rate = median(burst.rate for burst in bursts)
        cpu = median(burst.cpu for burst in bursts) * 1e3
        yield Row(section=title, name=f"{name} ledger", measured=rate, unit="/s", note=f"{cpu:.2f} ms of CPU each")
    yield _growth(
        title,
        "CPU per document, full ÷ empty",
        [burst.cpu for burst in found["full"]],
        [burst.cpu for burst in found["empty"]],
    )
    yield _growth(
        title,
        "time per document, full ÷ empty",
        [1 / burst.rate for burst in found["full"]],
        [1 / burst.rate for burst in found["empty"]],
    )
    yield Row(section=title, name="peak RSS of the hub with the full ledger", measured=peak / 1e6, unit="MB")


def _growth(section: str, name: str, full: list[float], empty: list[float]) -> Row:
    """The median over the rounds: the two runs of one round met the same machine."""
    ratios = [one / other for one, other in zip(full, empty, strict=True)]
    note = f"{min(ratios):.2f}–{max(ratios):.2f} in {len(ratios)} rounds"
    return Row(section=section, name=name, measured=median(ratios), goal=GROWTH, sense="below", note=note)
