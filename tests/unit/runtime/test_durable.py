"""Names of folders and files: who finds one that is not known to be durable makes it durable first."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from runtime import durable
from runtime.database import connect


def _refuse(_folder: Path) -> None:
    raise OSError(errno.EIO, "disk")


class Disk:
    """Counts fsyncs of folders; the first `failures` of them fail, and so does the removal of a folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        self.flushed: list[Path] = []
        self._failures = failures
        monkeypatch.setattr(durable, "fsync_directory", self._fsync)
        monkeypatch.setattr(Path, "rmdir", _refuse)

    def _fsync(self, folder: Path) -> None:
        self.flushed.append(folder)
        if len(self.flushed) <= self._failures:
            raise OSError(errno.EIO, "disk")


def test_a_folder_whose_name_could_not_be_made_durable_is_not_taken_for_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(monkeypatch, failures=2)
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        with pytest.raises(OSError, match="disk"):
            durable.make_directory(folder)
    durable.make_directory(folder)
    assert disk.flushed == [tmp_path, tmp_path, tmp_path, tmp_path / "a"]
    durable.make_directory(folder)
    assert len(disk.flushed) == 4


def test_a_folder_that_another_thread_is_making_is_made_durable_by_whoever_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "a"
    seen: list[int] = []

    def while_the_first_waits(_folder: Path) -> None:
        seen.append(len(seen))
        if len(seen) == 1:
            durable.make_directory(folder)  # finds the name, and does not rely on it

    monkeypatch.setattr(durable, "fsync_directory", while_the_first_waits)
    durable.make_directory(folder)
    assert seen == [0, 1]
    durable.make_directory(folder)
    assert seen == [0, 1]


def test_a_database_is_not_opened_before_the_names_of_its_files_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """SQLite ignores a failure of this fsync: a power cut then took the whole log of what was acknowledged."""
    names: list[set[str]] = []

    def fail_once(folder: Path) -> None:
        names.append({path.name for path in folder.iterdir()})
        if len(names) == 1:
            raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(durable, "fsync_directory", fail_once)
    with pytest.raises(OSError, match="disk"):
        connect(tmp_path / "a.db")
    connect(tmp_path / "a.db").close()
    assert [name >= {"a.db", "a.db-wal"} for name in names] == [True, True]
