"""A mailbox as package B clients see it: documents by number, statuses by a read that loses nothing.

`GetTraces` without TimeStamp consumes what it returns, and the hubs of this generation consume at once: an answer that
never arrives is lost. Here a status stays in the mailbox until the *next* such call, and an answer whose sending failed
does not count. A client that died while it worked reads again with a TimeStamp, which consumes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from protocol.exchange import EVERY_KIND, Caller, Exchange, Trace
from protocol.model import Kind

FIRST_LOOK: Final = 500
"""The most documents, or statuses, in one answer."""
DOCUMENTS: Final[frozenset[Kind]] = frozenset({"document"})
STATUSES: Final = EVERY_KIND - DOCUMENTS


async def waiting_documents(exchange: Exchange, caller: Caller) -> list[int]:
    """Numbers of the documents that wait, most urgent first."""
    waiting = await exchange.pending(caller, limit=FIRST_LOOK, kinds=DOCUMENTS)
    return [summary.number for summary in waiting]


async def statuses_since(exchange: Exchange, caller: Caller, since: datetime) -> list[Trace]:
    """Every status on the caller's documents that was reported at `since` (aware) or later; consumes nothing."""
    found: list[Trace] = []
    after = 0
    while traces := await exchange.traces(caller, after=after):
        found += [trace for trace in traces if (trace.status.timestamp or since) >= since]
        after = max(trace.number for trace in traces)
    return found


class StatusReader:
    """`GetTraces` without TimeStamp, for all agencies.

    What was handed out last is remembered in memory only: after a restart it is handed out once more.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._handed: dict[str, tuple[int, ...]] = {}

    async def read(self, caller: Caller) -> list[Trace]:
        """Confirm what the previous answer brought, then what waits now; a trace has its mailbox number."""
        handed = self._handed.pop(caller.agency, ())
        if handed:
            await self._exchange.confirm(caller, handed)
        summaries = await self._exchange.pending(caller, limit=FIRST_LOOK, kinds=STATUSES)
        waiting = {summary.number for summary in summaries}
        found: list[Trace] = []
        after = min(waiting, default=0) - 1
        while len(found) < len(waiting) and (traces := await self._exchange.traces(caller, after=after)):
            found += [trace for trace in traces if trace.number in waiting]
            after = max(trace.number for trace in traces)
        return found

    def handed_out(self, caller: Caller, traces: Sequence[Trace]) -> None:
        """The answer with these traces has left; the next `read` confirms them."""
        self._handed[caller.agency] = tuple(trace.number for trace in traces)
