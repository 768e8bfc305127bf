"""Moves the files of one item together: a journal first, so that a crash in between is made good at start.

Each move has a journal of its own: one that cannot be carried out (a file that may not be moved, a disk that says no)
keeps its journal and is tried again, and is in nobody else's way.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge.file_names import beside, numbered
from edge_agent.places import Places
from runtime import durable, logs

JOURNAL: Final = ".dang-chuyen"
"""How the names of journals begin; hidden from the folder's own scan by the dot."""
JOURNAL_SUFFIX: Final = ".json"
DAMAGED: Final = ".hong"
"""Put behind the name of a journal that says nothing."""

_log = logs.get("edge.outgoing")


class Move(msgspec.Struct, frozen=True):
    """One rename; both are paths as text."""

    source: str
    target: str


class Mover:
    """Of one agent; used by one task. `unfinished`: some move has begun and could not be ended yet."""

    def __init__(self, places: Places) -> None:
        self._outgoing = places.outgoing
        self.unfinished = False

    def move(self, files: Iterable[Path], folder: Path, texts: Mapping[str, str]) -> None:
        """Bring `files` into `folder` under free names; `texts` maps suffixes of the first name to what stands there.

        Raises `OSError`: either nothing has moved, or the rest follows by `resume`.
        """
        present = [path for path in files if os.path.lexists(path)]
        if not present:
            return
        durable.make_directory(folder)
        moves, written = _plan(present, folder, texts)
        for path, text in written.items():  # the reason first: a file in failed/ never lies there without it
            durable.write_file(path, text.encode())
        journal = self._outgoing / f"{JOURNAL}-{secrets.token_hex(8)}{JOURNAL_SUFFIX}"
        try:
            durable.write_file(journal, msgspec.json.encode(moves))  # may fail when the name is there already
            _carry_out(journal, moves)
        except OSError:
            self._give_up(journal, moves)
            raise

    def resume(self) -> None:
        """Finish what a crash or a failure interrupted; what cannot be finished now is left for the next time."""
        self.unfinished = False
        for journal in sorted(self._outgoing.glob(f"{JOURNAL}*{JOURNAL_SUFFIX}")):
            try:
                _finish(journal)
            except OSError as error:
                self.unfinished = True
                _log.warning("move-unfinished", errno=error.errno)

    def _give_up(self, journal: Path, moves: list[Move]) -> None:
        """Forget a move of which nothing has happened; it will be planned again."""
        if all(os.path.lexists(move.source) for move in moves):
            with suppress(OSError):
                journal.unlink()
                durable.fsync_directory(journal.parent)  # it must not come back when its names mean other files
                return
        self.unfinished = True


def _finish(journal: Path) -> None:
    try:
        moves = msgspec.json.decode(journal.read_bytes(), type=list[Move])
    except (msgspec.MsgspecError, UnicodeDecodeError):  # written whole or not at all, so the disk damaged it
        _log.error("journal-damaged", journal=journal.name)
        durable.publish(journal, journal.with_name(f"{journal.name}{DAMAGED}"))
        return
    _carry_out(journal, moves)


def _carry_out(journal: Path, moves: list[Move]) -> None:
    for move in moves:
        if os.path.lexists(move.source):
            Path(move.source).replace(move.target)
    for folder in {Path(move.target).parent for move in moves}:  # also for renames of an earlier try
        durable.fsync_directory(folder)
    journal.unlink(missing_ok=True)
    durable.fsync_directory(journal.parent)


def _plan(files: list[Path], folder: Path, texts: Mapping[str, str]) -> tuple[list[Move], dict[Path, str]]:
    """Targets that are free; the files of one item get the same number, so that they stay recognisable."""
    for count in itertools.count(1):
        names = [path.name if count == 1 else numbered(path.name, count) for path in files]
        written = {folder / beside(names[0], suffix): text for suffix, text in texts.items()}
        free = not any(os.path.lexists(folder / name) for name in names)
        if free and not any(_differs(*one) for one in written.items()):
            moves = [Move(str(path), str(folder / name)) for path, name in zip(files, names, strict=True)]
            return moves, written
    raise AssertionError("numbers do not end")


def _differs(path: Path, text: str) -> bool:
    """Whether something else stands there already; our own, from a try that a crash ended, is in nobody's way."""
    return os.path.lexists(path) and (not path.is_file() or path.read_bytes() != text.encode())
