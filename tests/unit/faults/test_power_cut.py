"""The rules by which a power cut is made: what an fsync saves, what it does not, and what torn means."""

from pathlib import Path

import pytest

from tests.faults.journal import Entry
from tests.faults.power_cut import Change, JournalGapError, Surviving, World, differences
from tests.faults.shim import Action, Kind

CREATE = 0o100644


def entry(kind: Kind, path: Path | str = "", **values: object) -> Entry:
    plain: dict[str, object] = {
        "executed": True, "fired": Action.COUNT, "existed": False, "point": 1, "inode": 0, "inode2": 1, "offset": 0,
        "result": 0, "error": 0, "mode": CREATE, "path2": "", "data": b"", "pid": 1,
    }  # fmt: skip
    return Entry(kind=kind, path=str(path), **{**plain, **values})  # type: ignore[arg-type]


def made(root: Path, name: str, inode: int, data: bytes) -> list[Entry]:
    path = root / name
    return [entry(Kind.OPEN, path, inode=inode), entry(Kind.WRITE, path, inode=inode, data=data, result=len(data))]


def sync(path: Path, inode: int = 0, result: int = 0) -> Entry:
    return entry(Kind.FSYNC, path, inode=inode or path.stat().st_ino, result=result)


def left(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_was_there_before_stays(tmp_path: Path):
    (tmp_path / "key").write_bytes(b"old")
    (tmp_path / "key").chmod(0o600)
    world = World.take(tmp_path)
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"key": b"old"}
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_file_without_any_fsync_is_gone(tmp_path: Path):
    world = World.take(tmp_path)
    world.replay(made(tmp_path, "a", 7, b"data"))
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {}


def test_fsync_of_the_file_alone_does_not_save_its_name(tmp_path: Path):
    world = World.take(tmp_path)
    world.replay([*made(tmp_path, "a", 7, b"data"), sync(tmp_path / "a", 7)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {}


def test_fsync_of_the_folder_alone_leaves_an_empty_file(tmp_path: Path):
    world = World.take(tmp_path)
    world.replay([*made(tmp_path, "a", 7, b"data"), sync(tmp_path)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b""}


def test_both_fsyncs_save_it(tmp_path: Path):
    world = World.take(tmp_path)
    world.replay([*made(tmp_path, "a", 7, b"data"), sync(tmp_path / "a", 7), sync(tmp_path)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b"data"}


def test_a_rename_needs_the_fsync_of_the_folder(tmp_path: Path):
    (tmp_path / "final").write_bytes(b"old")
    steps = [
        *made(tmp_path, "tmp", 7, b"new"),
        entry(Kind.FSYNC, tmp_path / "tmp", inode=7),
        entry(Kind.RENAME, tmp_path / "tmp", path2=str(tmp_path / "final"), inode=7),
    ]
    world = World.take(tmp_path)
    world.replay(steps)
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"final": b"old"}
    world = World.take(tmp_path)
    world.replay([*steps, sync(tmp_path)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"final": b"new"}


@pytest.mark.parametrize("synced", ["from", "to"])
def test_a_rename_between_two_folders_is_torn_by_nobody(tmp_path: Path, synced: str):
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    world = World.take(tmp_path)
    moved = entry(Kind.RENAME, tmp_path / "from" / "a", path2=str(tmp_path / "to" / "a"), inode=7)
    whole = [*made(tmp_path / "from", "a", 7, b"data"), entry(Kind.FSYNC, tmp_path / "from" / "a", inode=7)]
    world.replay([*whole, moved, sync(tmp_path / synced), sync(tmp_path / "from")])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"to/a": b"data"}


def test_an_unlinked_file_comes_back_until_the_folder_is_fsynced(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    gone = entry(Kind.UNLINK, tmp_path / "a", inode=(tmp_path / "a").stat().st_ino)
    world = World.take(tmp_path)
    world.replay([gone])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b"data"}
    world = World.take(tmp_path)
    world.replay([gone, sync(tmp_path)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {}


def test_a_failed_fsync_is_not_made_good_by_a_later_one(tmp_path: Path):
    world = World.take(tmp_path)
    failing = entry(Kind.FSYNC, tmp_path / "a", inode=7, result=-1, executed=False)
    world.replay([*made(tmp_path, "a", 7, b"data"), failing, sync(tmp_path / "a", 7), sync(tmp_path)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b""}


def test_a_new_folder_is_lost_with_all_that_was_synced_in_it(tmp_path: Path):
    world = World.take(tmp_path)
    below = tmp_path / "below"
    world.replay(
        [
            entry(Kind.MKDIR, below, inode=6, mode=0o40755),
            *made(below, "a", 7, b"data"),
            entry(Kind.FSYNC, below / "a", inode=7),
            entry(Kind.FSYNC, below, inode=6),
        ]
    )
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {}


def test_a_hard_link_shares_the_content(tmp_path: Path):
    world = World.take(tmp_path)
    world.replay(
        [
            *made(tmp_path, "a", 7, b"data"),
            entry(Kind.LINK, path2=str(tmp_path / "b"), inode=7),
            entry(Kind.FSYNC, tmp_path / "a", inode=7),
            sync(tmp_path),
        ]
    )
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b"data", "b": b"data"}
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino


def test_torn_writes_break_at_sector_boundaries_and_are_reproducible(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"o" * 4096)
    states = set()
    for seed in range(40):
        (tmp_path / "a").write_bytes(b"o" * 4096)
        path = tmp_path / "a"
        for _again in range(2):
            world = World.take(tmp_path)
            node = path.stat().st_ino
            world.replay([entry(Kind.WRITE, path, inode=node, data=b"n" * 4000, offset=96, result=4000)])
            world.cut(Surviving.TORN, seed)
            content = path.read_bytes()
            states.add(content)
            path.write_bytes(b"o" * 4096)
            assert len({content[at] for at in range(96, 512)}) == 1
            assert all(len(set(content[at : at + 512])) == 1 for at in range(512, 4096, 512))
    assert b"o" * 4096 in states
    assert b"o" * 96 + b"n" * 4000 in states
    assert 5 < len(states) <= 41, "the same seed leaves the same state; different seeds leave different ones"


def test_a_truncation_that_is_not_synced_leaves_the_tail(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"0123456789")
    node = (tmp_path / "a").stat().st_ino
    world = World.take(tmp_path)
    world.replay([entry(Kind.TRUNCATE, tmp_path / "a", inode=node, offset=4)])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b"0123456789"}
    world = World.take(tmp_path)
    node = (tmp_path / "a").stat().st_ino
    world.replay([entry(Kind.TRUNCATE, tmp_path / "a", inode=node, offset=4), sync(tmp_path / "a")])
    world.cut(Surviving.LOST, 0)
    assert left(tmp_path) == {"a": b"0123"}


def test_a_write_beyond_the_end_fills_with_zeros():
    content = bytearray(b"ab")
    Change(4, b"z").apply(content)
    assert content == b"ab\0\0z"


def test_a_file_that_the_journal_never_saw_made_is_reported(tmp_path: Path):
    world = World.take(tmp_path)
    with pytest.raises(JournalGapError):
        world.replay([entry(Kind.WRITE, tmp_path / "a", inode=12345, data=b"x", result=1)])


def test_the_comparison_with_the_real_folder_finds_what_was_written_past_the_shim(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    world = World.take(tmp_path)
    assert differences(world) == []
    (tmp_path / "a").write_bytes(b"other")
    (tmp_path / "b").write_bytes(b"")
    assert differences(world) == ["a", "b"]
