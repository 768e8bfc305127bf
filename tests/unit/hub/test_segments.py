"""Segment files: what is committed stays, what is not is cut off or overwritten, a failed fsync closes the segment."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hub.ledger.records import Placement
from hub.payloads import segments as module
from hub.payloads.segments import SEGMENT_SIZE, Appendix, Segments
from runtime import durable


def planned(segments: Segments, *payloads: bytes) -> tuple[list[Placement], Appendix]:
    plan = segments.plan()
    placements = [plan.add(payload) for payload in payloads]
    assert plan.appendix
    return placements, plan.appendix


def add(segments: Segments, *payloads: bytes):
    placements, appendix = planned(segments, *payloads)
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
    _, lost = planned(segments, b"lost for ever")
    segments.write(lost)
    (place,), _ = add(segments, b"next")
    assert (place.position, segments.read(place)) == (4, b"next")
    segments.close()


def test_uncommitted_octets_are_cut_off_at_start(tmp_path: Path) -> None:
    segments = Segments(tmp_path, ())
    add(segments, b"kept")
    _, lost = planned(segments, b"lost")
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
        _, appendix = planned(segments, b"lost")
        with pytest.raises(OSError, match="disk"):
            segments.write(appendix)
    (place,), _ = add(segments, b"next")
    assert (place.segment, place.position) == (2, 0)
    segments.close()


def test_a_full_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    segments = Segments(tmp_path, [(7, SEGMENT_SIZE)])
    placements, appendix = planned(segments, b"x")
    assert (placements[0].segment, appendix.start) == (8, 0)
    segments.close()


def test_a_new_segment_whose_name_could_not_be_made_durable_is_tried_again_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(tmp_path, ())
    _, appendix = planned(segments, b"x")
    flushed: list[Path] = []

    def fail_once(folder: Path) -> None:
        flushed.append(folder)
        if len(flushed) == 1:
            raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(durable, "fsync_directory", fail_once)
    with pytest.raises(OSError, match="disk"):
        segments.write(appendix)
    segments.write(appendix)
    assert flushed == [tmp_path, tmp_path]
    segments.close()


def test_few_segments_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_SIZE", 1)
    monkeypatch.setattr(module, "RECENT_OCTETS", 0)
    segments = Segments(tmp_path, ())
    places = [add(segments, b"%d" % number)[0][0] for number in range(3 * module.READERS)]
    assert [segments.read_cached(place) or segments.read(place) for place in places] == [
        b"%d" % number for number in range(3 * module.READERS)
    ]
    assert len(segments._readers) <= module.READERS
    segments.close()


def test_the_latest_payloads_are_in_memory_and_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECENT_OCTETS", 10)
    segments = Segments(tmp_path, ())
    placed, _ = add(segments, b"", b"12345", b"", b"67890")
    (tmp_path / "00000001.seg").unlink()
    assert [segments.read_cached(place) for place in placed[1::2]] == [b"12345", b"67890"]
    add(segments, b"abcde")
    assert sum(map(len, segments._recent.values())) == segments._recent_octets == 10
    segments.close()


def test_a_segment_that_is_too_short_is_said_to_be(tmp_path: Path) -> None:
    segments = Segments(tmp_path, ())
    (place,), _ = add(segments, b"twelve octets")
    (tmp_path / "00000001.seg").write_bytes(b"twelve")
    with pytest.raises(OSError, match="shorter than the ledger says"):
        segments.read(place)
    segments.close()
