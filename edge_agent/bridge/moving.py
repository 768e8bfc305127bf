"""Moves the files of one item together: a journal first, so that a crash in between is made good at start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge.file_names import numbered
from edge_agent.places import Places
from runtime import durable

JOURNAL: Final = ".dang-chuyen.json"
"""Hidden from the folder's own scan by its dot."""


class Move(msgspec.Struct, frozen=True):
    """One rename; both are paths as text."""

    source: str
    target: str


class Mover:
    """Of one agent; used by one task."""

    def __init__(self, places: Places) -> None:
        self._journal = places.outgoing / JOURNAL

    def move(self, files: Iterable[Path], folder: Path, beside: Mapping[str, str]) -> None:
        """Bring `files` into `folder` under free names; `beside` maps suffixes of the first name to texts.

        Raises `OSError`; the journal stays then, and `resume` goes on.
        """
        present = [path for path in files if path.exists()]
        if not present:
            return
        moves = _plan(present, folder)
        for suffix, text in beside.items():  # the reason first: a file in failed/ never lies there without it
            durable.write_file(Path(f"{moves[0].target}{suffix}"), text.encode())
        durable.write_file(self._journal, msgspec.json.encode(moves))
        self._carry_out(moves)

    def resume(self) -> None:
        """Finish what a crash interrupted."""
        try:
            moves = msgspec.json.decode(self._journal.read_bytes(), type=list[Move])
        except FileNotFoundError:
            return
        self._carry_out(moves)

    def _carry_out(self, moves: list[Move]) -> None:
        for move in moves:
            if Path(move.source).exists():
                durable.publish(Path(move.source), Path(move.target))
        self._journal.unlink()
        durable.fsync_directory(self._journal.parent)


def _plan(files: list[Path], folder: Path) -> list[Move]:
    """Targets that are free; the files of one item get the same number, so that they stay recognisable."""
    count = 1
    while True:
        names = [path.name if count == 1 else numbered(path.name, count) for path in files]
        if not any((folder / name).exists() for name in names):
            return [Move(str(path), str(folder / name)) for path, name in zip(files, names, strict=True)]
        count += 1
