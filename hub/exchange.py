"""The hub as an `Exchange`: intake, mailboxes, statuses, directory, on one ledger."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import msgspec

from hub.dispatch import InProcessDispatch
from hub.intake import Checked, CheckedStatus, Intake, Received
from hub.ledger.ledger import Ledger
from hub.ledger.records import Placement, Stored, StoredAttachment, Waiting, from_milliseconds
from hub.payloads.store import SMALL
from hub.registry import Registry
from hub.works import Accept, Confirm, Recorded, Report, identity_of
from hub.works.intake import again
from protocol import document_ids, errors, lifecycle
from protocol.edxml.reader import read_message
from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.exchange import (
    EVERY_KIND,
    Accepted,
    Caller,
    Confirmation,
    Delivery,
    SealedSubmission,
    Submission,
    Summary,
    Trace,
    Upload,
)
from protocol.model import BussinessDocType, Document, Kind, Message, Organization, ResponseFor, StatusMessage
from protocol.namespaces import XMLDSIG
from protocol.sameness import settled
from protocol.seal import open_seal, seal
from protocol.signing import Signer
from protocol.xml_reading import parse
from runtime import logs

MAXIMUM_WAIT: Final = 60.0
"""Seconds that a long poll is held."""
TRACES_AT_ONCE: Final = 500
IN_FLIGHT: Final = 128
"""Messages of one agency that may be on their way in at once; more are told to come back (a full queue refuses at the
door).
"""
TURN: Final = 50
"""Lines of a mailbox that are made out before others get their turn; a receipt takes some 60 µs."""
NAMESAKES: Final = 50
"""Recalls, updates and replacements of one name that are looked at."""
ANSWERED: Final = "ResponseFor.DocumentId"
_DIGEST_VALUE: Final = f"{{{XMLDSIG}}}DigestValue"
IN_FLIGHT_TOGETHER: Final = 1024
"""The same for all agencies together; with what one message may hold, this bounds the hub's memory."""

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
        now: Callable[[], datetime],
    ) -> None:
        self.ledger = ledger
        self.registry = registry
        self.dispatch = dispatch
        self._intake = intake
        self._signer = signer
        self._now = now
        self._in_flight: Counter[str] = Counter()
        self._together = 0

    # in

    async def send(self, caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:
        """Take a document into custody (see the port)."""
        try:
            checked = self._intake.check_document(caller, submission)
        except ExchangeError as refusal:
            if refusal.kind is errors.SECRET_MARK:
                self._forget_uploads(caller, submission)
            raise
        recalls = self._recalled(caller, checked.document)
        recorded = self._earlier(caller, checked) if _is_heavy(checked.document) else None
        try:
            recorded = recorded or await self._take_in(caller, checked, recalls, uploads)
        except ExchangeError:
            recorded = self._earlier(caller, checked)  # a repeat is answered even without its attachments
            if recorded is None:
                raise
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
        document = self._document_meant(caller, checked.status)
        envelope, digest = self._sealed_status(checked)
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
            about = [*self._named(caller.agency, document_id)]
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

    def _earlier(self, caller: Caller, checked: Checked) -> Recorded | None:
        """What the ledger has under this identity. Raises `document.conflict`.

        Asked before a large attachment is carried again, and when something is wrong with a message: the reading
        connection must take a new look at the database for it, which costs more than the attachment of most messages.
        """
        if checked.opened is None:
            return None
        digest = bytes.fromhex(checked.opened.digest)
        found = self.ledger.find_identity(checked.identity(caller.agency, digest))
        return None if found is None else again(found, digest)

    async def _take_in(
        self, caller: Caller, checked: Checked, recalls: tuple[int, ...], uploads: AsyncIterator[Upload]
    ) -> Recorded:
        """Attachments, then the batch; the batch itself recognises a repeat."""
        with self._place_at_the_door(caller.agency):
            received = Received(self.ledger.payloads, caller.agency)
            with self._all_or_nothing(received):
                await received.take(checked.document.references, uploads)
                work = await self._work(caller, checked, received)
                return await self.ledger.do(msgspec.structs.replace(work, recalls=recalls) if recalls else work)

    async def _work(self, caller: Caller, checked: Checked, received: Received) -> Accept:
        """The work that records the document; large attachments have their place when it is handed over."""
        document = checked.document
        attachments = tuple(received.stored(reference) for reference in document.references)
        if checked.opened is None:  # a repeat of a plain document has new Content-IDs
            attachments = tuple(
                msgspec.structs.replace(one, content_id=f"f{position}") for position, one in enumerate(attachments, 1)
            )
        envelope, digest = self._sealed(checked, attachments)
        large = []
        for content_id, path in received.large.items():
            sha256, size = received.digests[content_id]
            received.kept.append(sha256)
            large.append((sha256, await self.ledger.payloads.keep_large(path, sha256, size)))
        return Accept(
            agency=caller.agency,
            document_id=document.header.document_id,
            identity=checked.identity(caller.agency, digest),
            digest=digest,
            doc_type=int(document.bussiness.doc_type),
            priority=int(document.header.other_info.priority),
            recipients=checked.recipients,
            basis=checked.basis,
            envelope=envelope,
            attachments=attachments,
            small=tuple((received.digests[one][0], data) for one, data in received.small.items()),
            large=tuple(large),
        )

    def _sealed(self, checked: Checked, attachments: tuple[StoredAttachment, ...]) -> tuple[bytes, bytes]:
        """The sealed envelope and its digest: the agency's own, or the hub's for a source it authenticated."""
        if checked.opened is not None:
            return checked.opened.sealed, bytes.fromhex(checked.opened.digest)
        document = settled(
            msgspec.structs.replace(
                checked.document, references=tuple(attachment.reference for attachment in attachments)
            )
        )
        return self._seal_as_hub(document, checked.document.header.document_id)

    def _sealed_status(self, checked: CheckedStatus) -> tuple[bytes, bytes]:
        if checked.opened is not None:
            return checked.opened.sealed, bytes.fromhex(checked.opened.digest)
        return self._seal_as_hub(checked.status, checked.status.response_for[0].document_id)

    def _seal_as_hub(self, message: Message, name: str) -> tuple[bytes, bytes]:
        """Seal for a source that cannot; the same message gives the same signed octets, so a repeat is recognised."""
        identity = hashlib.sha256(name.encode()).hexdigest()[:24]
        unsigned = write_envelope(message, envelope_id=f"lt-{identity}")
        sealed = seal(unsigned, self._signer)
        return sealed, bytes.fromhex(open_seal(parse(sealed)).digest)

    def _named(self, sender: str, document_id: str) -> Iterator[int]:
        """Ledger numbers of the sender's documents of this name: the new one, then its recalls, updates, replacements.

        The latter may reuse the name of the document that they are about (edxml.md 4.3) or have one of their own.
        """
        found = self.ledger.find_identity(identity_of("document", sender, document_id, BussinessDocType.NEW, b""))
        if found is not None:
            yield found[0]
        yield from self.ledger.find_later(sender, document_ids.key(document_id), NAMESAKES)

    def _recalled(self, caller: Caller, document: Document) -> tuple[int, ...]:
        """Which of the caller's own documents a recall document takes back.

        Raises `element.missing` when it names none by DocumentId, `document.not-found` for one that the caller did not
        send.
        """
        if document.bussiness.doc_type != BussinessDocType.RECALL:
            return ()
        names = (document.bussiness.document_id, *(one.document_id for one in document.header.response_for))
        numbers = [next(self._named(caller.agency, name), None) for name in names if name.strip()]
        if not numbers:
            raise ExchangeError(errors.ELEMENT_MISSING, element=ANSWERED)
        if None in numbers:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=ANSWERED)
        return tuple(dict.fromkeys(number for number in numbers if number is not None))

    def _document_meant(self, caller: Caller, status: StatusMessage) -> int:
        """The one document that a status is about.

        Raises `document.not-found`, and `element.range` for a status about several: each has a life of its own, in
        which the status may be allowed or not, and one answer cannot say so of all.
        """
        event = lifecycle.event_of_status(status.status_code)
        named = [meant for meant in status.response_for if meant.document_id.strip()]
        numbers = {self._one_meant(caller, meant, event) for meant in named}
        if len(numbers) > 1:
            raise ExchangeError(errors.ELEMENT_RANGE, element="MessageHeader.ResponseFor")
        if not numbers:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=ANSWERED)
        return numbers.pop()

    def _one_meant(self, caller: Caller, meant: ResponseFor, event: lifecycle.Event) -> int:
        """A document that the caller sent or was sent: of the agency that ResponseFor names, or its own.

        Two agencies may give the same name to what they send each other; who may cause the event then decides.
        """
        owner = self.registry.find(meant.organ_id) if meant.organ_id else None
        senders = [owner.code if owner is not None else caller.agency, caller.agency]
        if lifecycle.may_cause(event) is lifecycle.Party.SENDER:
            senders.reverse()
        for sender in dict.fromkeys(senders):
            for number in self._named(sender, meant.document_id):
                if sender == caller.agency or self.ledger.find_delivery(number, caller.agency) is not None:
                    return number
        raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=ANSWERED)

    def _accepted(self, recorded: Recorded) -> Accepted:
        return Accepted(
            number=recorded.number,
            document_id=recorded.document_id,
            receipt=self.ledger.receipt(recorded.leaf).to_text(),
            repeated=recorded.repeated,
        )

    def _forget_uploads(self, caller: Caller, submission: Submission) -> None:
        """What a document with a state-secret mark had sent ahead goes with it (AC-4.2a-3).

        Any digest in the envelope will do: it can only name the agency's own uploads.
        """
        if not isinstance(submission, SealedSubmission):
            return
        for element in submission.envelope.iter(_DIGEST_VALUE):
            with suppress(ValueError):
                sha256 = b64decode(element.text or "")
                if len(sha256) == hashlib.sha256().digest_size:
                    self.ledger.payloads.forget_upload(caller.agency, sha256)

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

    @contextmanager
    def _all_or_nothing(self, received: Received) -> Iterator[None]:
        """Files of a refused document go. After an unknown failure they stay for the next start, which knows better."""
        unwanted = False
        try:
            yield
        except OSError as error:
            unwanted = True
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise ExchangeError(errors.DISK_FULL if full else errors.INTERNAL, errno=error.errno) from error
        except ExchangeError as error:
            unwanted = error.kind is not errors.INTERNAL
            raise
        finally:
            received.discard()
            for sha256 in received.kept:
                known = self.ledger.find_payload(sha256) is not None
                self.ledger.payloads.decide(sha256, unwanted=unwanted and not known)

    @contextmanager
    def _place_at_the_door(self, agency: str) -> Iterator[None]:
        if self._in_flight[agency] >= IN_FLIGHT or self._together >= IN_FLIGHT_TOGETHER:
            raise ExchangeError(errors.BUSY)
        self._in_flight[agency] += 1
        self._together += 1
        try:
            yield
        finally:
            self._in_flight[agency] -= 1
            self._together -= 1


def _is_heavy(document: Document) -> bool:
    return any((reference.size or 0) > SMALL for reference in document.references)


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
