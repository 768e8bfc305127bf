"""Builds the preloaded library of the fault harness and speaks to it from inside the process under test."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")
COMPILERS: Final = ("cc", "gcc", "clang")
INSTALL: Final = "apt-get install gcc libc6-dev, or pip install ziglang"


class Kind(IntEnum):
    """What a point is; the numbers stand in shim.c under the same names."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    FSYNC = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    RMDIR = 8
    LINK = 9
    SEND = 10


class Action(IntEnum):
    """What happens at the armed point; the numbers stand in shim.c under the same names."""

    COUNT = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    KILL_TORN = 3
    FAIL = 4
    SHORT = 5


class ShimUnavailableError(RuntimeError):
    """The library cannot be built here; the text says what to install."""


def build() -> Path:
    """The shared library, compiled once per version of its source; raises ShimUnavailableError."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        raise ShimUnavailableError("the fault harness needs 64-bit Linux (it preloads a library)")
    source = SOURCE.read_bytes()
    folder = Path(tempfile.gettempdir()) / f"lienthong-faults-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"shim-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if not library.exists():
        _compile(library)
    return library


def _compile(library: Path) -> None:
    fresh = library.with_suffix(f".{os.getpid()}")
    command = [*_compiler(), "-O2", "-Wall", "-fPIC", "-shared", "-pthread", "-o", str(fresh), str(SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise ShimUnavailableError(f"{' '.join(command)} failed ({INSTALL}):\n{built.stderr}")
    fresh.replace(library)


def _compiler() -> list[str]:
    """The system's compiler, else the one that the package index has as a wheel."""
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is not None:
        return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise ShimUnavailableError(f"the fault harness needs a C compiler: {INSTALL}")


def watch(root: Path, journal: Path) -> None:
    """From now on every change below `root` is a point and goes to `journal`; only inside a preloaded process."""
    library = ctypes.CDLL(None)
    if library.faults_watch(os.fsencode(root), os.fsencode(journal)) != 0:
        raise ShimUnavailableError(f"cannot watch {root} with journal {journal}")


def arm(action: Action, point: int, *, error: int = 0, kinds: int = 0, repeat: int = 1, death: int = 0) -> None:
    """`action` at the `point`-th point of `kinds` (bit set, 0 for all), `repeat` times; the end before `death`."""
    ctypes.CDLL(None).faults_arm(
        ctypes.c_int(action),
        ctypes.c_long(point),
        ctypes.c_int(error),
        ctypes.c_uint(kinds),
        ctypes.c_long(repeat),
        ctypes.c_long(death),
    )
