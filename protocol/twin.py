"""An `Exchange` in memory: the twin of hub and edge agent for tests of adapters and for a vendor's sandbox.

It keeps the promises of the port (identity, idempotence, manifest and attachments, secrecy before storing, lifecycle,
mailbox until confirmed) and none of a hub's other duties: no certificates, no evidence, nothing survives the process.
A trace has the number of the message that brought it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from protocol import document_ids, errors, lifecycle, required, secrecy
from protocol.agency_codes import canonical
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
from protocol.lifecycle import Effect, Event, Party
from protocol.model import (
    BussinessDocType,
    Document,
    Kind,
    Message,
    Organization,
    Reference,
    ResponseFor,
    StatusMessage,
)
from protocol.sameness import settled
from protocol.seal import message_digest, open_seal

_PLAIN_ID: Final = "plain"
"""`Id` of an envelope that nobody sealed."""


class KeptAttachment:
    """An attachment in memory."""

    def __init__(self, reference: Reference, data: bytes) -> None:
        self.reference = reference
        self.data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it at once."""
        yield self.data


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    summary: Summary
    message: Message
    envelope: bytes = b""
    attachments: tuple[KeptAttachment, ...] = ()
    recipients: tuple[str, ...] = ()


class Twin:
    """An exchange between `organizations`; every method of the port, nothing durable. `clock` gives aware UTC."""

    def __init__(self, organizations: Sequence[Organization], clock: Callable[[], datetime]) -> None:
        self._organizations = tuple(organizations)
        self._known = {canonical(organization.organ_id) for organization in organizations}
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._identities: dict[tuple[str, str, str], int] = {}
        self._waiting: dict[str, list[int]] = {code: [] for code in self._known}
        self._delivered: set[tuple[str, int]] = set()  # (agency, number)
        self._states: dict[tuple[int, str], lifecycle.State] = {}
        self._stopped: dict[tuple[int, str], int] = {}  # the recall that withdrew it

    async def send(self, caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:
        """See `Exchange.send`. Secret marks are looked for before an upload is touched."""
        document, envelope = _read(submission)
        if not isinstance(document, Document):
            raise ExchangeError(errors.ELEMENT_MISMATCH, element="MessageHeader.StatusCode")
        document = document if envelope else document_ids.completed(document, caller.agency)
        self._check_sender(caller, document.header.sender)
        secrecy.refuse_marked(document)
        required.check_document(document)
        recipients = self._recipients(document)
        recalled = self._recalled(caller, document)
        attachments = await _receive(document.references, uploads)
        if not envelope:
            document, attachments = _settled(document, attachments)
            envelope = write_envelope(document, envelope_id=_PLAIN_ID)
        return self._accept(caller, document, envelope, attachments, recipients, recalled)

    async def report(self, caller: Caller, submission: Submission) -> Accepted:
        """See `Exchange.report`; the lifecycle table decides, late and repeated reports are recorded."""
        status, envelope = _read(submission)
        if not isinstance(status, StatusMessage):
            raise ExchangeError(errors.ELEMENT_MISSING, element="MessageHeader.StatusCode")
        self._check_sender(caller, status.sender)
        secrecy.refuse_marked(status)
        required.check_status(status)
        event = lifecycle.event_of_status(status.status_code)
        document = self._meant(caller, status, event)
        identity = (caller.agency, document.summary.document_id, message_digest(envelope))
        if identity in self._identities:
            return self._again(identity)
        concerned = self._concerned(caller, document, event)
        number = self._keep("status", caller.agency, document.summary.document_id, status, envelope=envelope)
        self._identities[identity] = number
        has_it = tuple(recipient for recipient in concerned if self._move(document, recipient, event, number))
        self._hand(number, has_it if lifecycle.may_cause(event) is Party.SENDER else (document.summary.sender,))
        return Accepted(number=number, document_id=document.summary.document_id)

    async def pending(
        self,
        caller: Caller,
        *,
        limit: int,
        wait_seconds: float = 0,  # noqa: ARG002 -- answers at once
        kinds: Collection[Kind] = EVERY_KIND,
        receipts: bool = False,  # noqa: ARG002 -- it has none
    ) -> Sequence[Summary]:
        """See `Exchange.pending`; it never waits."""
        kept = (self._kept[number].summary for number in self._mailbox(caller))
        waiting = [summary for summary in kept if summary.kind in kinds]
        return sorted(waiting, key=lambda summary: (-summary.priority, summary.number))[:limit]

    async def fetch(self, caller: Caller, number: int) -> Delivery:
        """See `Exchange.fetch`."""
        known = number in self._mailbox(caller) or (caller.agency, number) in self._delivered
        if not known or (number, caller.agency) in self._stopped:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
        kept = self._kept[number]
        return Delivery(
            summary=kept.summary, envelope=kept.envelope, message=kept.message, attachments=kept.attachments
        )

    async def confirm(self, caller: Caller, numbers: Sequence[int]) -> Sequence[Confirmation]:
        """See `Exchange.confirm`; the sender of a document gets a notice."""
        return [self._confirm(caller, number) for number in numbers]

    async def traces(self, caller: Caller, *, document_id: str = "", after: int = 0) -> Sequence[Trace]:
        """See `Exchange.traces`."""
        key = document_ids.key(document_id)
        return [
            Trace(number=number, document_id=kept.summary.document_id, status=kept.message)
            for number, kept in self._kept.items()
            if number > after
            and isinstance(kept.message, StatusMessage)
            and caller.agency in kept.recipients
            and key in {"", document_ids.key(kept.summary.document_id)}
        ]

    async def organizations(self, caller: Caller) -> Sequence[Organization]:  # noqa: ARG002 -- the same for all
        """See `Exchange.organizations`."""
        return self._organizations

    def _check_sender(self, caller: Caller, sender: Organization) -> None:
        if canonical(sender.organ_id) != caller.agency:
            raise ExchangeError(errors.NOT_THE_SENDER, element="MessageHeader.From.OrganId")

    def _recipients(self, document: Document) -> tuple[str, ...]:
        for organization in document.header.to:
            if canonical(organization.organ_id) not in self._known:
                raise ExchangeError(errors.RECIPIENT_UNKNOWN, element=organization.organ_id)
        return tuple(canonical(organization.organ_id) for organization in document.header.to)

    def _accept(
        self,
        caller: Caller,
        document: Document,
        envelope: bytes,
        attachments: tuple[KeptAttachment, ...],
        recipients: tuple[str, ...],
        recalled: tuple[_Kept, ...],
    ) -> Accepted:
        digest = message_digest(envelope)
        new = document.bussiness.doc_type == BussinessDocType.NEW
        key = document_ids.key(document.header.document_id)
        identity = (caller.agency, key, "" if new else digest)
        if identity in self._identities:
            if self._kept[self._identities[identity]].summary.digest != digest:
                raise ExchangeError(errors.DOCUMENT_CONFLICT)
            return self._again(identity)
        number = self._keep(
            "document",
            caller.agency,
            document.header.document_id,
            document,
            envelope=envelope,
            attachments=attachments,
        )
        self._identities[identity] = number
        self._hand(number, tuple(to for to in recipients if self._reached(recalled, to, number)))
        return Accepted(number=number, document_id=document.header.document_id)

    def _again(self, identity: tuple[str, str, str]) -> Accepted:
        summary = self._kept[self._identities[identity]].summary
        return Accepted(number=summary.number, document_id=summary.document_id, repeated=True)

    def _keep(
        self,
        kind: Kind,
        sender: str,
        document_id: str,
        message: Message,
        *,
        envelope: bytes = b"",
        attachments: tuple[KeptAttachment, ...] = (),
    ) -> int:
        number = len(self._kept) + 1
        summary = Summary(
            number=number,
            kind=kind,
            sender=sender,
            document_id=document_id,
            digest=message_digest(envelope),
            priority=message.header.other_info.priority if isinstance(message, Document) else 0,
            size=sum(len(kept.data) for kept in attachments),
            accepted_at=self._clock(),
        )
        self._kept[number] = _Kept(summary=summary, message=message, envelope=envelope, attachments=attachments)
        return number

    def _hand(self, number: int, recipients: tuple[str, ...]) -> None:
        known = self._kept[number].recipients
        self._kept[number] = msgspec.structs.replace(self._kept[number], recipients=(*known, *recipients))
        for recipient in recipients:
            self._waiting[recipient].append(number)

    def _mailbox(self, caller: Caller) -> list[int]:
        return self._waiting.get(caller.agency, [])

    def _confirm(self, caller: Caller, number: int) -> Confirmation:
        if (caller.agency, number) in self._delivered:
            return Confirmation(number=number, outcome="already")
        if number in self._mailbox(caller):
            self._waiting[caller.agency].remove(number)
        elif (number, caller.agency) not in self._stopped:
            return Confirmation(number=number, outcome="unknown")
        self._delivered.add((caller.agency, number))
        kept = self._kept[number]
        if isinstance(kept.message, Document):
            self._notify(kept, caller.agency)
            self._move(kept, caller.agency, Event.ARRIVED, number)
        return Confirmation(number=number, outcome="delivered")

    def _notify(self, document: _Kept, recipient: str) -> None:
        """The sender hears of a delivery (status 01)."""
        assert isinstance(document.message, Document)
        header = document.message.header
        arrived = StatusMessage(
            sender=Organization(organ_id=recipient),
            response_for=(
                ResponseFor(
                    organ_id=document.summary.sender,
                    code=header.code.full,
                    promulgation_date=header.promulgation_info.date,
                    document_id=header.document_id,
                ),
            ),
            status_code=int(Event.ARRIVED),
            timestamp=self._clock(),
        )
        number = self._keep("notice", recipient, header.document_id, arrived)
        self._hand(number, (document.summary.sender,))

    def _named(self, document_id: str) -> list[_Kept]:
        key = document_ids.key(document_id)
        documents = [kept for kept in self._kept.values() if isinstance(kept.message, Document)]
        return [kept for kept in documents if document_ids.key(kept.summary.document_id) == key]

    def _recalled(self, caller: Caller, document: Document) -> tuple[_Kept, ...]:
        """What a recall document takes back: the sender's own documents that it names."""
        if document.bussiness.doc_type != BussinessDocType.RECALL:
            return ()
        names = (document.bussiness.document_id, *(one.document_id for one in document.header.response_for))
        own = [[kept for kept in self._named(name) if kept.summary.sender == caller.agency] for name in names if name]
        if not all(own):
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="ResponseFor.DocumentId")
        return tuple(found[0] for found in own)

    def _meant(self, caller: Caller, status: StatusMessage, event: Event) -> _Kept:
        """The one document that a status is about, sent or received by the caller."""
        found = {
            kept.summary.number: kept
            for response in status.response_for
            if response.document_id
            for kept in [self._answered(caller, response, event)]
        }
        if len(found) > 1:
            raise ExchangeError(errors.ELEMENT_RANGE, element="MessageHeader.ResponseFor")
        for kept in found.values():
            return kept
        raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="ResponseFor.DocumentId")

    def _answered(self, caller: Caller, response: ResponseFor, event: Event) -> _Kept:
        """Of the same name, the document of the agency that `response` names, or for a sender's event the caller's."""
        known = [
            kept
            for kept in self._named(response.document_id)
            if caller.agency == kept.summary.sender or caller.agency in kept.recipients
        ]
        own = lifecycle.may_cause(event) is Party.SENDER or not response.organ_id
        owner = caller.agency if own else canonical(response.organ_id)
        known.sort(key=lambda kept: kept.summary.sender != owner)
        if not known:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="ResponseFor.DocumentId")
        return known[0]

    def _concerned(self, caller: Caller, document: _Kept, event: Event) -> tuple[str, ...]:
        """The recipients in whose life of the document the event counts. Raises before anything is moved."""
        sender, by_sender = document.summary.sender, lifecycle.may_cause(event) is Party.SENDER
        for recipient in document.recipients if by_sender else (caller.agency,):
            lifecycle.check_reporter(event, caller.agency, sender=sender, recipient=recipient)
        if not by_sender:
            if caller.agency not in document.recipients:
                raise ExchangeError(errors.STATUS_NOT_YOURS, element="MessageHeader.From.OrganId")
            self._outcome(document.summary.number, caller.agency, event)
            return (caller.agency,)
        allowed = tuple(to for to in document.recipients if self._allows(document.summary.number, to, event))
        if not allowed:
            raise ExchangeError(errors.STATUS_NOT_ALLOWED, element="MessageHeader.StatusCode")
        return allowed

    def _allows(self, number: int, recipient: str, event: Event) -> bool:
        try:
            self._outcome(number, recipient, event)
        except ExchangeError:
            return False
        return True

    def _move(self, document: _Kept, recipient: str, event: Event, cause: int) -> bool:
        """One recipient's life goes on, by the message `cause`; False where the hub has stopped its copy."""
        place = (document.summary.number, recipient)
        before, outcome = self._states.get(place, lifecycle.DA_GUI), self._outcome(*place, event)
        self._states[place] = outcome.state
        if outcome.effect is Effect.STOP_UNDELIVERED:
            self._waiting[recipient].remove(document.summary.number)
            self._stopped[place] = cause
        elif outcome.effect is Effect.ASK_RECALL and before == lifecycle.DUNG_GUI:
            recall = self._stopped[place]
            if recipient not in self._kept[recall].recipients:
                self._hand(recall, (recipient,))
        return outcome.state != lifecycle.DUNG_GUI

    def _reached(self, recalled: tuple[_Kept, ...], recipient: str, cause: int) -> bool:
        """Whether a recipient gets this document: of a recall, who has one of the recalled or never was sent any."""
        concerned = [kept for kept in recalled if recipient in kept.recipients]
        has_it = [self._move(kept, recipient, Event.RECALL_DOCUMENT, cause) for kept in concerned]
        return not concerned or any(has_it)

    def _outcome(self, number: int, recipient: str, event: Event) -> lifecycle.Outcome:
        return lifecycle.apply(self._states.get((number, recipient), lifecycle.DA_GUI), event)


def _read(submission: Submission) -> tuple[Message, bytes]:
    """The message and its sealed envelope; b"" for a plain document, whose digests come with its attachments."""
    if isinstance(submission, SealedSubmission):
        opened = open_seal(submission.envelope)
        return read_message(opened.root), opened.sealed
    if isinstance(submission.message, StatusMessage):
        return submission.message, write_envelope(submission.message, envelope_id=_PLAIN_ID)
    return submission.message, b""


async def _receive(references: tuple[Reference, ...], uploads: AsyncIterator[Upload]) -> tuple[KeptAttachment, ...]:
    """Every attachment of the manifest, once, with the digest that the manifest states (when it does)."""
    received: dict[str, bytes] = {}
    listed = {reference.content_id for reference in references}
    async for upload in uploads:
        if upload.content_id not in listed:
            raise ExchangeError(errors.ATTACHMENT_EXTRA, element=upload.content_id)
        if upload.content_id in received:
            raise ExchangeError(errors.ATTACHMENT_DOUBLED, element=upload.content_id)
        received[upload.content_id] = b"".join([chunk async for chunk in upload])
    for missing in listed - received.keys():
        raise ExchangeError(errors.ATTACHMENT_MISSING, element=missing)
    return tuple(_kept(reference, received[reference.content_id]) for reference in references)


def _settled(
    document: Document, attachments: tuple[KeptAttachment, ...]
) -> tuple[Document, tuple[KeptAttachment, ...]]:
    found = settled(msgspec.structs.replace(document, references=tuple(kept.reference for kept in attachments)))
    assert isinstance(found, Document)
    return found, tuple(
        KeptAttachment(reference, kept.data) for reference, kept in zip(found.references, attachments, strict=True)
    )


def _kept(reference: Reference, data: bytes) -> KeptAttachment:
    digest = hashlib.sha256(data).digest()
    if reference.sha256 not in {None, digest} or reference.size not in {None, len(data)}:
        raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)
    return KeptAttachment(msgspec.structs.replace(reference, sha256=digest, size=len(data)), data)
