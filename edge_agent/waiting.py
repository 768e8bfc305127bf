"""Waiting that a drain ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(drain: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None, and `work` cancelled, when `drain` comes first."""
    task, draining = asyncio.ensure_future(work), asyncio.ensure_future(drain.wait())
    try:
        await asyncio.wait((task, draining), return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for one in (task, draining):
            one.cancel()
        await asyncio.gather(task, draining, return_exceptions=True)


async def pause(drain: asyncio.Event, seconds: float) -> None:
    """Sleep, but not longer than until `drain`."""
    try:
        await asyncio.wait_for(drain.wait(), seconds)
    except TimeoutError:
        return
