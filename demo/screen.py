"""What the viewer sees: steps, commands that are run, every hop with the seconds since the start, bars, the verdict.

Made for 100 columns; without colours and without a terminal the same lines come out plain.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

WIDTH: Final = 100
INDENT: Final = "    "
LEGEND: Final = (
    "trục: the hub · edge: an agency's agent · QLVB: its own document system · thư mục: its folder",
    "niêm phong: seal · biên nhận: receipt · ghi bền: durable on disk · sổ bằng chứng: evidence log",
)


class Screen:
    """One run's output. `total` is the number of steps."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        found = console or Console(highlight=False)
        self.console = found if found.is_terminal and found.width < WIDTH else Console(highlight=False, width=WIDTH)
        self.total = total
        self.verified_steps = 0
        self._step = ""
        self._started = time.time()
        self._step_started = self._started

    def heading(self, folder: Path) -> None:
        """The first lines."""
        self._print(
            "[bold]Liên thông[/] · một tỉnh thu nhỏ trên máy này: một trục, hai cơ quan, văn bản thật, sự cố thật"
        )
        self._print(f"[dim]a province in small on this machine; everything lies in[/] {folder}\n")
        for line in LEGEND:
            self._print(f"[dim]{line}[/]")

    def step(self, number: int, vietnamese: str, english: str) -> None:
        """A step begins."""
        self._step_started = time.time()
        self._step = f"bước {number}/{self.total} ({vietnamese}): "
        self._print(f"\n[bold cyan]{number}/{self.total}  {vietnamese}[/]")
        self._print(f"     [dim]{english}[/]")

    def command(self, text: str) -> None:
        """A command that is run, as a person would type it in the demo's folder."""
        first, *others = fold(text, WIDTH - len(INDENT) - 6)
        self.console.print(Text.assemble(INDENT, ("$ ", "bold"), first), soft_wrap=True)
        for line in others:
            self.console.print(Text(f"{INDENT}    {line}"), soft_wrap=True)

    def said(self, lines: Iterable[str]) -> None:
        """What a command answered."""
        for line in lines:
            self.console.print(f"{INDENT}  [dim]{escape(line)}[/]", overflow="ellipsis", no_wrap=True)

    def hop(self, source: str, target: str, text: str, at: float | None = None) -> None:
        """One hop (without `target`: something at `source`); `at` is the moment in seconds since the epoch, or now."""
        since = (time.time() if at is None else at) - self._started
        way = f"[green]{source:>9}[/] {'→' if target else ' '} [green]{target:<9}[/]"
        self._print(f"{INDENT}{since:6.2f} s {way} {escape(text)}")

    def event(self, text: str) -> None:
        """Something that happens to the province."""
        since = time.time() - self._started
        self._print(f"{INDENT}{since:6.2f} s [bold red]{escape(text)}[/]")

    def note(self, text: str) -> None:
        """An explanation, or lines of a file."""
        for line in text.splitlines():
            self._print(f"{INDENT}[dim]{escape(line)}[/]")

    def verified(self, sentence: str) -> None:
        """The step is proved."""
        self._step = ""
        self.verified_steps += 1
        seconds = time.time() - self._step_started
        self._print(f"{INDENT}[bold green]✓[/] {escape(sentence)} [dim]({seconds:.1f} s)[/]")

    def failed(self, sentence: str, tails: Iterable[tuple[str, str]]) -> None:
        """The step that was begun last is not proved; the ends of the logs follow."""
        self._print(f"\n{INDENT}[bold red]✗ {escape(self._step + sentence)}[/]")
        for name, text in tails:
            self._print(f"\n{INDENT}[bold]{escape(name)}[/]")
            self.note(text)

    def octets(self) -> Progress:
        """Bars that count octets; a context manager."""
        return Progress(
            TextColumn("          {task.description:<22}"), BarColumn(bar_width=30), DownloadColumn(),
            TransferSpeedColumn(), console=self.console,
        )  # fmt: skip

    def counts(self) -> Progress:
        """Bars that count documents; a context manager."""
        return Progress(
            TextColumn("          {task.description:<38}"), BarColumn(bar_width=30), MofNCompleteColumn(),
            console=self.console,
        )  # fmt: skip

    def places(self, rows: Iterable[tuple[str, str]]) -> None:
        """Addresses and folders."""
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 4))
        for name, value in rows:
            table.add_row(f"[bold]{name}[/]", escape(value))
        self.console.print(table)

    def line(self, text: str = "") -> None:
        """Plain text."""
        self._print(text)

    def verdict(self) -> None:
        """The last line."""
        self.console.print(f"demo: {self.verified_steps} of {self.total} steps verified", markup=False)

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


def fold(command: str, width: int) -> list[str]:
    """A long command as lines that a shell reads as one; an option stays with its value, a path in one piece."""
    first, *others = command.split(" --")
    lines = [first] if len(first) <= width else first.rsplit(" ", 1)
    for option in others:
        longer = f"{lines[-1]} --{option}"
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(f"--{option}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
