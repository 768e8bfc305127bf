"""The journal that shim.c writes: every change of the watched folder, in the order in which it happened."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.shim import Action, Kind

MAGIC: Final = 0x544C5546
HEADER: Final = struct.Struct("<IBBBBqQQqqIIIIQq")


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation.

    `point` is 0 when it was not counted; `fired` is what was injected here; `executed` is False for an operation that
    a kill or an injected failure forestalled. `offset` is where a write began, the length of a truncation or the
    flags of an opening; `path2` is the new name of a rename or link; `inode2` the folder that holds the name.
    """

    kind: Kind
    executed: bool
    fired: Action
    existed: bool
    point: int
    inode: int
    inode2: int
    offset: int
    result: int
    error: int
    mode: int
    path: str
    path2: str
    data: bytes
    pid: int

    def describe(self) -> str:
        """One line for a person: number, kind, names, outcome."""
        names = " -> ".join(name for name in (self.path, self.path2) if name)
        what = f"[{self.offset}+{len(self.data)}]" if self.kind is Kind.WRITE else ""
        fate = self.fired.name if self.fired else ("" if self.result >= 0 else f"errno {self.error}")
        return f"{self.point:>6} {self.kind.name:<8} {names}{what} {fate}".rstrip()


def read_journal(path: Path) -> list[Entry]:
    """Every whole record; a record cut off by the death of the process is left out."""
    return list(_entries(path.read_bytes())) if path.exists() else []


def _entries(raw: bytes) -> Iterator[Entry]:
    at = 0
    while at + HEADER.size <= len(raw):
        header = HEADER.unpack_from(raw, at)
        magic, kind, executed, fired, existed, point, inode, inode2, offset, result, error, mode = header[:12]
        one, two, size, pid = header[12:]
        if magic != MAGIC:
            raise ValueError(f"journal damaged at octet {at}")
        names = at + HEADER.size
        end = names + one + two + size
        if end > len(raw):
            return
        yield Entry(
            kind=Kind(kind),
            executed=bool(executed),
            fired=Action(fired),
            existed=bool(existed),
            point=point,
            inode=inode,
            inode2=inode2,
            offset=offset,
            result=result,
            error=error,
            mode=mode,
            path=raw[names : names + one].decode("utf-8", "surrogateescape"),
            path2=raw[names + one : names + one + two].decode("utf-8", "surrogateescape"),
            data=raw[names + one + two : end],
            pid=pid,
        )
        at = end
