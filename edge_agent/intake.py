"""The door of the outbox: one submission of the local system in, custody out; every adapter comes through here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

from edge_agent.clock import Clock
from edge_agent.preparation import Preparation
from edge_agent.records import Taken
from edge_agent.screening import screen
from edge_agent.store import Store
from protocol.exchange import PlainSubmission, Upload
from protocol.text import Encoding
from runtime import logs

_log = logs.get("edge.intake")


class Intake:
    """Prepares, seals and stores; wakes the sender."""

    def __init__(
        self,
        agency: str,
        preparation: Preparation,
        store: Store,
        clock: Clock,
        wake: Callable[[], None],
        *,
        encoding: Encoding | None = None,
    ) -> None:
        self._agency = agency
        self._preparation = preparation
        self._store = store
        self._clock = clock
        self._wake = wake
        self._encoding = encoding

    async def take(self, submission: PlainSubmission, uploads: AsyncIterator[Upload], *, expected: int = 0) -> Taken:
        """Custody of a message: durable when this returns; the same message again gets the same answer.

        `expected`: octets that the attachments will take, where the adapter knows.

        Raises what `screen` and `Preparation` do, and `document.conflict`. Nothing stays behind then; the adapter
        audits, for it knows of refusals that never come here too.
        """
        taken = await self._take(submission, uploads, expected)
        _log.info("taken", number=taken.number, repeated=taken.repeated, package=submission.package)
        self._wake()
        return taken

    async def _take(self, submission: PlainSubmission, uploads: AsyncIterator[Upload], expected: int) -> Taken:
        message = screen(submission, self._agency, self._clock(), self._encoding)
        with ExitStack() as stack:
            received = await self._preparation.receive(message, uploads, stack, expected)
            prepared = self._preparation.seal(message, submission, received)
            known = await self._store.run(self._store.outbox.find, prepared.identity, prepared.fingerprint)
            if known is not None:
                return known
            await received.publish()
            return await self._store.run(self._store.outbox.accept, prepared, self._clock())
