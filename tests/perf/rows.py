"""What a bench says: rows with what was measured, what was wanted, and whether it was reached; the table of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `sense` says on which side of the goal it is good; without a goal the row is there to be compared."""

    section: str
    name: str
    measured: float
    unit: str = ""
    goal: float | None = None
    sense: Literal["at least", "below"] = "at least"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times as good as its goal; 1 or more is reached."""
        if self.goal is None:
            return None
        if self.sense == "at least":
            return self.measured / self.goal
        return self.goal / self.measured if self.measured else float("inf")

    @property
    def verdict(self) -> str:
        """`reached`, `NOT reached`, or nothing where there is no goal."""
        if self.ratio is None:
            return ""
        return "reached" if self.ratio >= 1 else "NOT reached"


def number(value: float) -> str:
    """Three significant figures, whole from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_table(rows: Iterable[Row], console: Console, title: str) -> None:
    """The one table."""
    table = Table("", "measured", "goal", "×goal", "verdict", "note", title=title, title_justify="left")
    for column in (1, 3):
        table.columns[column].justify = "right"
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_section()
            table.add_row(f"[bold]{section}")
        goal = "" if row.goal is None else f"{row.sense} {number(row.goal)} {row.unit}".strip()
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        colour = {"reached": "green", "NOT reached": "red", "": "default"}[row.verdict]
        table.add_row(
            f"  {row.name}",
            f"{number(row.measured)} {row.unit}".strip(),
            goal,
            ratio,
            f"[{colour}]{row.verdict}",
            row.note,
        )
    console.print(table)
