"""`lienthong-edge doctor` finds each thing that can be wrong and says what to do about it; the rest stays ĐẠT."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from edge_stage import PDF, A, B, Edge, eventually, now, province

from certs.trust import TrustBundle
from edge_agent import configuration
from edge_agent.doctor import Finding, examine
from edge_agent.tokens import make_token

SUBJECTS = [
    "Chứng thư",
    "Dữ liệu tin cậy",
    "Ổ đĩa",
    "Thư mục",
    "Quyền của tệp",
    "SQLite",
    "Cơ sở dữ liệu",
    "Mã truy cập của QLVB",
    "Sổ bằng chứng",
    "Tác vụ",
    "Trục",
    "Cơ quan trên trục",
    "Đồng hồ",
]


async def asked(edge: Edge, *, ahead: timedelta = timedelta(), **tables: object) -> dict[str, Finding]:
    """What the command finds, in its own thread; `ahead`: this machine's clock, `tables`: edited configuration."""

    def clock() -> datetime:
        return now() + ahead

    config = msgspec.structs.replace(edge.config, **tables)
    found = await asyncio.to_thread(examine, edge.places, config, clock)
    return {one.subject: one for one in found}


def bad(found: dict[str, Finding]) -> list[str]:
    return [subject for subject, one in found.items() if not one.good]


def lasts(edge: Edge) -> timedelta:
    leaf = x509.load_pem_x509_certificates(edge.places.identity.read_bytes())[0]
    return leaf.not_valid_after_utc - now()


async def test_a_healthy_agent_has_nothing_to_tell():
    async with province() as gialai:
        edge = await gialai.edge(A)
        make_token(edge.places.token_hash)
        found = await asked(edge)
        assert list(found) == SUBJECTS
        assert bad(found) == []


async def test_before_the_first_start_nothing_is_wrong_either():
    async with province() as gialai:
        assert bad(await asked(await gialai.join(A))) == []


@pytest.mark.parametrize(("left", "word"), [(timedelta(days=20), "sắp hết hạn"), (timedelta(days=-1), "hết hạn ngày")])
async def test_a_certificate_near_its_end_or_past_it(left: timedelta, word: str):
    async with province() as gialai:
        edge = await gialai.join(A)
        found = await asked(edge, ahead=lasts(edge) - left)
        assert "Chứng thư" in bad(found)
        assert word in found["Chứng thư"].sentence
        assert "join --anew" in found["Chứng thư"].sentence


async def test_a_revocation_list_that_ran_out():
    async with province() as gialai:
        edge = await gialai.join(A)
        found = await asked(edge, ahead=timedelta(days=20))
        assert "quá hạn" in found["Dữ liệu tin cậy"].sentence
        assert "mạng tới trục" in found["Dữ liệu tin cậy"].sentence


async def test_trust_data_of_another_province():
    async with province() as gialai, province() as stranger:
        edge = await gialai.join(A)
        edge.places.trust_bundle.write_bytes(stranger.hub.trust.bundle.to_json())
        found = await asked(edge)
        assert {"Dữ liệu tin cậy", "Trục"} <= set(bad(found))
        assert "đã ghim" in found["Dữ liệu tin cậy"].sentence


async def test_a_damaged_bundle_without_the_key_of_the_log():
    async with province() as gialai:
        edge = await gialai.join(A)
        bundle = TrustBundle.load(edge.places.trust_bundle)
        edge.places.trust_bundle.write_bytes(msgspec.structs.replace(bundle, log_keys=()).to_json())
        found = await asked(edge)
        assert bad(found) == ["Dữ liệu tin cậy"]
        assert "lienthong-edge join" in found["Dữ liệu tin cậy"].sentence


async def test_a_disk_that_is_nearly_full():
    async with province() as gialai:
        edge = await gialai.join(A)
        found = await asked(edge, limits=configuration.Limits(disk_free=1 << 60))
        assert bad(found) == ["Ổ đĩa"]
        assert "Dọn đĩa" in found["Ổ đĩa"].sentence


async def test_a_folder_that_is_gone():
    async with province() as gialai:
        edge = await gialai.join(A)
        edge.places.outgoing.rmdir()
        found = await asked(edge)
        assert bad(found) == ["Thư mục"]
        assert str(edge.places.outgoing) in found["Thư mục"].sentence


@pytest.mark.parametrize(
    ("name", "mode", "mended"),
    [
        ("data", 0o755, "700"),
        ("data/edge.db", 0o644, "600"),
        ("data/edge.db-wal", 0o640, "600"),
        ("data/payloads", 0o750, "700"),
        ("keys", 0o711, "700"),
        ("keys/control.json", 0o604, "600"),
        ("keys/local-token.json", 0o644, "600"),
        ("keys/qlvb-token", 0o644, "600"),
    ],
)
async def test_a_mode_that_lets_others_in_and_the_command_that_mends_it(name: str, mode: int, mended: str):
    async with province() as gialai:
        edge = await gialai.edge(A)
        make_token(edge.places.token_hash)
        token = edge.places.keys / "qlvb-token"
        token.touch(0o600)
        path = edge.places.root / name
        path.chmod(mode)
        found = await asked(edge, soap=configuration.Soap(token_file=token))
        assert bad(found) == ["Quyền của tệp"]
        assert f"quyền {mode:04o}" in found["Quyền của tệp"].sentence
        assert found["Quyền của tệp"].sentence.endswith(f"Chạy: chmod {mended} {path}")
        path.chmod(int(mended, 8))
        assert bad(await asked(edge, soap=configuration.Soap(token_file=token))) == []


async def test_a_private_key_that_others_read():
    async with province() as gialai:
        edge = await gialai.join(A)
        edge.places.identity.chmod(0o644)
        found = await asked(edge)
        assert {"Chứng thư", "Quyền của tệp"} <= set(bad(found))
        assert f"chmod 600 {edge.places.identity}" in found["Chứng thư"].sentence


async def test_a_damaged_database():
    async with province() as gialai:
        edge = await gialai.edge(A)
        await edge.stop()
        whole = edge.places.database.read_bytes()
        for damaged in (b"no database at all" * 400, whole[:4096] + b"\xff" * (len(whole) - 4096)):
            edge.places.database.write_bytes(damaged)
            found = await asked(edge)
            assert "Cơ sở dữ liệu" in bad(found)
            assert "chép nguyên thư mục data" in found["Cơ sở dữ liệu"].sentence


async def test_an_agent_that_is_not_running_or_takes_nothing():
    async with province() as gialai:
        edge = await gialai.edge(A)
        edge.agent.health.stopping = True
        found = await asked(edge)
        assert bad(found) == ["Tác vụ"]
        assert "đang dừng" in found["Tác vụ"].sentence
        await edge.stop()
        found = await asked(edge)
        assert bad(found) == ["Tác vụ"]
        assert "lienthong-edge serve" in found["Tác vụ"].sentence


async def test_a_hub_that_is_away():
    async with province() as gialai:
        edge = await gialai.join(A)
        await gialai.stop_hub()
        found = await asked(edge)
        assert bad(found) == ["Trục"]
        assert "Không kết nối được" in found["Trục"].sentence
        await gialai.start_hub()


async def test_an_agency_that_the_hub_does_not_let_in():
    async with province() as gialai:
        edge = await gialai.join(A)
        await gialai.hub.administration.suspend(A)
        found = await asked(edge)
        assert bad(found) == ["Cơ quan trên trục"]
        assert "Trung tâm" in found["Cơ quan trên trục"].sentence


@pytest.mark.parametrize("ahead", [timedelta(minutes=7), timedelta(minutes=-7), timedelta(days=1)])
async def test_a_clock_that_is_wrong(ahead: timedelta):
    async with province() as gialai:
        edge = await gialai.join(A)
        found = await asked(edge, ahead=ahead)
        assert "Đồng hồ" in bad(found)
        assert "NTP" in found["Đồng hồ"].sentence


async def test_what_the_doctor_says_holds_nothing_of_a_document(tmp_path: Path):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("a.pdf", PDF)
        await eventually(b.incoming, "arrival")
        said = "\n".join(one.sentence for one in (await asked(b)).values())
        assert "thử nghiệm" not in said
        assert "SVDA" not in said
