"""The three installed commands as subprocesses: run to the end, or kept running with their log in a file."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from demo.screen import Screen

GRACE: Final = 15.0
"""Seconds that a program has to stop after SIGTERM."""
TAIL: Final = 15
INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS: Final = ("lienthong-hub", "lienthong-edge", "lienthong-certs")


class NotVerified(Exception):  # noqa: N818 -- it names what a step is then
    """A step could not be proved; the text says why."""


class Programs:
    """Runs commands in one folder and shows each; stops whatever still runs at the end."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.folder = folder
        self._screen = screen
        self._scripts = Path(sys.executable).parent
        self.servers: list[Server] = []
        missing = [name for name in COMMANDS if not (self._scripts / name).exists()]
        if missing:
            raise NotVerified(
                f"chưa cài {', '.join(missing)} trong {self._scripts}: chạy `make demo`, hoặc pip install -e ."
            )

    def run(self, *words: str, expect: int = 0, quiet: bool = False) -> str:
        """Run a command to its end; what it printed. Raises `NotVerified` when the exit code is another."""
        if not quiet:
            self._screen.command(shlex.join(words))
        done = subprocess.run(
            self._real(words),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != expect:
            said = (done.stderr or done.stdout).strip()
            raise NotVerified(f"{shlex.join(words)}: mã kết thúc {done.returncode}, chờ {expect}. {said}")
        return done.stdout

    def serve(self, name: str, *words: str) -> Server:
        """Start a server; `name` names its log."""
        server = Server(words, self._real(words), self.folder / f"{name}.log", self._screen)
        self.servers.append(server)
        server.start()
        return server

    def stop(self) -> None:
        """Stop everything that runs, the last first."""
        for server in reversed(self.servers):
            server.stop()

    def tails(self) -> list[tuple[str, str]]:
        """The ends of the logs."""
        return [(server.log.name, server.tail()) for server in self.servers]

    def _real(self, words: tuple[str, ...]) -> list[str]:
        return [str(self._scripts / words[0]), *words[1:]]


class Server:
    """One `serve`, started by the demo; the demo ends no process but these."""

    def __init__(self, words: tuple[str, ...], arguments: list[str], log: Path, screen: Screen) -> None:
        self._words = words
        self._arguments = arguments
        self._screen = screen
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None, "started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start (again); the log goes on in the same file."""
        self._screen.command(f"{shlex.join(self._words)} &")
        with self.log.open("ab") as log, _uninterrupted():
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self.log.parent,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the demo, which then stops its programs in order
            )

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that was not enough; the exit code."""
        if self._process is None:
            return 0
        if self.running:
            self._process.terminate()
        try:
            return self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """SIGKILL: no drain, no flush, no goodbye."""
        assert self._process is not None, "started"
        self._process.kill()
        self._process.wait()

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-TAIL:])


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and what ends the demo like it wait until the block is left: a process that runs must be known."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def environment() -> dict[str, str]:
    """Ours without what would change the commands' behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}
