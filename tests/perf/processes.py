"""The servers that are measured, each in a process of its own, and what the kernel says they use."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


class Process:
    """A running program of ours. `with` it; leaving stops it in order."""

    def __init__(self, *command: str, log: Path) -> None:
        self._log = log.open("ab")
        self.popen = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def rss(self) -> int:
        """Resident octets now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Highest resident octets so far."""
        return self._status("VmHWM")

    def cpu(self) -> float:
        """CPU seconds used so far, user and system, all threads."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def check(self) -> bool:
        """Whether it runs. Raises with the end of its log when it has ended."""
        if self.popen.poll() is not None:
            said = Path(self._log.name).read_bytes()[-2000:].decode(errors="replace")
            raise RuntimeError(f"ended with {self.popen.returncode}: {said}")
        return True

    def stop(self) -> None:
        """SIGTERM, then wait for the orderly end; may be called twice."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._log.close()

    def _status(self, key: str) -> int:
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(key)


def wait_until(condition: Callable[[], object], seconds: float = 90, interval: float = 0.02) -> None:
    """Poll until `condition` is true. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(interval)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the load on the same kind of event loop that the servers use."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_run(work))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(work))


async def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        await asyncio.sleep(0.02)  # the loop closes what was aborted
