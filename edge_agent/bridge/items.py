"""What lies in `outgoing/`, sorted into things to send: who belongs to whom, and what cannot be told is never guessed.

an `.edxml`, a `.status.toml`           one item each
a sidecar and its main file             one item, with the attachments that the sidecar lists; the main file is the one
                                        that the key File names, else the only one of the sidecar's own name
a file that a sidecar lists             no item of its own, and nobody's main file by name alone
two sidecars or two main files          a problem: everything stays until a person says which
a link, a pipe, a device                a problem: it may lead to what only this agent may read
a sidecar that names a file not here    a problem, if the file does not come
anything else                           waits for what belongs to it
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_agent.bridge import sidecar
from edge_agent.bridge.file_names import nfc
from edge_agent.bridge.reasons import REASON, reason_beside
from edge_agent.bridge.regular_files import open_regular
from edge_agent.bridge.sidecar import Listing
from protocol import errors
from protocol.errors import ErrorKind, ExchangeError

STATUS: Final = ".status.toml"
PACKAGE: Final = ".edxml"
SIDECARS: Final = (".toml", ".json")
UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart")
SIDECAR_LIMIT: Final = 1 << 20
"""Octets of a sidecar or status."""

Signature = tuple[tuple[str, int, int], ...]
"""(name, size, mtime in ns) of every file of an item."""


class Item(msgspec.Struct, frozen=True):
    """Files that are one thing to send; `main` names it. `problem`: why they cannot be, as they lie here."""

    main: Path
    files: tuple[Path, ...]
    """Main file, sidecar, and the attachments that are here."""
    kind: Literal["package", "status", "sidecar", "problem"]
    attachments: tuple[Path | None, ...] = ()
    """As the sidecar lists them; None is not here."""
    shared: frozenset[Path] = frozenset()
    """Attachments that another sidecar lists too."""
    problem: ErrorKind | None = None
    element: str = ""
    """What the problem is about, as `ExchangeError` has it."""

    @property
    def own(self) -> tuple[Path, ...]:
        """The files that go away with this item."""
        return tuple(path for path in self.files if path not in self.shared)

    def attached(self) -> int:
        """Octets that its attachments will take. Raises `OSError` when a file is gone."""
        octets = sum(path.lstat().st_size for path in self.files)
        return octets * 3 // 4 if self.kind == "package" else octets  # base64

    def signature(self) -> Signature | None:
        """How its files look now; None when one is gone."""
        try:
            stats = [(path.name, path.lstat()) for path in self.files]
        except OSError:
            return None
        return tuple((name, status.st_size, status.st_mtime_ns) for name, status in stats)


class Finder:
    """Looks into one folder, again and again; a sidecar is read again when it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: tuple[str, ...] = ()
        self._read: dict[str, tuple[tuple[int, int], Listing]] = {}

    def find(self) -> list[Item]:
        """The items of this moment, by name. Raises `OSError` when the folder cannot be read."""
        regular = {name: stat.S_ISREG(status.st_mode) for name, status in self._entries()}
        self._names = tuple(regular)
        self._read = {name: self._listing(name) for name, good in regular.items() if good and _is_sidecar(name)}
        return _Look(self._folder, regular, {name: listing for name, (_, listing) in self._read.items()}).items()

    def stale_reasons(self) -> list[Path]:
        """Files named like reasons, whose file was gone when `find` looked."""
        named = [name for name in self._names if name.endswith(REASON)]
        current = {reason_beside(self._folder / name).name for name in self._names} if named else set()
        return [self._folder / name for name in named if name not in current]

    def _entries(self) -> Iterable[tuple[str, os.stat_result]]:
        """Everything that is neither hidden nor a folder; what goes away meanwhile is left out."""
        for entry in sorted(os.scandir(self._folder), key=lambda one: one.name):
            if entry.name.startswith("."):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                yield entry.name, status

    def _listing(self, name: str) -> tuple[tuple[int, int], Listing]:
        path = self._folder / name
        known = self._read.get(name)
        try:
            status = path.lstat()
            seen = (status.st_size, status.st_mtime_ns)
            if known is None or known[0] != seen:
                known = seen, sidecar.read_listing(name, read_bounded(path))
        except (OSError, ExchangeError):  # who reads it in full will meet the same, and say so
            known = known or ((-1, -1), Listing())
        return known


class _Look:
    """The folder at one moment. `regular` maps names to whether they are regular files."""

    def __init__(self, folder: Path, regular: Mapping[str, bool], listings: Mapping[str, Listing]) -> None:
        self._folder = folder
        self._regular = regular
        self._forms: dict[str, list[str]] = {}
        for name in regular:
            self._forms.setdefault(nfc(name), []).append(name)
        self._mains = {name: self._here(one.file) if one.file else None for name, one in listings.items()}
        self._attached = {name: [self._here(each) for each in one.attachments] for name, one in listings.items()}
        self._listings = listings
        self._uses = Counter(
            other
            for name in listings
            for other in {self._mains[name], *self._attached[name]}
            if other is not None and other != name
        )

    def items(self) -> list[Item]:
        """Sorted by the name of the main file."""
        free = [name for name in self._regular if not self._uses[name] and not is_foreign(name)]
        found = [self._alone(name) for name in free if name.lower().endswith((STATUS, PACKAGE))]
        claims: dict[str, list[str]] = {}
        for name in free:
            if not _is_sidecar(name):
                continue
            main = self._main_of(name)
            if isinstance(main, Item):
                found.append(main)
            elif main is not None:
                claims.setdefault(main, []).append(name)
        found += [self._document(main, sidecars) for main, sidecars in claims.items()]
        covered = {path.name for item in found for path in item.files}
        strange = (name for name, regular in self._regular.items() if not regular and not is_foreign(name))
        found += [self._item(name, (name,), errors.NOT_A_FILE) for name in strange if name not in covered]
        return sorted(found, key=lambda item: item.main.name)

    def _alone(self, name: str) -> Item:
        problem = self._problem((name,))
        if problem is not None:
            return problem
        path = self._folder / name
        return Item(path, (path,), "status" if name.lower().endswith(STATUS) else "package")

    def _main_of(self, fields: str) -> str | Item | None:
        """The main file of a sidecar; None while there is none; an item with a problem when nobody can tell."""
        listing = self._listings.get(fields, Listing())
        if listing.file:
            return self._named_main(fields, listing.file)
        stem = nfc(Path(fields).stem)
        others = set(self._attached.get(fields, ()))
        named = [
            name for name in self._regular if nfc(Path(name).stem) == stem and name not in others and _may_be_main(name)
        ]
        free = [name for name in named if not self._uses[name]]
        if len(free) == 1:
            return free[0]
        return self._item(fields, (fields, *named), errors.ATTACHMENT_AMBIGUOUS) if named else None

    def _named_main(self, fields: str, name: str) -> str | Item:
        main = self._mains[fields]
        if main == fields or (main is None and (Path(name).name != name or name.startswith("."))):
            return self._item(fields, (fields,), errors.NOT_A_FILE)
        return main or self._item(fields, (fields,), errors.ATTACHMENT_MISSING, "File")

    def _document(self, main: str, sidecars: list[str]) -> Item:
        if len(sidecars) > 1:
            return self._item(main, (main, *sidecars), errors.ATTACHMENT_AMBIGUOUS)
        attached = self._attached.get(sidecars[0], [])
        files = dict.fromkeys((main, sidecars[0], *(name for name in attached if name)))
        problem = self._problem(tuple(files))
        if problem is not None:
            return problem
        return Item(
            self._folder / main,
            tuple(self._folder / name for name in files),
            "sidecar",
            attachments=tuple(self._folder / name if name else None for name in attached),
            shared=frozenset(self._folder / name for name in attached if name and self._uses[name] > 1),
        )

    def _problem(self, files: tuple[str, ...]) -> Item | None:
        """What is wrong with files that belong together; the first is the main one."""
        if not all(self._regular[name] for name in files):
            return self._item(files[0], files, errors.NOT_A_FILE)
        if not all(map(_is_text, files)):
            return self._item(files[0], files, errors.UNDECODABLE_TEXT, "tên tệp")
        return None

    def _item(self, main: str, files: tuple[str, ...], problem: ErrorKind, element: str = "") -> Item:
        paths = tuple(self._folder / name for name in files)
        return Item(self._folder / main, paths, "problem", problem=problem, element=element)

    def _here(self, name: str) -> str | None:
        """The file of this folder that is meant by `name`, whatever its Unicode form; None: it is not here."""
        if name in self._regular:
            return name
        same = self._forms.get(nfc(name), [])
        return same[0] if len(same) == 1 else None


def read_bounded(path: Path) -> bytes:
    """A sidecar or status. Raises `message.too-large`, `attachment.not-a-file`, `OSError`."""
    with open_regular(path) as file:
        data = file.read(SIDECAR_LIMIT + 1) or b""
    if len(data) > SIDECAR_LIMIT:
        raise ExchangeError(errors.TOO_LARGE, limit=SIDECAR_LIMIT)
    return data


def is_foreign(name: str) -> bool:
    """Copies that are still being made, our own reasons, lock files of editors."""
    return name.startswith("~$") or name.lower().endswith((*UNFINISHED, REASON))


def _is_sidecar(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(SIDECARS) and not lower.endswith(STATUS) and not is_foreign(name)


def _may_be_main(name: str) -> bool:
    return not name.lower().endswith((*SIDECARS, PACKAGE)) and not is_foreign(name)


def _is_text(name: str) -> bool:
    """Whether a name is Unicode: other octets cannot stand in a document."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
