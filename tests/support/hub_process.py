"""The installed `lienthong-hub` in processes of its own: what operators run, with nothing of the test inside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from hub.configuration import HubConfiguration
from hub.installation import initialise
from runtime import config

PROGRAM = Path(sys.executable).with_name("lienthong-hub")
Done = subprocess.CompletedProcess[str]


def lienthong_hub(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Done:
    """Run one command to its end."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class HubProcess:
    """`with HubProcess(folder) as hub`: initialised when it is new, and serving; its log is `serve.log` beside it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.temporary = folder.with_suffix(".tmp")
        if not (folder / "hub.toml").exists():
            initialise(
                folder,
                province="H21",
                province_name="Gia Lai",
                name="lienthong.example",
                hosts=("localhost", "127.0.0.1"),
                port=0,
                at=datetime.now(UTC),
            )
        for key, value in settings.items():
            self.configure(key, value)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def configure(self, key: str, value: str) -> None:
        """Replace the line `key = …` of hub.toml."""
        path = self.folder / "hub.toml"
        lines = path.read_text().splitlines()
        (place,) = [number for number, line in enumerate(lines) if line.startswith(f"{key} = ")]
        lines[place] = f"{key} = {value}"
        path.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> HubProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def configuration(self) -> HubConfiguration:
        return config.load(self.folder / "hub.toml", HubConfiguration)

    def start(self) -> None:
        """Return when it listens."""
        self.temporary.mkdir(exist_ok=True)
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve", "--dir", self.folder],
                env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONUTF8": "1"},
                stdout=log,
                stderr=log,
            )
        while (started := self._line("hub.started", seen)) is None:
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        self.port = started["port"]

    @property
    def process_id(self) -> int:
        """Of the hub that serves."""
        assert self._process is not None
        return self._process.pid

    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def answers(self) -> bool:
        """Whether it takes new connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code, when it has ended."""
        assert self._process is not None
        return self._process.wait(60)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def run(self, *arguments: str | Path) -> Done:
        """A command about this hub."""
        return lienthong_hub(*arguments, "--dir", self.folder)

    def invitation(self, code: str) -> str:
        """The one-time code that `agency add` prints."""
        done = self.run("agency", "add", code, "--name", f"Cơ quan {code}")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[1].strip()

    def lines(self) -> list[dict[str, Any]]:
        """The log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def _line(self, event: str, start: int) -> dict[str, Any] | None:
        whole = self.log.read_bytes()[start:].rpartition(b"\n")[0]
        found = [line for line in map(msgspec.json.decode, whole.splitlines()) if line["event"] == event]
        return found[0] if found else None
