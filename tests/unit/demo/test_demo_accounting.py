"""The demo's own proofs fail when they should: on real folders with a document lost, doubled, strange or altered."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from demo.killing import check_worth, exactly_once, identical
from demo.programs import NotVerified
from demo.province import Agency, Arrival, arrivals_in

SENT = {f"H21.16,2026/11/20,{number}/SVDA-VP": f"nội dung {number}".encode() for number in range(201, 206)}
BEFORE = ["H21.16,2026/11/20,123/SVDA-VP"]


def arrive(incoming: Path, document_id: str, data: bytes) -> Path:
    """As an agent hands over: a folder of the next number with package, receipt and attachment."""
    folder = incoming / f"{len(list(incoming.iterdir())) + 1}-{document_id.replace('/', '-').replace(',', '_')}"
    folder.mkdir()
    (folder / "van-ban.edxml").write_text(f"<edXML><x:DocumentId>{document_id}</x:DocumentId></edXML>", "utf-8")
    (folder / "bien-nhan.tlog-proof").touch()
    (folder / "báo cáo.bin").write_bytes(data)
    return folder


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """B's folder after a stream in which everything went well."""
    folder = tmp_path / "so-b" / "folders" / "incoming"
    folder.mkdir(parents=True)
    for document_id, data in {BEFORE[0]: b"first", **SENT}.items():
        arrive(folder, document_id, data)
    return folder


def account(incoming: Path) -> list[Arrival]:
    arrivals = arrivals_in(incoming)
    exactly_once((one.document_id for one in arrivals), SENT, BEFORE, "văn bản tại B")
    digests = {document_id: hashlib.sha256(data).hexdigest() for document_id, data in SENT.items()}
    identical((one for one in arrivals if one.document_id in SENT), digests)
    return arrivals


def test_everything_once_and_identical_is_verified(incoming: Path):
    assert [one.document_id for one in account(incoming)] == [*BEFORE, *SENT]


def test_a_lost_document_is_not_verified_also_when_it_was_seen_before(incoming: Path, tmp_path: Path):
    agency = Agency("B", "H21.23", tmp_path)
    assert len(agency.arrivals()) == 6
    shutil.rmtree(next(incoming.glob("4-*")))
    with pytest.raises(NotVerified, match=r"mất 1 \['H21.16,2026/11/20,203/SVDA-VP'\]"):
        account(incoming)


def test_a_doubled_document_is_not_verified(incoming: Path):
    arrive(incoming, list(SENT)[2], SENT[list(SENT)[2]])
    with pytest.raises(NotVerified, match=r"đến nhiều lần 1 \['H21.16,2026/11/20,203/SVDA-VP'\]"):
        account(incoming)


def test_a_document_of_an_earlier_step_that_comes_again_is_not_verified(incoming: Path):
    arrive(incoming, BEFORE[0], b"first")
    with pytest.raises(NotVerified, match="đến nhiều lần 1"):
        account(incoming)


def test_a_document_that_nobody_sent_is_not_verified(incoming: Path):
    """It used to be left out of the count: only what A's agent had acknowledged was looked at."""
    arrive(incoming, "H21.16,2026/11/20,999/SVDA-VP", b"strange")
    with pytest.raises(NotVerified, match=r"không ai gửi 1 \['H21.16,2026/11/20,999/SVDA-VP'\]"):
        account(incoming)


def test_one_altered_octet_is_not_verified(incoming: Path):
    file = next(incoming.glob("3-*/báo cáo.bin"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(NotVerified, match="khác tệp ở A"):
        account(incoming)


def test_a_missing_or_second_attachment_is_not_verified(incoming: Path):
    extra = next(incoming.glob("3-*")) / "thêm.bin"
    extra.touch()
    with pytest.raises(NotVerified, match="chờ một tệp đính kèm, thấy 2"):
        account(incoming)
    extra.unlink()
    next(incoming.glob("3-*/báo cáo.bin")).unlink()
    with pytest.raises(NotVerified, match="chờ một tệp đính kèm, thấy 0"):
        account(incoming)


@pytest.mark.parametrize(("in_flight", "while_dead"), [([3, 0], 5), ([0, 2], 5), ([4], 5), ([], 5), ([3, 2], 0)])
def test_a_kill_while_nothing_was_on_its_way_proves_nothing(in_flight: list[int], while_dead: int):
    with pytest.raises(NotVerified):
        check_worth(in_flight, while_dead)


def test_two_kills_in_the_middle_are_worth_something():
    check_worth([3, 1], 1)
