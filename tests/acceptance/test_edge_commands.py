"""`lienthong-edge` as a person runs it: a hub and two agents in their own processes, killed and restarted."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PDF = b"%PDF-1.7\n\x00\xff xin chao \r\n"
FIELDS = {
    "To": ["H21.23"],
    "CodeNumber": "123",
    "CodeNotation": "SVDA-VP",
    "PromulgationDate": "2026-11-20",
    "Subject": "V/v thử nghiệm",
    "FullName": "Nguyễn Văn Mẫu",
}
PATIENCE = 90.0


def edge(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; its exit code must be `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent.commands", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


def wait_for(check: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


class Running:
    """A service process and its log."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=stream)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def memory(self, field: str) -> int:
        """kB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1])


class Stage:
    """A hub and the folders of agents, in one temporary folder with a short path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.running: list[Running] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def hub(self, *arguments: str | Path) -> str:
        program = [sys.executable, "-c", "from hub.commands import main; main()", *map(str, arguments)]
        return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout

    def start_hub(self) -> None:
        if not (self.root / "hub").exists():
            self.hub("init", "--dir", self.root / "hub", "--host", "127.0.0.1", "--port", str(self.port))
            settings = self.root / "hub" / "hub.toml"  # a port that another test may have is none to insist on
            settings.write_text(re.sub(r"(?m)^operator_port = .*$", "operator_port = 0", settings.read_text()))
        program = [
            sys.executable,
            "-c",
            "from hub.commands import main; main()",
            "serve",
            "--dir",
            str(self.root / "hub"),
        ]
        self.serve(program, "hub")
        wait_for(lambda: "hub.started" in self.log("hub"), "the hub listens")

    def join(self, code: str) -> Path:
        """A directory that has joined, with quick folders and any free port."""
        printed = self.hub("agency", "add", code, "--name", f"Sở {code}", "--dir", self.root / "hub")
        folder = self.root / code
        edge("join", f"https://127.0.0.1:{self.port}", printed.splitlines()[1].strip(), "--dir", folder)
        configuration = folder / "edge.toml"
        text = (
            configuration.read_text("utf-8")
            .replace("port = 8765", "port = 0")
            .replace("interval = 1.0", "interval = 0.05")
        )
        configuration.write_text(text, "utf-8")
        return folder

    def start(self, folder: Path) -> Running:
        before = self.log(folder.name).count("edge-started")
        running = self.serve([sys.executable, "-m", "edge_agent.commands", "serve", "--dir", str(folder)], folder.name)
        wait_for(lambda: self.log(folder.name).count("edge-started") > before, "the agent runs")
        return running

    def serve(self, command: list[str], name: str) -> Running:
        running = Running(command, self.root / f"{name}.log")
        self.running.append(running)
        return running

    def log(self, name: str) -> str:
        path = self.root / f"{name}.log"
        return path.read_text("utf-8") if path.exists() else ""


@pytest.fixture
def stage() -> Iterator[Stage]:
    root = Path(tempfile.mkdtemp(prefix="lt"))
    built = Stage(root)
    built.start_hub()
    yield built
    for running in built.running:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
    shutil.rmtree(root, ignore_errors=True)


def drop(folder: Path, number: int) -> None:
    outgoing = folder / "folders" / "outgoing"
    (outgoing / f"{number}.pdf").write_bytes(PDF + str(number).encode())
    (outgoing / f"{number}.json").write_text(json.dumps({**FIELDS, "CodeNumber": str(number)}), "utf-8")


def test_from_the_code_to_the_received_document_and_back(stage: Stage, tmp_path: Path):
    a, b = stage.join("H21.16"), stage.join("H21.23")
    sender, recipient = stage.start(a), stage.start(b)
    file = tmp_path / "công văn.pdf"
    file.write_bytes(PDF)
    said = edge(
        "send", file, "--dir", a, "--to", "H21.23", "--number", "123", "--notation", "SVDA-VP", "--date", "2026-11-20",
        "--subject", "V/v thử nghiệm", "--signer", "Nguyễn Văn Mẫu", "--wait",
    )  # fmt: skip
    assert "Trục đã nhận" in said.stdout
    incoming = b / "folders" / "incoming"
    wait_for(lambda: list(incoming.glob("1-*/công văn.pdf")), "arrival")
    assert next(incoming.glob("1-*/công văn.pdf")).read_bytes() == PDF
    (line,) = json.loads(edge("inbox", "--dir", b, "--json").stdout)
    assert (line["sender"], line["subject"]) == ("H21.16", "V/v thử nghiệm")
    assert "V/v thử nghiệm" in edge("inbox", "--dir", b).stdout
    wait_for(lambda: "H21.23: DEN" in edge("status", "--dir", a).stdout, "the delivery is known")
    found = json.loads(edge("status", "--dir", a, "--json").stdout)
    assert [(one["state"], one["count"]) for one in found["outbox"]] == [("DA_GUI", 1)]
    status = tmp_path / "tiep-nhan.status.toml"
    status.write_text('DocumentId = "H21.16,2026/11/20,123/SVDA-VP"\nStatusCode = "03"\n', "utf-8")
    edge("send", status, "--dir", b, "--wait")
    wait_for(lambda: "H21.23: TIEP_NHAN" in edge("status", "--dir", a).stdout, "status 03 is known")
    examined = edge("doctor", "--dir", a).stdout.splitlines()
    assert len(examined) == 13
    assert all(finding.startswith("ĐẠT ") for finding in examined)
    # the idle agent is small (design §7)
    assert max(sender.memory("VmRSS"), recipient.memory("VmRSS")) < 80_000
    assert sender.stop() == recipient.stop() == 0
    assert "edge-stopped" in stage.log("H21.16")


def test_killed_again_and_again_the_recipient_gets_everything_once(stage: Stage):
    a, b = stage.join("H21.16"), stage.join("H21.23")
    stage.start(a)
    recipient = stage.start(b)
    numbers = range(1, 31)
    incoming = b / "folders" / "incoming"
    for number in numbers:
        drop(a, number)
        if number % 5 == 0:
            time.sleep(0.03 * (number // 5))
            recipient.stop(signal.SIGKILL)
            recipient = stage.start(b)
    wait_for(lambda: len(list(incoming.glob("[0-9]*"))) >= len(numbers), "all arrive")
    contents = sorted(int(path.read_bytes().removeprefix(PDF)) for path in incoming.glob("[0-9]*/*.pdf"))
    assert contents == list(numbers)
    states = {
        line["handover"][0]["state"]
        for line in json.loads(edge("inbox", "--dir", b, "--limit", "100", "--json").stdout)
    }
    wait_for(lambda: not list(incoming.glob(".dang-ghi-*")), "nothing half written is left")
    assert "TU_CHOI" not in states
    assert recipient.stop() == 0


def test_killed_again_and_again_the_sender_loses_and_doubles_nothing(stage: Stage):
    a, b = stage.join("H21.16"), stage.join("H21.23")
    sender = stage.start(a)
    stage.start(b)
    numbers = range(1, 31)
    for number in numbers:
        drop(a, number)
        if number % 6 == 0:
            time.sleep(0.04 * (number // 6))
            sender.stop(signal.SIGKILL)
            sender = stage.start(a)
    incoming, done = b / "folders" / "incoming", a / "folders" / "done"
    wait_for(lambda: len(list(done.glob("*.pdf"))) == len(numbers), "all are done")
    wait_for(lambda: len(list(incoming.glob("[0-9]*"))) >= len(numbers), "all arrive")
    contents = sorted(int(path.read_bytes().removeprefix(PDF)) for path in incoming.glob("[0-9]*/*.pdf"))
    assert contents == list(numbers)
    assert len(list(done.glob("*.bien-nhan.tlog-proof"))) == len(numbers)
    assert list((a / "folders" / "outgoing").iterdir()) == []


def test_exit_codes_and_sentences(stage: Stage, tmp_path: Path):
    missing = edge("status", "--dir", tmp_path / "nowhere", code=2)
    assert "edge.toml" in missing.stderr
    assert "https://" in edge("join", "http://127.0.0.1:1", "x", "--dir", tmp_path, code=2).stderr
    assert "enrolment.code" in edge("join", f"https://127.0.0.1:{stage.port}", "sai", "--dir", tmp_path, code=3).stderr
    folder = stage.join("H21.16")
    assert "chưa chạy lần nào" in edge("inbox", "--dir", folder, code=2).stderr
    file = tmp_path / "a.pdf"
    file.write_bytes(PDF)
    fields = tmp_path / "a.toml"
    fields.write_text(
        'To = ["H21.23"]\nCodeNumber = 1\nCodeNotation = "X"\nPromulgationDate = 2026-11-20\nFullName = "M"\n'
    )
    assert "Subject" in edge("send", file, "--fields", fields, "--dir", folder, code=1).stderr
    fields.write_text(fields.read_text() + 'Subject = "TỐI MẬT"\n', "utf-8")
    assert "secrecy.refused" in edge("send", file, "--fields", fields, "--dir", folder, code=3).stderr
    assert "server.unreachable" in edge("release", "1", "--dir", folder, code=1).stderr
    assert list((folder / "folders" / "outgoing").iterdir()) == []
    configuration = folder / "edge.toml"
    configuration.write_text(configuration.read_text("utf-8").replace("interval", "intervall"), "utf-8")
    assert "`interval`" in edge("serve", "--dir", folder, code=2).stderr


def test_a_token_file_that_others_may_read_is_refused_at_start(stage: Stage):
    folder = stage.join("H21.16")
    token = folder / "keys" / "qlvb-token"
    token.write_text("bí mật\n", "utf-8")
    token.chmod(0o644)
    configuration = folder / "edge.toml"
    text = configuration.read_text("utf-8")
    configuration.write_text(re.sub(r"(?m)^# token_file =.*$", 'token_file = "keys/qlvb-token"', text), "utf-8")
    said = edge("serve", "--dir", folder, code=2).stderr
    assert f"chmod 600 {token}" in said
    assert "bí mật" not in said
    token.chmod(0o600)
    assert stage.start(folder).stop() == 0


def test_a_second_agent_on_the_same_directory_is_refused_with_exit_code_2(stage: Stage):
    folder = stage.join("H21.16")
    running = stage.start(folder)
    assert "tác vụ liên thông khác" in edge("serve", "--dir", folder, code=2).stderr
    running.stop(signal.SIGKILL)
    assert stage.start(folder).stop() == 0


def test_config_show_names_every_key_with_meaning_and_default(stage: Stage):
    shown = edge("config", "show", "--defaults").stdout
    for key in ("[hub]", "poll_wait", "[folders]", "interval", "[soap]", "token_file", "[limits]", "giây", "byte"):
        assert key in shown
    assert 'code = "H21.16"' in edge("config", "show", "--dir", stage.join("H21.16")).stdout


def test_the_token_is_shown_once_and_kept_nowhere(stage: Stage):
    folder = stage.join("H21.16")
    token = edge("token", "--dir", folder).stdout.splitlines()[1].removeprefix("Token: ")
    assert len(token) >= 43
    for path in folder.rglob("*"):
        with contextlib.suppress(IsADirectoryError, PermissionError):
            assert token.encode() not in path.read_bytes()


COMMANDS = ("join", "serve", "send", "inbox", "status", "doctor", "token", "release", "clear", "receipt", "config")


def test_help_of_every_command_is_there_and_loads_nothing_heavy():
    shown = edge("--help").stdout
    for command in COMMANDS:
        assert command in shown
        assert "Usage:" in edge(command, "--help").stdout
    program = "import sys, edge_agent.commands as c; c.cli(['-h'], standalone_mode=False); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for heavy in ("'aiohttp'", "'lxml'", "'cryptography'", "'zeep'", "'sqlite_utils'", "'msgspec'"):
        assert heavy not in loaded


def test_the_agent_imports_on_a_system_without_posix_modules():
    blocked = ("fcntl", "pwd", "grp", "termios", "resource", "uvloop")
    program = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        "import os\nfor name in ('fchmod', 'getuid', 'geteuid', 'fork', 'O_DIRECTORY', 'statvfs'):\n"
        "    if hasattr(os, name): delattr(os, name)\n"
        "import edge_agent.service, edge_agent.commands, edge_agent.doctor, edge_agent.bridge.soap_client\n"
        "import edge_agent.overview, edge_agent.posting, edge_agent.join, edge_agent.control\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
