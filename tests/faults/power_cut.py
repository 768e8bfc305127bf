"""What a power cut leaves of a folder: the journal of its changes, replayed by the rules of a pessimistic file system.

The rules, which are what POSIX promises and every journalling file system keeps:

* the content of a file is durable up to its last successful fsync or fdatasync;
* a name (creation, rename, link, unlink, mkdir) is durable when the folder that holds it was fsynced afterwards;
  fsync of a file says nothing about its name; a rename between two folders is one change, durable with either;
* after an fsync that *failed*, what it should have written is lost, and no later successful fsync brings it back;
* of everything else, `Surviving.LOST` keeps nothing, and `Surviving.TORN` keeps a seeded random part: writes torn at
  sector boundaries, and of the changes of names the first few.

A kill without a power cut (`Surviving.KEPT`) loses nothing, and needs no replay.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Self

from tests.faults.journal import Entry
from tests.faults.shim import Kind

SECTOR: Final = 512


class Surviving(Enum):
    """What happens to changes that were not yet durable when the process died."""

    KEPT = "kept"
    LOST = "lost"
    TORN = "torn"


class JournalGapError(Exception):
    """The journal speaks of a file that it never saw made: something changes the folder past the shim."""


@dataclass
class Change:
    """One change of a file's content: `data` at `offset`, or, when `data` is None, its length set to `offset`."""

    offset: int
    data: bytes | None
    doomed: bool = False

    def apply(self, content: bytearray) -> None:
        end = self.offset if self.data is None else self.offset + len(self.data)
        if self.data is None:
            del content[end:]
        content.extend(bytes(max(0, end - len(content))))
        if self.data is not None:
            content[self.offset : end] = self.data

    def sectors(self) -> Iterator[Change]:
        """The change in pieces that a disk writes as one."""
        if self.data is None:
            yield self
            return
        at, end = self.offset, self.offset + len(self.data)
        while at < end:
            stop = min(end, at - at % SECTOR + SECTOR)
            yield Change(at, self.data[at - self.offset : stop - self.offset])
            at = stop


@dataclass(eq=False)
class File:
    """A file: durable content, and what was done to it since."""

    inode: int
    mode: int
    durable: bytearray
    pending: list[Change] = field(default_factory=list)

    def settle(self) -> None:
        """A successful fsync."""
        for change in self.pending:
            if not change.doomed:
                change.apply(self.durable)
        self.pending.clear()

    def doom(self) -> None:
        """A failed fsync."""
        for change in self.pending:
            change.doomed = True

    def content(self, surviving: Surviving, chance: random.Random) -> bytearray:
        result = bytearray(self.durable)
        for change in self.pending:
            if surviving is Surviving.KEPT:
                change.apply(result)
            elif surviving is Surviving.TORN:
                _torn(change, result, chance)
        return result


def _torn(change: Change, content: bytearray, chance: random.Random) -> None:
    fate = chance.choice(("whole", "nothing", "torn"))
    for sector in change.sectors():
        if fate == "whole" or (fate == "torn" and chance.random() < 0.5):
            sector.apply(content)


@dataclass(eq=False)
class Folder:
    """A folder: durable names, names as the running process sees them, and the changes between the two."""

    inode: int
    mode: int
    durable: Names = field(default_factory=dict)
    current: Names = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)

    def settle(self, last: Naming | None = None) -> None:
        """A successful fsync: every change up to `last` (None: all); a file system commits them in their order."""
        while self.pending:
            change = self.pending.pop(0)
            change.settle()
            if change is last:
                return


Node = File | Folder
Names = dict[str, Node]


@dataclass(eq=False)
class Naming:
    """One change of names, in one folder or (a rename) in two; a name that becomes None is gone."""

    parts: dict[Folder, dict[str, Node | None]]
    durable: bool = False

    def begin(self) -> None:
        """The running process sees it."""
        for folder, names in self.parts.items():
            _rename(folder.current, names)
            folder.pending.append(self)

    def settle(self) -> None:
        """It is durable, in both folders: no file system in use tears a rename."""
        if self.durable:
            return
        self.durable = True
        for folder, names in self.parts.items():
            if self in folder.pending:
                folder.settle(self)
            _rename(folder.durable, names)


def _rename(entries: Names, names: dict[str, Node | None]) -> None:
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class World:
    """The watched folder as a disk holds it: taken before the process starts, moved on by the journal's entries."""

    def __init__(self, root: Path, top: Folder) -> None:
        self.root = root
        self.top = top
        self._inodes: dict[int, Node] = {}
        self._namings: list[Naming] = []

    @classmethod
    def take(cls, root: Path) -> Self:
        """Everything that is in `root` now counts as durable."""
        status = root.stat()
        world = cls(root, Folder(status.st_ino, status.st_mode))
        world._inodes[status.st_ino] = world.top
        for path in sorted(root.rglob("*")):
            if not path.name.endswith("-shm") and (path.is_file() or path.is_dir()):  # a socket is nobody's data
                world.plant(path)
        return world

    def plant(self, path: Path) -> None:
        """A file or folder that someone else than the process under test put there, durably."""
        status = path.lstat()
        node: Node
        if stat.S_ISDIR(status.st_mode):
            node = Folder(status.st_ino, status.st_mode)
        else:
            node = File(status.st_ino, status.st_mode, bytearray(path.read_bytes()))
        folder = self._folder(path.parent)
        folder.durable[path.name] = folder.current[path.name] = self._inodes[status.st_ino] = node

    def replay(self, entries: list[Entry]) -> None:
        """Moves the folder on; raises JournalGapError."""
        for entry in entries:
            if entry.kind is not Kind.SEND:
                self._apply(entry)

    def visible(self) -> dict[str, bytes]:
        """Relative path → content, as the running process saw it last: to be compared with the real folder."""
        return dict(_flatten(self.top))

    def cut(self, surviving: Surviving, seed: int) -> None:
        """Puts the real folder into a state that a power cut may have left; nothing to do for KEPT."""
        if surviving is Surviving.KEPT:
            return
        chance = random.Random(seed)
        if surviving is Surviving.TORN:
            waiting = [naming for naming in self._namings if not naming.durable]
            for naming in waiting[: chance.randint(0, len(waiting))]:
                naming.settle()
        modes = {path.lstat().st_ino: path.lstat().st_mode for path in self.root.rglob("*")}
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _write(self.top, self.root, surviving, chance, modes)

    def _name(self, parts: dict[Folder, dict[str, Node | None]]) -> None:
        naming = Naming(parts)
        naming.begin()
        self._namings.append(naming)

    def _folder(self, path: Path) -> Folder:
        node = self.top
        for name in path.relative_to(self.root).parts:
            below = node.current.get(name)
            if not isinstance(below, Folder):
                raise JournalGapError(f"{path}: folder {name} was made past the shim")
            node = below
        return node

    def _place(self, path: str) -> tuple[Folder, str]:
        at = Path(path)
        return self._folder(at.parent), at.name

    def _node(self, entry: Entry) -> Node:
        try:
            return self._inodes[entry.inode]
        except KeyError:
            raise JournalGapError(f"{entry.describe()}: made past the shim") from None

    def _apply(self, entry: Entry) -> None:
        if entry.result < 0 or not entry.executed:
            node = self._inodes.get(entry.inode)
            if entry.kind is Kind.FSYNC and isinstance(node, File):
                node.doom()
            return
        if entry.kind in (Kind.WRITE, Kind.TRUNCATE, Kind.FSYNC):
            self._apply_to_content(entry)
        else:
            self._apply_to_names(entry)

    def _apply_to_content(self, entry: Entry) -> None:
        node = self._node(entry)
        if entry.kind is Kind.FSYNC:
            node.settle()
            return
        assert isinstance(node, File)
        node.pending.append(Change(entry.offset, entry.data if entry.kind is Kind.WRITE else None))

    def _apply_to_names(self, entry: Entry) -> None:
        match entry.kind:
            case Kind.OPEN:
                self._opened(entry)
            case Kind.MKDIR:
                folder, name = self._place(entry.path)
                made = self._inodes[entry.inode] = Folder(entry.inode, entry.mode)
                self._name({folder: {name: made}})
            case Kind.UNLINK | Kind.RMDIR:
                folder, name = self._place(entry.path)
                self._name({folder: {name: None}})
            case Kind.LINK:
                folder, name = self._place(entry.path2)
                self._name({folder: {name: self._node(entry)}})
            case Kind.RENAME:
                self._renamed(entry)
            case _:
                raise AssertionError(entry.kind)

    def _opened(self, entry: Entry) -> None:
        if entry.existed:
            node = self._node(entry)
            assert isinstance(node, File)
            node.pending.append(Change(0, None))
            return
        node = self._inodes[entry.inode] = File(entry.inode, entry.mode, bytearray())
        if entry.inode2:
            folder, name = self._place(entry.path)
            self._name({folder: {name: node}})

    def _renamed(self, entry: Entry) -> None:
        if entry.offset & ~1 or not entry.path or not entry.path2:
            raise JournalGapError(f"{entry.describe()}: exchanged names, or a name from outside the watched folder")
        source, old = self._place(entry.path)
        target, new = self._place(entry.path2)
        node = self._node(entry)
        parts: dict[Folder, dict[str, Node | None]] = {source: {old: None}}
        parts.setdefault(target, {})[new] = node
        self._name(parts)


def _flatten(folder: Folder, above: str = "") -> Iterator[tuple[str, bytes]]:
    for name, node in sorted(folder.current.items()):
        if isinstance(node, Folder):
            yield from _flatten(node, f"{above}{name}/")
        else:
            yield above + name, bytes(node.content(Surviving.KEPT, random.Random(0)))


def _write(folder: Folder, path: Path, surviving: Surviving, chance: random.Random, modes: dict[int, int]) -> None:
    written: dict[int, Path] = {}
    pending = [(folder, path)]
    while pending:
        folder, path = pending.pop()
        for name, node in sorted(folder.durable.items()):
            place = path / name
            mode = stat.S_IMODE(modes.get(node.inode, node.mode))
            if isinstance(node, Folder):
                place.mkdir()
                pending.append((node, place))
            elif id(node) in written:
                os.link(written[id(node)], place)
                continue
            else:
                place.write_bytes(node.content(surviving, chance))
                written[id(node)] = place
            place.chmod(mode)


def differences(world: World) -> list[str]:
    """Where the replayed journal and the real folder disagree: empty, unless something wrote past the shim."""
    seen = world.visible()
    real = {
        str(path.relative_to(world.root)): path.read_bytes()
        for path in world.root.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    return sorted(name for name in seen.keys() | real.keys() if seen.get(name) != real.get(name))
