"""A province for the benches: one enrolled hub folder as a template, and servers that run on copies of it."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

from certs import enrolment
from certs.bundle import TrustBundle
from hub.configuration import FILE_NAME
from runtime import logs
from tests.perf.processes import Process, free_port, listens, wait_until
from tests.support.agency import AgencyClient
from tests.support.running_hub import RunningHub

PAIRS: Final = 4
"""Agencies that send, and as many others that receive."""


def make_template(folder: Path) -> None:
    """A hub with its agencies enrolled (RSA-2048 keys) and nothing else in its ledger."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lt") as short:  # enrolment opens a Unix socket, whose name must be short
        _enrol(Path(short) / "hub")
        shutil.copytree(Path(short) / "hub", folder)


def _enrol(folder: Path) -> None:
    original = enrolment.make_request

    def rsa(agency: str) -> tuple[bytes, bytes]:
        return original(agency, kind="rsa-2048")

    async def enrol() -> None:
        async with RunningHub(folder) as running:
            for index in range(2 * PAIRS):
                await running.agency(f"H21.{10 + index}")

    logs.configure("error")
    with patch.object(enrolment, "make_request", rsa):
        asyncio.run(enrol())


def agencies_of(folder: Path) -> tuple[list[AgencyClient], list[AgencyClient]]:
    """Those that send and those that receive, of a template or a copy of it."""
    trust = TrustBundle.load(folder / "ca")
    every = [AgencyClient("", path.name, path, trust) for path in sorted((folder / "agencies").iterdir())]
    return every[:PAIRS], every[PAIRS:]


class Server(Process):
    """A process that answers the agencies on `port`."""

    def __init__(self, *command: str, port: int, log: Path) -> None:
        super().__init__(*command, log=log)
        self.port = port
        wait_until(lambda: self.check() and listens(port))


def settle(folder: Path) -> int:
    """Give the hub in `folder` ports of its own; returns the one for agencies."""
    path = folder / FILE_NAME
    port = free_port()
    text = path.read_text()
    values = {
        "port": str(port),
        "operator_port": str(free_port()),
        "public_url": f'"https://localhost:{port}"',
        # the folder may lie too deep for the name of a Unix socket
        "control": f'"{tempfile.gettempdir()}/lienthong-bench-{port}.sock"',
    }
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        if count != 1:
            raise RuntimeError(f"{path}: no key {key}")
    path.write_text(text)
    return port


def hub(folder: Path) -> Server:
    """`lienthong-hub serve` on a folder."""
    port = settle(folder)
    command = ("-c", "from hub.commands import main; main()", "serve", "--dir", str(folder))
    return Server(*command, port=port, log=folder / "bench.log")


def floor(folder: Path, kind: str) -> Server:
    """The floor with the certificates of a hub folder; `kind` as `floor_process` knows it."""
    port = free_port()
    return Server("-m", "tests.perf.floor_process", str(folder), kind, str(port), port=port, log=folder / "bench.log")


@contextmanager
def copy(template: Path, name: str) -> Iterator[Path]:
    """A copy of a template beside it, removed afterwards."""
    folder = template.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
