"""An interruption while a server starts leaves no process that nobody knows of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from demo.programs import Server
from demo.screen import Screen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_starts_a_server_is_known_and_can_be_stopped(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The process was there and its object not yet: it went on after the demo had ended."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        os.kill(os.getpid(), number)
        return started[0]

    before = signal.signal(number, signal.default_int_handler)
    try:
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        server = Server(("sleep",), sleep, tmp_path / "log", Screen(1, Console(quiet=True)))
        monkeypatch.setattr(subprocess, "Popen", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.start()
        assert server.running
        server.stop()
        assert started[0].poll() is not None
    finally:
        signal.signal(number, before)
