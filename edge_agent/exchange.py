"""The Exchange port on outbox and inbox: what programs on this machine see through package B.

`send` and `report` answer when the message is durable here; the hub's receipt follows on its own. `pending`, `fetch`
and `confirm` are the inbox's `pull` route: what is confirmed here was handed to the local system.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from edge_agent.clock import Clock, from_text
from edge_agent.directory import Directory
from edge_agent.intake import Intake
from edge_agent.messages import message_of, status_of
from edge_agent.payloads import Payloads
from edge_agent.records import Incoming, StoredAttachment
from edge_agent.store import Store
from protocol import document_ids, errors
from protocol.errors import ExchangeError
from protocol.exchange import (
    EVERY_KIND,
    Accepted,
    Caller,
    Confirmation,
    Delivery,
    PlainSubmission,
    Submission,
    Summary,
    Trace,
    Upload,
)
from protocol.model import Kind, Organization, Reference

STEP: Final = 0.5
"""Seconds between two looks of a caller that waits."""
TRACES_AT_ONCE: Final = 500
"""Statuses and delivery events in one answer; callers ask again after the last number."""


class LocalAttachment:
    """An attachment in the payload store (`protocol.exchange.Attachment`)."""

    def __init__(self, stored: StoredAttachment, payloads: Payloads) -> None:
        self.reference: Reference = stored.reference
        self._sha256 = stored.sha256
        self._payloads = payloads

    def chunks(self) -> AsyncIterator[bytes]:
        """The octets."""
        return self._payloads.chunks(self._sha256)


class EdgeExchange:
    """One agency's exchange; every caller is this agency's own local system."""

    def __init__(self, *, store: Store, payloads: Payloads, intake: Intake, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._payloads = payloads
        self._intake = intake
        self._directory = directory
        self._clock = clock

    async def send(self, caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:  # noqa: ARG002 -- every caller is this agency
        """Into the outbox. A sealed submission is refused: this agent seals for its agency."""
        if not isinstance(submission, PlainSubmission):
            raise ExchangeError(errors.UNKNOWN_OPERATION)
        taken = await self._intake.take(submission, uploads)
        return Accepted(number=taken.number, document_id=taken.document_id, repeated=taken.repeated)

    async def report(self, caller: Caller, submission: Submission) -> Accepted:
        """A business status into the outbox."""
        return await self.send(caller, submission, _NoUploads())

    async def pending(
        self,
        caller: Caller,  # noqa: ARG002 -- every caller is this agency
        *,
        limit: int,
        wait_seconds: float = 0,
        kinds: Collection[Kind] = EVERY_KIND,
        receipts: bool = False,  # noqa: ARG002 -- the agent keeps them; no answer carries them
    ) -> Sequence[Summary]:
        """What the local system has not confirmed, most urgent first."""
        waited = 0.0
        while True:
            found = await self._store.run(self._store.inbox.waiting, "pull", limit, kinds)
            if found or waited >= wait_seconds:
                return [summary_of(row) for row in found]
            await asyncio.sleep(STEP)
            waited += STEP

    async def fetch(self, caller: Caller, number: int) -> Delivery:  # noqa: ARG002 -- every caller is this agency
        """One message of the inbox, handed over or not. Raises `document.not-found`."""
        row = await self._store.run(self._store.inbox.one, number)
        receipt = await self._store.run(self._store.inbox.receipt, number)
        envelope = await self._store.run(self._store.inbox.envelope, number)
        attachments = await self._store.run(self._store.inbox.attachments, number)
        return Delivery(
            summary=summary_of(row),
            envelope=envelope,
            message=message_of(row, envelope, receipt),
            attachments=tuple(LocalAttachment(one, self._payloads) for one in attachments),
            receipt=receipt,
        )

    async def confirm(self, caller: Caller, numbers: Sequence[int]) -> Sequence[Confirmation]:  # noqa: ARG002 -- every caller is this agency
        """The local system has these."""
        return [await self._confirm(number) for number in numbers]

    async def traces(self, caller: Caller, *, document_id: str = "", after: int = 0) -> Sequence[Trace]:  # noqa: ARG002 -- every caller is this agency
        """Statuses and delivery events, by their number in the inbox."""
        key = document_ids.key(document_id) if document_id else ""
        rows = await self._store.run(self._store.inbox.reports, after, key, limit=TRACES_AT_ONCE)
        return [await self._trace(row) for row in rows]

    async def organizations(self, caller: Caller) -> Sequence[Organization]:  # noqa: ARG002 -- every caller is this agency
        """The province's directory, also while the hub is away."""
        return await self._directory.organizations()

    async def _confirm(self, number: int) -> Confirmation:
        handover = await self._store.run(self._store.handovers.one, number, "pull")
        if handover is None:
            return Confirmation(number=number, outcome="unknown")
        done = await self._store.run(self._store.handovers.done, number, "pull", self._clock())
        return Confirmation(number=number, outcome="delivered" if done else "already")

    async def _trace(self, row: Incoming) -> Trace:
        envelope = await self._store.run(self._store.inbox.envelope, row.number)
        receipt = await self._store.run(self._store.inbox.receipt, row.number)
        return Trace(number=row.number, document_id=row.document_id, status=status_of(row, envelope, receipt))


def summary_of(row: Incoming) -> Summary:
    """A row of the inbox as callers see it; numbers are this agent's own."""
    return Summary(
        number=row.number,
        kind=row.kind,
        sender=row.sender,
        document_id=row.document_id,
        digest=row.digest,
        priority=row.priority,
        size=row.size,
        accepted_at=from_text(row.accepted_at),
    )


class _NoUploads:
    """A status has no attachments."""

    def __aiter__(self) -> AsyncIterator[Upload]:
        return self

    async def __anext__(self) -> Upload:
        raise StopAsyncIteration
