"""The life of a service process: one event loop, first signal drains, second ends at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

SIGNALS: Final[tuple[signal.Signals, ...]] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
"""What asks a service to stop; SIGBREAK is how Windows does it."""


def run(
    start: Callable[[asyncio.Event], Awaitable[None]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run `start(drain)` until it returns; its exception is raised here.

    The first SIGTERM or SIGINT sets `drain`: stop taking work, finish what is begun, return. The second ends the
    process at once, by the kernel, whatever it is doing: every acknowledgement follows an fsync, so nothing is lost.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with asyncio.Runner(loop_factory=loop_factory or _fastest_loop()) as runner:
            runner.run(_serve(start))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(start: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    drain = asyncio.Event()
    _listen(asyncio.get_running_loop(), drain)
    await start(drain)


def _listen(loop: asyncio.AbstractEventLoop, drain: asyncio.Event) -> None:
    """Bind the signals to `drain`."""

    def first() -> None:
        for number in SIGNALS:
            _forget(loop, number)
        drain.set()

    def first_without_loop(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(first)

    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, first)
        except NotImplementedError:  # the loops of Windows
            signal.signal(number, first_without_loop)


def _forget(loop: asyncio.AbstractEventLoop, number: signal.Signals) -> None:
    with contextlib.suppress(NotImplementedError):
        loop.remove_signal_handler(number)
    # The kernel's own handling, not KeyboardInterrupt: the second signal must work even in a blocked thread.
    signal.signal(number, signal.SIG_DFL)


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where that is installed (extra `fast`), else the loop of the platform."""
    try:
        import uvloop  # noqa: PLC0415 - optional dependency
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
