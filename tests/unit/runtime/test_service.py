from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from runtime import service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_sets_the_drain_and_the_service_finishes_its_work(number: signal.Signals):
    done: list[str] = []

    async def start(drain: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await drain.wait()
        await asyncio.sleep(0)
        done.append("drained")

    before = signal.getsignal(number)
    service.run(start)
    assert done == ["drained"]
    assert signal.getsignal(number) is before


def test_error_of_the_service_reaches_the_caller_and_handlers_are_put_back():
    async def start(_drain: asyncio.Event) -> None:
        raise OSError(98, "address in use")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match="address in use"):
        service.run(start)
    assert signal.getsignal(signal.SIGTERM) is before


def test_loop_without_signal_handlers_drains_too(monkeypatch: pytest.MonkeyPatch):
    """The loops of Windows."""

    def missing(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "remove_signal_handler", missing)
    done: list[str] = []

    async def start(drain: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await drain.wait()
        done.append("drained")

    service.run(start, loop_factory=asyncio.SelectorEventLoop)
    assert done == ["drained"]


STUBBORN = textwrap.dedent(
    """
    import asyncio, time
    from runtime import service

    async def start(drain):
        print("ready", flush=True)
        await drain.wait()
        print("draining", flush=True)
        time.sleep(60)  # a loop that hangs while it drains

    service.run(start)
    """
)


def test_second_signal_ends_the_process_even_when_its_loop_hangs():
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM
