"""Each thing that `doctor` can find is found, said in one line with what to do, and never by a traceback."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from hub import descriptors
from hub.configuration import HubConfiguration
from hub.doctor import Finding, examine, ready
from hub.installation import initialise
from runtime import config, database
from tests.support.agency import Attached
from tests.support.hub_process import HubProcess
from tests.support.refusals import stage
from tests.support.running_hub import RunningHub

SMALL = Attached("f1", b"small")
LARGE = Attached("f2", bytes(1 << 20))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped hub that has taken a small payload and a large one."""
    made = tmp_path_factory.mktemp("hub")

    async def fill() -> None:
        async with stage(made) as at:
            await at.sender.send(at.sealed(at.unsealed([SMALL, LARGE])), [SMALL, LARGE])

    asyncio.run(fill())
    return made


@pytest.fixture
def hub(folder: Path, tmp_path: Path) -> HubConfiguration:
    """A copy of it, to be spoilt."""
    subprocess.run(["cp", "-a", f"{folder}/.", tmp_path], check=True)
    return config.load(tmp_path / "hub.toml", HubConfiguration)


def finding(hub: HubConfiguration, subject: str) -> Finding:
    """The first of this subject that is bad, else the first."""
    found = [one for one in examine(hub) if one.subject == subject]
    return next((one for one in found if not one.good), found[0])


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[int]:
    """A program that is no hub, at a port of its own; the parameter is what it answers."""
    body: bytes | None = request.param

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert body is not None
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Mute(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail.example ESMTP\r\n")

    server = HTTPServer(("127.0.0.1", 0), Mute if body is None else Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("stranger", [b"<html>", b"[]", b"{}", b"\xff", None], indirect=True, ids=str)
def test_a_stranger_at_the_operators_port_is_told_from_a_hub(hub: HubConfiguration, stranger: int):
    hub = msgspec.structs.replace(hub, operator_port=stranger)
    answer = ready(hub)
    assert (answer["running"], answer["ready"]) == (False, False)
    assert "chương trình khác" in answer["problems"][0]
    assert not finding(hub, "Trục").good
    assert "operator_port" in finding(hub, "Cổng").sentence


def test_nobody_at_the_operators_port(hub: HubConfiguration):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    answer = ready(msgspec.structs.replace(hub, operator_port=free))
    assert answer["problems"] == ["không có trục nào trả lời ở cổng nội bộ"]


def test_a_port_that_another_program_has_is_named_before_serve_finds_it(hub: HubConfiguration):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = finding(msgspec.structs.replace(hub, port=taken.getsockname()[1]), "Cổng")
    assert not found.good
    assert "dừng chương trình" in found.sentence


def test_ports_of_a_running_hub_answer_and_a_wrong_one_does_not(tmp_path: Path):
    with HubProcess(tmp_path / "hub") as running:
        operator = next(one["operator_port"] for one in running.lines() if "operator_port" in one)
        hub = msgspec.structs.replace(running.configuration, port=running.port, operator_port=operator)
        assert finding(hub, "Cổng").good
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = taken.getsockname()[1]
        found = finding(msgspec.structs.replace(hub, port=free), "Cổng")
        assert not found.good
        assert "không trả lời" in found.sentence


def test_an_unsafe_sqlite_is_a_finding_everywhere_and_no_end_of_the_examination(
    hub: HubConfiguration, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "is_safe", lambda _: False)
    for subject in ("SQLite", "Sổ cái", "Kho tệp"):
        found = finding(hub, subject)
        assert not found.good
        assert "pysqlite3" in found.sentence


def test_a_hub_in_order_has_every_payload(hub: HubConfiguration):
    for subject in ("Kho tệp", "Sổ cái", "Đồng hồ", "Cổng"):
        assert finding(hub, subject).good, subject


def _lose(path: Path) -> None:
    path.unlink()


def _shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("spoil", [_lose, _shorten])
@pytest.mark.parametrize("kind", ["segments", "large"])
def test_a_payload_that_the_ledger_counts_on_is_missed(hub: HubConfiguration, kind: str, spoil: object):
    (path,) = [one for one in (hub.data / "payloads" / kind).rglob("*") if one.is_file()]
    spoil(path)  # type: ignore[operator] # one of the two above
    found = finding(hub, "Kho tệp")
    assert not found.good
    assert path.name in found.sentence
    assert "bản sao lưu" in found.sentence


def test_octets_behind_the_committed_end_of_a_segment_are_no_damage(hub: HubConfiguration):
    (path,) = (hub.data / "payloads/segments").iterdir()
    with path.open("ab") as file:
        file.write(b"of a batch that did not commit")
    assert finding(hub, "Kho tệp").good


def test_a_clock_behind_the_evidence_log_is_found(tmp_path: Path):
    async def tomorrow() -> None:
        async with RunningHub(tmp_path / "hub", lambda: datetime.now(UTC) + timedelta(days=1)) as hub:
            await hub.hub.administration.add("H21.16")

    asyncio.run(tomorrow())
    found = finding(config.load(tmp_path / "hub/hub.toml", HubConfiguration), "Đồng hồ")
    assert not found.good
    assert "chỉnh đồng hồ" in found.sentence


def test_a_hub_that_never_ran_has_nothing_to_miss(tmp_path: Path):
    initialise(
        tmp_path / "hub",
        province="H21",
        province_name="Gia Lai",
        name="x.example",
        hosts=("localhost",),
        port=0,
        at=datetime.now(UTC),
    )
    hub = config.load(tmp_path / "hub/hub.toml", HubConfiguration)
    assert {one.subject for one in examine(hub) if "chưa chạy lần nào" in one.sentence} == {"Sổ cái", "Kho tệp"}
    assert not hub.data.exists()


def test_few_descriptors_are_found_and_serve_takes_all_there_are(
    hub: HubConfiguration, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(descriptors, "highest", lambda: 1024)
    found = finding(hub, "Tệp mở")
    assert not found.good
    assert "LimitNOFILE" in found.sentence
    script = (
        "import resource\nfrom hub import descriptors\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))\n"
        "assert descriptors.raise_limit() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_serve_itself_lifts_the_limit(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        with HubProcess(tmp_path / "hub") as running:
            limits = Path(f"/proc/{running.process_id}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3] == line.split()[4] == str(hard)
