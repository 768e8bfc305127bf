"""One process per data folder: a lock that the kernel releases when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Self

from runtime import durable
from runtime.config import ConfigError

NAME: Final = "lock"


class HeldError(ConfigError):
    """Another process works on the folder; it may end any moment."""


class FolderLock:
    """Held from creation to `release` (idempotent), or in a `with` block.

    Raises `HeldError` when another process holds it; `holder` names, in that sentence, what such a process is.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        durable.make_directory(folder, durable.PRIVATE_FOLDER)
        self._descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, durable.PRIVATE_MODE)
        try:
            _seize(self._descriptor)
        except OSError as error:
            self.release()
            raise HeldError(f"Thư mục dữ liệu {folder} đang được một {holder} khác sử dụng.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let another process have the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _seize(descriptor: int) -> None:
    """Raises `OSError` at once when somebody else has it."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 -- there only on Windows

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 -- there only on POSIX

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
