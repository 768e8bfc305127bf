"""The province in small: folders, ports, the hub, the two agencies, and patient waiting while hops are shown."""

from __future__ import annotations

import hashlib
import html
import http.client
import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from demo.hops import Hops
from demo.programs import NotVerified, Programs, Server
from demo.screen import Screen
from demo.settings import Settings

LOOPBACK: Final = "127.0.0.1"
PATIENCE: Final = 60.0
LOOK: Final = 0.03
"""Seconds between two looks while waiting."""
PACKAGE: Final = "van-ban.edxml"
_DOCUMENT_ID: Final = re.compile(rb"<(?:\w+:)?DocumentId>([^<]+)<")
_HEAD: Final = 64 << 10
"""Octets of an `.edxml` in which the header's DocumentId stands."""
T = TypeVar("T")


class Arrival(msgspec.Struct, frozen=True):
    """One document in `incoming/`."""

    folder: Path
    document_id: str

    @property
    def files(self) -> list[Path]:
        """Its attachments."""
        ours = {PACKAGE, "bien-nhan.tlog-proof"}
        return [path for path in self.folder.iterdir() if path.name not in ours]


class Agency:
    """One agency's side: its folder, its agent, the port for its document system."""

    def __init__(self, letter: str, code: str, root: Path) -> None:
        self.letter = letter
        self.code = code
        self.name = f"Sở Ví dụ {letter}"
        self.folder = f"so-{letter.lower()}"
        self.root = root / self.folder
        self.port = free_port()
        self.server: Server
        self._seen: dict[Path, Arrival] = {}

    @property
    def service(self) -> str:
        """Package B for programs on this machine."""
        return f"http://{LOOPBACK}:{self.port}/edoc/v1"

    @property
    def incoming(self) -> Path:
        """Where the clerk finds what arrived."""
        return self.root / "folders" / "incoming"

    @property
    def outgoing(self) -> Path:
        """Where the clerk drops what shall be sent."""
        return self.root / "folders" / "outgoing"

    def arrivals(self) -> list[Arrival]:
        """Every document in `incoming/`, in the order of arrival."""
        for folder in _folders(self.incoming):
            if folder not in self._seen:
                self._seen[folder] = arrival_in(folder)
        return _by_number(self._seen.values())


class Province:
    """What the steps work with."""

    def __init__(self, folder: Path, settings: Settings, screen: Screen) -> None:
        self.folder = folder
        self.settings = settings
        self.screen = screen
        self.programs = Programs(folder, screen)
        self.hops = Hops(screen)
        self.port, self.operator_port = two_ports()
        self.a = Agency("A", "H21.16", folder)
        self.b = Agency("B", "H21.23", folder)
        self.hub: Server

    @property
    def url(self) -> str:
        """Of the hub."""
        return f"https://localhost:{self.port}"

    def await_ready(self, port: int, what: str) -> None:
        """Until `/readyz` answers 200. Raises `NotVerified`."""
        self.wait(lambda: ready(port), f"{what} sẵn sàng")

    def wait(self, check: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
        """The first true answer of `check`; hops are shown meanwhile. Raises `NotVerified`."""
        end = time.monotonic() + patience
        while True:
            self.hops.look()
            found = check()
            if found:
                self.hops.look()
                return found
            self.check_alive(*self.programs.servers)
            if time.monotonic() > end:
                raise NotVerified(f"chờ {patience:.0f} s không thấy: {what}")
            time.sleep(LOOK)

    def check_alive(self, *servers: Server) -> None:
        """Raises `NotVerified` when one of them ended without being told to."""
        for server in servers:
            if not server.running:
                raise NotVerified(f"{server.log.stem} đã tự dừng")

    def arrival(self, agency: Agency, document_id: str) -> Arrival:
        """Wait for a document in an agency's folder."""
        return self.wait(
            lambda: next((one for one in agency.arrivals() if one.document_id == document_id), None),
            f"văn bản {document_id} trong thư mục {agency.folder}",
        )


def arrivals_in(incoming: Path) -> list[Arrival]:
    """Every document that lies there now, read anew: what is proved must not rest on an earlier look."""
    return _by_number(map(arrival_in, _folders(incoming)))


def arrival_in(folder: Path) -> Arrival:
    """The document in one folder of `incoming/`. Raises `NotVerified`."""
    return Arrival(folder, document_id_of(folder / PACKAGE))


def _folders(incoming: Path) -> list[Path]:
    return [package.parent for package in incoming.glob(f"[0-9]*/{PACKAGE}")]


def _by_number(arrivals: Iterable[Arrival]) -> list[Arrival]:
    return sorted(arrivals, key=lambda one: int(one.folder.name.split("-")[0]))


def document_id_of(package: Path) -> str:
    """DocumentId of an `.edxml`, from its first octets: what follows may be large."""
    with package.open("rb") as file:
        found = _DOCUMENT_ID.search(file.read(_HEAD))
    if found is None:
        raise NotVerified(f"{package}: không thấy DocumentId")
    return html.unescape(found.group(1).decode())


def sha256_of(path: Path) -> str:
    """Hex digest of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ready(port: int) -> bool:
    """Whether the program behind this loopback port calls itself ready."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def two_ports() -> tuple[int, int]:
    """For the hub, whose `init` puts the operators' port 37 above the agencies'."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port + 37))
            except (OSError, OverflowError):
                continue
        return port, port + 37
