"""Opens files that others put into a folder: only regular ones, never through a link.

Whoever may write to `outgoing/` must not be able to send what only this agent may read (its key, its database).
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Final

from protocol import errors
from protocol.errors import ExchangeError

# what a system lacks it has no need of: Windows has no links that an open follows unasked, and no named pipes there
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe put in place of the file must not hold us
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: Path) -> io.FileIO:
    """The file, for reading. Raises `attachment.not-a-file` for a link, pipe, device or folder, and `OSError`."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ExchangeError(errors.NOT_A_FILE) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ExchangeError(errors.NOT_A_FILE)
    return io.FileIO(descriptor, "rb")
