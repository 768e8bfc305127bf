"""The lock of a data folder: one holder, told in a sentence, released by the kernel when the holder dies."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ConfigError
from runtime.lock import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from runtime.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), "tác vụ")
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_holder_is_refused_and_told_what_holds_it(tmp_path: Path):
    with FolderLock(tmp_path / "data", "tác vụ liên thông"), pytest.raises(ConfigError, match="tác vụ liên thông khác"):
        FolderLock(tmp_path / "data", "tác vụ liên thông")
    FolderLock(tmp_path / "data", "tác vụ liên thông").release()


def test_a_holder_that_is_killed_holds_nothing(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError):
            FolderLock(tmp_path, "tác vụ")
        holder.kill()
        holder.wait()
        FolderLock(tmp_path, "tác vụ").release()


def test_release_twice_is_once_and_the_folder_is_private(tmp_path: Path):
    lock = FolderLock(tmp_path / "data", "trục")
    lock.release()
    lock.release()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "lock").stat().st_mode) == 0o600
