"""The one module that owns durability: a file is there whole, or not at all, also after a power cut.

The order is always the same: temporary name in the same folder, write, fsync, rename, fsync of the folder. On Windows a
folder cannot be opened for fsync; NTFS journals the rename, and the step is left out there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

PRIVATE_MODE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
OTHERS_MAY: Final = 0o077
"""Bits of a mode that let anybody but the owner in."""
TEMPORARY_SUFFIX: Final = ".part"
_unsettled: Final[set[Path]] = set()
"""Folders whose names are not known to be on the disk: being made in another thread, or their fsync failed."""


def fsync_file(descriptor: int) -> None:
    """Return when the file's octets are on the disk. Raises `OSError` when the disk says no."""
    os.fsync(descriptor)


def fsync_directory(folder: Path) -> None:
    """Return when the folder's entries (names, renames, removals) are on the disk."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_private(path: Path) -> FileIO:
    """A new file for writing, unbuffered, its owner's alone whatever the umask. Raises `FileExistsError`, `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, flags, PRIVATE_MODE), "w")


def make_directory(folder: Path, mode: int = 0o755) -> None:
    """Create the folder and its parents durably; existing ones are left as they are.

    `mode`, less the umask, is that of everything that is created on the way.
    """
    missing = []
    current = folder
    while current in _unsettled or not current.exists():
        missing.append(current)
        current = current.parent
    for path in reversed(missing):
        _unsettled.add(path)
        path.mkdir(mode=mode, exist_ok=True)
        try:
            fsync_directory(path.parent)
        except OSError:
            with suppress(OSError):
                path.rmdir()  # else the next start would find it and take it for durable
            raise
        _unsettled.discard(path)


def exposure(private: Iterable[Path]) -> str:
    """The first of these files and folders that others may enter, and the command that mends it; "" when none is.

    Windows has access lists in place of modes, which are not looked at.
    """
    for path in private if os.name != "nt" else ():
        mode = path.stat().st_mode & 0o777
        if mode & OTHERS_MAY:
            wanted = PRIVATE_FOLDER if path.is_dir() else PRIVATE_MODE
            return f"{path} có quyền {mode:04o}: người khác vào được. Chạy: chmod {wanted:o} {path}"
    return ""


def publish(temporary: Path, final: Path) -> None:
    """Give a finished, already fsynced file or folder its final name, durably. An existing file is replaced."""
    temporary.replace(final)
    fsync_directory(final.parent)


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a whole file durably and atomically; readers see the old octets or the new ones.

    Raises:
        OSError: the disk is full or broken; the old file is untouched and no temporary file stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        try:
            write_all(descriptor, data)
            fsync_file(descriptor)
        finally:
            os.close(descriptor)
        publish(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every octet; a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
