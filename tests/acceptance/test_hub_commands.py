"""`lienthong-hub` as operators run it: the installed command in processes of its own, its words and its exit codes."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from hub.commands import cli, main
from hub.configuration import HubConfiguration
from runtime import config, logs
from tests.support.agency import AgencyClient
from tests.support.hub_process import PROGRAM, HubProcess, lienthong_hub

REPOSITORY = Path(__file__).parents[2]
VIETNAMESE = re.compile("[ăâđêôơưàảãáạắằẳẵặấầẩẫậéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựýỳỷỹỵ]", re.IGNORECASE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub that serves for all tests that only ask."""
    with HubProcess(tmp_path_factory.mktemp("running") / "hub") as hub:
        hub.configure("port", str(hub.port))
        hub.configure("operator_port", str(next(one["operator_port"] for one in hub.lines() if "operator_port" in one)))
        yield hub


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> HubProcess:
    """A hub that is set up and does not run."""
    return HubProcess(tmp_path_factory.mktemp("stopped") / "hub")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same entry point in this process, for the many cases of one rule: a process takes most of a second."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lienthong-hub", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        said = capsys.readouterr()
        return int(leaving.value.code or 0), said.out, said.err

    return run


# help, usage


def test_help_needs_none_of_the_heavy_libraries():
    """What keeps `--help` far below 150 ms; a command loads what it needs when it needs it."""
    script = (
        "import sys\nfrom hub.commands import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'aiohttp', 'cryptography', 'lxml', 'msgspec', 'prometheus_client', 'pysqlite3', 'rich', 'ssl',"
        " 'asyncio', 'sqlite_utils', 'structlog', 'zeep'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True, capture_output=True, timeout=60)


def commands_of(group: object = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():  # type: ignore[attr-defined] # a click group
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))
        else:
            yield (*path, name)


def test_help_of_the_program_and_of_a_command_is_vietnamese():
    done = lienthong_hub("agency", "add", "--help")
    assert done.returncode == 0
    assert VIETNAMESE.search(done.stdout)
    assert "0 xong" in lienthong_hub("-h").stdout
    assert re.search(r"\d+\.\d+\.\d+", lienthong_hub("--version").stdout)


@pytest.mark.parametrize("path", list(commands_of()), ids=" ".join)
def test_every_command_says_in_vietnamese_what_it_does(path: tuple[str, ...]):
    command = cli
    for name in path:
        command = command.commands[name]
    assert VIETNAMESE.search(command.help or ""), path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert VIETNAMESE.search(parameter.help or ""), (path, parameter.name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("agency",),
        ("agency", "add"),
        ("serve", "--fast"),
        ("release", "one", "H21.16"),
        ("init", "--port", "x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(
    here: Run, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    code, _, said = here(*arguments)
    assert code == 2
    assert "Sai cách dùng" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_process_ends_with_the_same_codes(tmp_path: Path):
    assert lienthong_hub("fly", cwd=tmp_path).returncode == 2
    assert lienthong_hub("serve", cwd=tmp_path).returncode == 2


# init


def test_init_makes_a_hub_with_private_keys_and_refuses_a_second_time(tmp_path: Path):
    folder = tmp_path / "hub"
    done = lienthong_hub(
        "init", "--dir", folder, "--port", "0", "--name", "truc.example.vn", "--host", "truc.example.vn"
    )
    assert done.returncode == 0, done.stderr
    assert "ngoại tuyến" in done.stdout
    keys = sorted(path.relative_to(folder) for path in folder.rglob("*.key"))
    assert {str(one) for one in keys} == {"ca/intermediate.key", "ca/root.key", "hub.key", "log.key"}
    assert all((folder / one).stat().st_mode & 0o777 == 0o600 for one in keys)
    assert folder.stat().st_mode & 0o077 == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = lienthong_hub("init", "--dir", folder)
    assert (again.returncode, again.stdout) == (2, "")
    assert "không ghi đè" in again.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_folder_is_the_current_one_or_comes_from_the_environment(stopped: HubProcess, tmp_path: Path):
    for done in (
        lienthong_hub("config", "show", cwd=stopped.folder),
        lienthong_hub("config", "show", cwd=tmp_path, LIENTHONG_HUB_DIR=str(stopped.folder)),
    ):
        assert done.returncode == 0
        assert 'province = "H21"' in done.stdout


# configuration


def test_config_show_prints_every_key_and_reads_back(here: Run, stopped: HubProcess, tmp_path: Path):
    shown = here("config", "show", "--dir", stopped.folder)[1]
    for setting in config.describe(HubConfiguration):
        assert setting.meaning in shown
        assert f"{setting.key.rpartition('.')[2]} = " in shown
    (tmp_path / "hub.toml").write_text(shown)
    assert config.load(tmp_path / "hub.toml", HubConfiguration).province == "H21"
    assert "mặc định 7443" in here("config", "show", "--defaults")[1]


BAD_CONFIGURATIONS = {
    "an unknown key": ("port", "prot = 7443", "Có phải ý là `port`"),
    "a wrong type": ("port", 'port = "nhiều"', "`port` phải là số nguyên"),
    "out of range": ("port", "port = 70000", "`port`"),
    "no TOML": ("port", "port = = 1", "không phải TOML"),
    "a value outside the list": ("log_level", 'log_level = "loud"', "log_level"),
    "a key file that is not there": ("key", 'key = "nowhere.key"', "nowhere.key"),
    "a CA that is not there": ("authority", 'authority = "nowhere"', "nowhere"),
}


@pytest.mark.parametrize(("key", "line", "said"), BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS)
def test_serve_with_bad_configuration_ends_with_2_and_says_what_is_wrong(
    here: Run, stopped: HubProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, line: str, said: str
):
    for path in stopped.folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "hub.toml").unlink()
    lines = (stopped.folder / "hub.toml").read_text().splitlines()
    changed = [line if one.startswith(f"{key} = ") else one for one in lines]
    assert changed != lines
    (tmp_path / "hub.toml").write_text("\n".join(changed))
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)  # the logs of this process are pytest's
    code, _, error = here("serve", "--dir", tmp_path)
    assert code == 2
    assert said in error
    assert "Traceback" not in error


def test_serve_without_a_hub_ends_with_2(here: Run, tmp_path: Path):
    code, _, said = here("serve", "--dir", tmp_path)
    assert code == 2
    assert "hub.toml" in said


def test_second_hub_on_the_same_data_waits_and_ends_with_1(running: HubProcess):
    """Not with 2, after which the unit does not try again: whoever has the ledger may end."""
    done = running.run("serve")
    assert done.returncode == 1
    assert "tiến trình trục khác" in done.stderr
    assert running.run("status").returncode in {0, 1}  # the first one goes on
    assert running.run("agency", "list").returncode == 0


def test_port_that_is_taken_ends_with_1(running: HubProcess, tmp_path: Path):
    """Not a configuration that can never work: the unit may try again."""
    other = HubProcess(tmp_path / "hub", port=str(running.port))
    done = other.run("serve")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def holding(folder: Path) -> subprocess.Popen[str]:
    """A process that has the ledger of this hub, as a command has for a moment."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom runtime.lock import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]), 'tiến trình trục')\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, folder / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_hub_that_starts_while_a_command_has_the_ledger_waits_for_it(tmp_path: Path):
    hub = HubProcess(tmp_path / "hub")
    with holding(hub.folder) as command:
        starting = subprocess.Popen(
            [PROGRAM, "serve", "--dir", hub.folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):  # it would have started, or given up
            starting.wait(3)
        command.communicate("")
    assert starting.stderr is not None
    assert any("hub.started" in line for line in starting.stderr)
    starting.terminate()
    starting.communicate()
    assert starting.returncode == 0


def test_commands_that_look_take_nothing_from_a_hub_that_starts(here: Run, tmp_path: Path):
    """No lock, no migration, no stray removed: they read what is there, also while another has the ledger."""
    hub = HubProcess(tmp_path / "hub")
    assert here("agency", "list", "--json", "--dir", hub.folder)[:2] == (0, "[]\n")
    assert not (hub.folder / "data").exists()
    assert here("agency", "add", "H21.16", "--name", "Sở A", "--dir", hub.folder)[0] == 0
    stray = hub.folder / "data/payloads/receiving/1-1.part"
    stray.write_bytes(b"half")
    with holding(hub.folder) as command:
        assert "Sở A" in here("agency", "list", "--dir", hub.folder)[1]
        assert here("dead", "--dir", hub.folder)[0] == 0
        assert json.loads(here("status", "--json", "--dir", hub.folder)[1])["running"] is False
        command.communicate("")
    assert stray.exists()


def test_change_while_another_has_the_ledger_ends_with_1(here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hub.offline.PATIENCE", 0.2)
    hub = HubProcess(tmp_path / "hub")
    with holding(hub.folder) as command:
        code, _, said = here("agency", "add", "H21.16", "--dir", hub.folder)
        assert code == 1
        assert "tiến trình trục khác" in said
        command.communicate("")
    assert here("agency", "add", "H21.16", "--dir", hub.folder)[0] == 0


# agencies, running and stopped


@pytest.fixture(params=["running", "stopped"])
def hub(request: pytest.FixtureRequest) -> HubProcess:
    """The same commands through the control socket, and on the ledger when nobody runs."""
    made: HubProcess = request.getfixturevalue(request.param)
    return made


def listed(hub: HubProcess, here: Run | None = None) -> dict[str, dict[str, object]]:
    """The agencies, as a process or (quicker) this one prints them."""
    if here is None:
        done = hub.run("agency", "list", "--json")
        code, said = done.returncode, done.stdout
    else:
        code, said, _ = here("agency", "list", "--json", "--dir", hub.folder)
    assert code == 0
    return {one["code"]: one for one in json.loads(said)}


def test_agency_is_added_listed_suspended_and_resumed(here: Run, hub: HubProcess):
    done = hub.run(
        "agency", "add", "000.00.16.H21", "--name", "Sở Nội vụ", "--alias", "SNV", "--domain", "snv.example.vn"
    )
    assert done.returncode == 0, done.stderr
    (code,) = re.findall(r"^  ((?:[0-9A-Z]{5}-){6}[0-9A-Z]{5})$", done.stdout, re.MULTILINE)
    assert f"lienthong-edge join {hub.configuration.public_url} {code}" in done.stdout
    assert listed(hub)["H21.16"]["state"] == "invited"
    assert listed(hub, here)["H21.16"]["name"] == "Sở Nội vụ"
    table = here("agency", "list", "--dir", hub.folder)[1]
    assert "Sở Nội vụ" in table
    assert "chưa tham gia" in table
    for command, state in (("suspend", "suspended"), ("resume", "invited")):
        assert here("agency", command, "SNV", "--dir", hub.folder)[0] == 0
        assert listed(hub, here)["H21.16"]["state"] == state
    exit_code, second, _ = here("agency", "invite", "H21.16", "--dir", hub.folder)
    assert exit_code == 0
    assert second.strip() != code


def test_agency_that_is_unknown_ends_with_3_and_one_that_cannot_be_with_1(here: Run, hub: HubProcess):
    done = hub.run("agency", "suspend", "H21.999")
    assert (done.returncode, done.stdout) == (3, "")
    for command in ("suspend", "resume", "invite", "token"):
        code, out, said = here("agency", command, "H21.999", "--dir", hub.folder)
        assert (code, out) == (3, ""), said
        assert "recipient.unknown" in said
    for wrong in ("../x", "a b", "x" * 40):
        code, out, said = here("agency", "add", wrong, "--dir", hub.folder)
        assert (code, out) == (1, ""), said
        assert "element.range" in said
    assert not {"../x", "a b"} & listed(hub, here).keys()


def test_alias_of_another_agency_is_refused(here: Run, hub: HubProcess):
    assert here("agency", "add", "H21.41", "--alias", "BDT", "--dir", hub.folder)[0] == 0
    assert here("agency", "add", "H21.42", "--alias", "BDT", "--dir", hub.folder)[0] == 1
    assert "H21.42" not in listed(hub, here)


def test_token_is_printed_once_and_not_kept(here: Run, hub: HubProcess):
    here("agency", "add", "H21.51", "--name", "x", "--dir", hub.folder)
    code, out, _ = here("agency", "token", "H21.51", "--dir", hub.folder)
    assert code == 0
    token = out.strip()
    assert len(token) >= 40
    files = [path for path in hub.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]
    assert here("agency", "token", "H21.51", "--revoke", "--dir", hub.folder)[0] == 0


def test_dead_deliveries_are_listed_and_only_dead_ones_released(here: Run, hub: HubProcess):
    here("agency", "add", "H21.61", "--name", "x", "--dir", hub.folder)
    assert json.loads(here("dead", "--json", "--dir", hub.folder)[1]) == []
    assert "không có" in here("dead", "--dir", hub.folder)[1]
    code, _, said = here("release", "7", "H21.61", "--dir", hub.folder)
    assert code == 1
    assert "document.not-found" in said
    assert here("release", "7", "H21.999", "--dir", hub.folder)[0] == 3


def test_control_socket_is_for_its_owner_only(running: HubProcess):
    assert (running.folder / "hub.sock").stat().st_mode & 0o777 == 0o600


# status, doctor


def test_status_of_a_running_hub(here: Run, running: HubProcess):
    done = running.run("status", "--json")
    answer = json.loads(done.stdout)
    assert answer["running"] is True
    assert done.returncode == (0 if answer["ready"] else 1)
    code, text, _ = here("status", "--dir", running.folder)
    assert code == done.returncode
    assert "đang chạy" in text


def test_status_of_a_stopped_hub_ends_with_1(here: Run, stopped: HubProcess):
    done = stopped.run("status")
    assert done.returncode == 1
    assert "không chạy" in done.stdout
    assert json.loads(here("status", "--json", "--dir", stopped.folder)[1])["ready"] is False


def test_doctor_names_every_finding_and_ends_with_1_when_one_is_bad(running: HubProcess, stopped: HubProcess):
    for hub in (running, stopped):
        done = hub.run("doctor")
        lines = done.stdout.splitlines()
        assert all(line.startswith(("ĐẠT  ", "LỖI  ")) for line in lines), done.stdout
        assert {"SQLite", "Chứng thư", "Danh sách thu hồi", "Khóa gốc", "Ổ đĩa", "Sổ cái", "Trục"} <= {
            line[5:].partition(":")[0] for line in lines
        }
        assert done.returncode == (1 if any(line.startswith("LỖI") for line in lines) else 0)
        assert "LỖI  Khóa gốc" in done.stdout  # it lies here still, and belongs offline
        assert ("ĐẠT  Sổ cái: nguyên vẹn" in done.stdout) == (hub.folder / "data").exists()


def test_doctor_is_content_once_everything_is_in_order(tmp_path: Path):
    with HubProcess(tmp_path / "hub") as hub:
        hub.configure("port", str(hub.port))
        hub.configure("operator_port", str(next(one["operator_port"] for one in hub.lines() if "operator_port" in one)))
        (hub.folder / "ca/root.key").unlink()
        done = hub.run("doctor")
        ready = json.loads(hub.run("status", "--json").stdout)["ready"]
        assert done.returncode == (0 if ready else 1), done.stdout
        assert done.stdout.count("LỖI") == (
            0 if ready else done.stdout.count("dung lượng") + done.stdout.count("giải phóng")
        )


def test_doctor_finds_a_damaged_ledger_and_an_open_key(tmp_path: Path):
    hub = HubProcess(tmp_path / "hub")
    assert hub.run("agency", "add", "H21.16").returncode == 0
    ledger = hub.folder / "data/ledger.sqlite"
    octets = bytearray(ledger.read_bytes())
    octets[len(octets) // 2 :] = os.urandom(len(octets) - len(octets) // 2)
    ledger.write_bytes(octets)
    (hub.folder / "log.key").chmod(0o644)
    done = hub.run("doctor")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "LỖI  Sổ cái" in done.stdout
    assert "LỖI  Chứng thư" in done.stdout


# serving


def test_probes_and_metrics_of_a_running_hub(running: HubProcess):
    connection = http.client.HTTPConnection("127.0.0.1", running.configuration.operator_port)
    for path, said in (("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "lienthong_log_events")):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert said in answer.read().decode()
    connection.close()


def test_first_signal_drains_and_ends_with_0(tmp_path: Path):
    """A long poll that hangs is answered, the socket goes, and everything is there at the next start."""
    with HubProcess(tmp_path / "hub") as hub:
        invitation = hub.invitation("H21.16")
        hub.invitation("H21.23")

        async def work() -> int:
            async with await AgencyClient.join(hub.url, invitation, tmp_path / "agency") as agency:
                accepted = await agency.send(agency.sealed(agency.document(["H21.23"], "1")))
                waiting = asyncio.create_task(agency.pending(wait=60))
                while not any(line["event"] == "agency.joined" for line in hub.lines()):
                    await asyncio.sleep(0.01)
                await agency.call(b'<lt:GetCheckpoint xmlns:lt="urn:lienthong:exchange:1"/>')
                await asyncio.sleep(1)  # the long poll has reached the hub by now
                hub.signal(signal.SIGTERM)
                assert await waiting == ()
                return accepted.number

        number = asyncio.run(work())
        assert hub.wait() == 0
        assert not (hub.folder / "hub.sock").exists()
        assert [line["event"] for line in hub.lines()][-1] == "hub.stopped"
        assert listed(hub)["H21.23"]["waiting"] == 1
        hub.start()
        assert listed(hub)["H21.23"]["waiting"] == 1
        assert hub.stop() == 0
        assert number == 1


def test_second_signal_ends_at_once_what_is_in_flight_and_loses_nothing(tmp_path: Path):
    """The first waits for the request whose body does not come; the second does not."""
    with HubProcess(tmp_path / "hub") as hub:
        invitation = hub.invitation("H21.16")
        hub.invitation("H21.23")

        async def work() -> str:
            async with await AgencyClient.join(hub.url, invitation, tmp_path / "agency") as agency:
                accepted = await agency.send(agency.sealed(agency.document(["H21.23"], "1")))
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", hub.port, ssl=agency.context, server_hostname="localhost"
                )
                request = (
                    "PATCH /lienthong/v1/payloads/" + "0" * 64 + " HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\n"
                    "Upload-Length: 100\r\nContent-Length: 100\r\n\r\nhalf"
                )
                writer.write(request.encode())
                await writer.drain()
                while not list((hub.folder / "data/payloads/uploads").iterdir()):
                    await asyncio.sleep(0.01)
                hub.signal(signal.SIGTERM)
                while hub.answers():
                    await asyncio.sleep(0.01)
                assert hub.runs()
                hub.signal(signal.SIGTERM)
                assert await asyncio.to_thread(hub.wait) == -signal.SIGTERM
                writer.transport.abort()
                return accepted.document_id

        assert asyncio.run(work())
        assert "hub.stopped" not in [line["event"] for line in hub.lines()]
        hub.start()
        assert listed(hub)["H21.23"]["waiting"] == 1
        assert hub.stop() == 0


def test_interrupt_from_the_terminal_drains_too(tmp_path: Path):
    with HubProcess(tmp_path / "hub") as hub:
        hub.signal(signal.SIGINT)
        assert hub.wait() == 0


def test_killed_hub_starts_again_over_its_old_socket_and_lock(tmp_path: Path):
    with HubProcess(tmp_path / "hub") as hub:
        hub.invitation("H21.16")
        hub.signal(signal.SIGKILL)
        assert hub.wait() == -signal.SIGKILL
        assert (hub.folder / "hub.sock").exists()
        assert "H21.16" in listed(hub)  # on the ledger: nobody listens on the socket
        hub.start()
        assert "H21.16" in listed(hub)
        assert hub.stop() == 0


def test_suspension_by_command_is_in_force_for_the_next_request(tmp_path: Path, running: HubProcess):
    invitation = running.invitation("H21.71")

    async def work() -> str:
        async with await AgencyClient.join(running.url, invitation, tmp_path / "agency") as agency:
            await agency.pending()
            assert running.run("agency", "suspend", "H21.71").returncode == 0
            try:
                await agency.pending()
            except Exception as error:  # noqa: BLE001 -- what it is, is looked at below
                return str(error)
            return ""

    assert asyncio.run(work()) == "caller.suspended"
