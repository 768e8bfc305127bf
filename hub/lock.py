"""One process per ledger: a lock on the data folder, released by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from runtime import durable
from runtime.config import ConfigError


class FolderLock:
    """Held from creation to `release` (idempotent). Raises `ConfigError` when another process holds it."""

    def __init__(self, folder: Path) -> None:
        durable.make_directory(folder)
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise ConfigError(f"Thư mục dữ liệu {folder} đang được một tiến trình trục khác sử dụng.") from error

    def release(self) -> None:
        """Let another process have the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
