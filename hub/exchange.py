"""The hub as an `Exchange`: custody, mailboxes, statuses, directory, on one ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from hub.custody import Custody
from hub.dispatch import InProcessDispatch
from hub.intake import Intake
from hub.ledger.ledger import Ledger
from hub.ledger.records import Placement, Stored, StoredAttachment, Waiting, from_milliseconds
from hub.naming import Names
from hub.registry import Registry
from hub.works import Confirm, Recorded, Report, identity_of
from protocol import errors
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import (
    EVERY_KIND,
    Accepted,
    Caller,
    Confirmation,
    Delivery,
    Submission,
    Summary,
    Trace,
    Upload,
)
from protocol.model import Kind, Organization, ResponseFor, StatusMessage
from protocol.signing import Signer
from protocol.xml_reading import parse
from runtime import logs

MAXIMUM_WAIT: Final = 60.0
"""Seconds that a long poll is held."""
TRACES_AT_ONCE: Final = 500
TURN: Final = 50
"""Lines of a mailbox that are made out before others get their turn; a receipt takes some 60 µs."""

_log = logs.get(__name__)


class HubAttachment:
    """An attachment in the payload store."""

    def __init__(self, exchange: HubExchange, stored: StoredAttachment, place: Placement) -> None:
        self.reference = stored.reference
        self._exchange = exchange
        self._stored = stored
        self._place = place

    def chunks(self) -> AsyncIterator[bytes]:
        """The octets."""
        return self._exchange.ledger.payloads.chunks(self._place, self._stored.sha256)


class HubExchange:
    """Implements `protocol.exchange.Exchange`."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        intake: Intake,
        dispatch: InProcessDispatch,
        signer: Signer,
    ) -> None:
        self.ledger = ledger
        self.registry = registry
        self.dispatch = dispatch
        self._intake = intake
        self.custody = Custody(ledger, signer)
        self._names = Names(ledger, registry)

    # in

    async def send(self, caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:
        """Take a document into custody (see the port)."""
        try:
            checked = self._intake.check_document(caller, submission)
        except ExchangeError as refusal:
            if refusal.kind is errors.SECRET_MARK:
                self.custody.forget_uploads(caller, submission)
            raise
        recorded = await self.custody.take(caller, checked, self._names.recalled(caller, checked.document), uploads)
        self.dispatch.wake(recorded.recipients)
        _log.info(
            "accepted",
            number=recorded.number,
            sender=caller.agency,
            recipients=recorded.recipients,
            basis=checked.basis,
            repeated=recorded.repeated,
        )
        return self._accepted(recorded)

    async def report(self, caller: Caller, submission: Submission) -> Accepted:
        """Take a status (see the port)."""
        checked = self._intake.check_status(caller, submission)
        document = self._names.document_meant(caller, checked.status)
        envelope, digest = self.custody.sealed_status(checked)
        work = Report(
            agency=caller.agency,
            document=document,
            status=checked.status.status_code,
            identity=identity_of("status", caller.agency, str(document), 0, digest),
            digest=digest,
            basis=checked.basis,
            envelope=envelope,
        )
        recorded = await self.ledger.do(work)
        self.dispatch.wake(recorded.recipients)
        _log.info("status", number=recorded.number, sender=caller.agency, status=work.status, about=document)
        return self._accepted(recorded)

    # out

    async def pending(
        self,
        caller: Caller,
        *,
        limit: int,
        wait_seconds: float = 0,
        kinds: Collection[Kind] = EVERY_KIND,
        receipts: bool = False,
    ) -> Sequence[Summary]:
        """The head of the caller's mailbox; waits for the first message when it is empty."""
        waiting = self.ledger.waiting(caller.agency, limit, kinds)
        if not waiting and wait_seconds > 0:
            await self.dispatch.wait(caller.agency, min(wait_seconds, MAXIMUM_WAIT))
            waiting = self.ledger.waiting(caller.agency, limit, kinds)
        summaries = []
        for position, row in enumerate(waiting, 1):
            receipt = self.ledger.receipt(row.leaf).to_text() if receipts and row.kind == "notice" else ""
            summaries.append(_summary(row, receipt))
            if position % TURN == 0:
                await asyncio.sleep(0)  # a long list must not hold up the other agencies
        return summaries

    async def fetch(self, caller: Caller, number: int) -> Delivery:
        """A message of the caller's mailbox, waiting or delivered before."""
        found = self.ledger.find_fetchable(number, caller.agency)
        if found is None:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=str(number))
        return await self.delivery(found)

    async def delivery(self, message: Stored) -> Delivery:
        """A stored message, ready to be handed out."""
        assert message.envelope is not None
        return Delivery(
            summary=_summary(_as_waiting(message)),
            envelope=await self.ledger.payloads.read(message.envelope),
            attachments=tuple(HubAttachment(self, one, self._place_of(one)) for one in message.manifest),
            receipt=self.ledger.receipt(message.leaf).to_text(),
        )

    async def confirm(self, caller: Caller, numbers: Sequence[int]) -> Sequence[Confirmation]:
        """The caller has these durably; their senders are told."""
        confirmed = await self.ledger.do(Confirm(agency=caller.agency, numbers=tuple(numbers)))
        self.dispatch.wake(confirmed.notified)
        _log.info("confirmed", recipient=caller.agency, numbers=numbers)
        return [
            Confirmation(number=number, outcome=outcome)
            for number, outcome in zip(numbers, confirmed.outcomes, strict=True)
        ]

    async def traces(self, caller: Caller, *, document_id: str = "", after: int = 0) -> Sequence[Trace]:
        """Statuses and notices that were put into the caller's mailbox; by name, those about its own documents."""
        about: list[int | None] = [None]
        if document_id:
            about = [*self._names.named(caller.agency, document_id)]
            if not about:
                raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="DocumentId")
        rows = [
            row
            for number in about
            for row in self.ledger.reports(caller.agency, concerns=number, after=after, limit=TRACES_AT_ONCE)
        ]
        rows.sort(key=lambda row: row.number)
        return [await self._trace(row) for row in rows[:TRACES_AT_ONCE]]

    async def organizations(self, caller: Caller) -> Sequence[Organization]:  # noqa: ARG002 -- the same for all
        """The directory."""
        return self.registry.organizations()

    # evidence

    def checkpoint(self) -> str:
        """The latest signed checkpoint."""
        return self.ledger.log.note

    def consistency(self, start: int, end: int) -> list[bytes]:
        """Consistency proof between two tree sizes."""
        if end > self.ledger.log.size:
            raise ExchangeError(errors.ELEMENT_RANGE, element="GetConsistency.To")
        return self.ledger.consistency(start, end)

    # inside

    def _accepted(self, recorded: Recorded) -> Accepted:
        return Accepted(
            number=recorded.number,
            document_id=recorded.document_id,
            receipt=self.ledger.receipt(recorded.leaf).to_text(),
            repeated=recorded.repeated,
        )

    def _place_of(self, attachment: StoredAttachment) -> Placement:
        place = self.ledger.find_payload(attachment.sha256)
        if place is None:
            raise ExchangeError(errors.INTERNAL, payload=attachment.sha256.hex())
        return place

    async def _trace(self, row: Stored) -> Trace:
        if row.envelope is not None:
            status = read_message(parse(await self.ledger.payloads.read(row.envelope)))
            assert isinstance(status, StatusMessage)
        else:
            status = StatusMessage(
                sender=Organization(organ_id=row.sender),
                response_for=(ResponseFor(organ_id=row.addressee or "", document_id=row.document_id),),
                status_code=row.status or 0,
                description="Đã đến",
                timestamp=from_milliseconds(row.accepted_at),
            )
        return Trace(number=row.number, document_id=row.document_id, status=status)


def _summary(row: Waiting, receipt: str = "") -> Summary:
    return Summary(
        number=row.number,
        kind=row.kind,
        sender=row.sender,
        document_id=row.document_id,
        digest=row.digest.hex(),
        priority=row.priority,
        size=row.size,
        accepted_at=from_milliseconds(row.accepted_at),
        receipt=receipt,
    )


def _as_waiting(message: Stored) -> Waiting:
    return Waiting(
        number=message.number,
        kind=message.kind,
        sender=message.sender,
        document_id=message.document_id,
        digest=message.digest,
        priority=message.priority,
        size=message.size,
        accepted_at=message.accepted_at,
        leaf=message.leaf,
    )
