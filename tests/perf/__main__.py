"""`python -m tests.perf`: every row of the numbers that the hub and the edge agent promise, in one table.

The folder `results/` keeps what the last full run said (`--save`). Exit code 1 when a goal was not reached.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from tests.perf import edge, flatness, large, machine, stage, throughput
from tests.perf.rows import Row, print_table

RESULTS: Final = Path(__file__).parent / "results"


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything is measured; the defaults are the full run."""

    documents: int = 2000
    """Documents in one burst."""
    rounds: int = 5
    latency_documents: int = 5000
    attachment: int = 1 << 30
    ledger: int = 1_000_000
    flat_documents: int = 1000
    flat_rounds: int = 9
    settle: float = 60.0
    repeats: int = 10


QUICK: Final = Scale(
    documents=400, rounds=3, latency_documents=600, attachment=64 << 20, ledger=20_000, flat_documents=300,
    flat_rounds=3, settle=3, repeats=3,
)  # fmt: skip

Bench = Callable[[Path, Scale], Iterator[Row]]
BENCHES: Final[dict[str, Bench]] = {
    "throughput": lambda template, scale: throughput.rows(
        template, documents=scale.documents, rounds=scale.rounds, latency_documents=scale.latency_documents
    ),
    "large": lambda template, scale: large.rows(template, size=scale.attachment),
    "flatness": lambda _, scale: flatness.rows(
        ledger=scale.ledger, documents=scale.flat_documents, rounds=scale.flat_rounds
    ),
    "edge": lambda template, scale: edge.rows(template, settle=scale.settle, repeats=scale.repeats),
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is kept."""

    machine: machine.Machine
    scale: Scale
    rows: list[Row]


def measure(names: list[str], scale: Scale, say: Callable[[str], None] = lambda _: None) -> Report:
    """Run the named benches, one after another."""
    found = machine.describe()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as folder:
        template = Path(folder) / "template"
        stage.make_template(template)
        for name in names:
            say(f"{name} …")
            rows += BENCHES[name](template, scale)
    return Report(machine=found, scale=scale, rows=rows)


def keep(report: Report) -> None:
    """Write `results/latest.json` and `results/latest.txt`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    with (RESULTS / "latest.txt").open("w") as file:
        show(report, Console(file=file, width=150))


def show(report: Report, console: Console) -> None:
    """The table, and on what it was measured."""
    print_table(report.rows, console, "Liên thông: what was promised and what was measured")
    console.print(report.machine.sentence, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="a short run to see that all is well; no result to quote")
    parser.add_argument("--save", action="store_true", help="keep the result in tests/perf/results")
    for field in msgspec.structs.fields(Scale):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, metavar=field.type.__name__)
    given = vars(parser.parse_args())
    names = given["only"] or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        parser.error(f"no bench {', '.join(sorted(unknown))}")
    changes = {name: given[name] for name in Scale.__struct_fields__ if given[name] is not None}
    scale = msgspec.structs.replace(QUICK if given["quick"] else Scale(), **changes)
    report = measure(names, scale, lambda text: print(text, file=sys.stderr, flush=True))
    show(report, Console(width=None if sys.stdout.isatty() else 150))
    if given["save"]:
        keep(report)
    sys.exit(any(row.verdict == "NOT reached" for row in report.rows))


if __name__ == "__main__":
    main()
