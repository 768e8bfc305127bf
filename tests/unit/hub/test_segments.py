"""Segment files: what is committed stays, what is not is cut off or overwritten, a failed fsync closes the segment."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hub.payloads.segments import SEGMENT_SIZE, Segments
from runtime import durable


def add(segments: Segments, *payloads: bytes):
    placements, appendix = segments.place(payloads)
    segments.write(appendix)
    segments.adopt(appendix)
    return placements, appendix


def test_payloads_are_read_back_from_where_they_were_placed(tmp_path: Path) -> None:
    segments = Segments(tmp_path, ())
    first, _ = add(segments, b"one", b"", b"three")
    second, appendix = add(segments, b"four")
    assert [segments.read(place) for place in first + second] == [b"one", b"", b"three", b"four"]
    assert segments.read_cached(first[2]) in {b"three", None}
    assert (appendix.segment, appendix.start, appendix.end) == (1, 8, 12)
    segments.close()
    segments.close()


def test_octets_of_a_batch_that_did_not_commit_are_overwritten(tmp_path: Path) -> None:
    segments = Segments(tmp_path, ())
    add(segments, b"kept")
    _, lost = segments.place([b"lost for ever"])
    segments.write(lost)
    (place,), _ = add(segments, b"next")
    assert (place.position, segments.read(place)) == (4, b"next")
    segments.close()


def test_uncommitted_octets_are_cut_off_at_start(tmp_path: Path) -> None:
    segments = Segments(tmp_path, ())
    add(segments, b"kept")
    _, lost = segments.place([b"lost"])
    segments.write(lost)
    segments.close()
    (tmp_path / "00000002.seg").write_bytes(b"never committed")
    again = Segments(tmp_path, [(1, 4)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"00000001.seg": b"kept"}
    (place,), _ = add(again, b"more")
    assert again.read(place) == b"more"
    again.close()


def test_a_failed_fsync_closes_the_segment_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = Segments(tmp_path, ())
    add(segments, b"kept")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "disk")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "fsync_file", fail)
        _, appendix = segments.place([b"lost"])
        with pytest.raises(OSError, match="disk"):
            segments.write(appendix)
    (place,), _ = add(segments, b"next")
    assert (place.segment, place.position) == (2, 0)
    segments.close()


def test_a_full_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    segments = Segments(tmp_path, [(7, SEGMENT_SIZE)])
    placements, appendix = segments.place([b"x"])
    assert (placements[0].segment, appendix.start) == (8, 0)
    segments.close()
