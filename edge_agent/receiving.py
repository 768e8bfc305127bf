"""One message from the hub's mailbox into the inbox: believed only after every check, kept only when it is believed.

Seal, certificate, digest, receipt and recipient are checked before the first octet of an attachment is stored; each
attachment must be what the sealed manifest says, no more and no less. What fails a check is refused as a whole.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import msgspec

from edge_agent.clock import Clock
from edge_agent.movements import movement
from edge_agent.payloads import Payloads, PayloadWriter
from edge_agent.records import Arrived, Route, StoredAttachment
from edge_agent.store import Store
from edge_agent.store.inbox import Report
from edge_agent.trusting import Beliefs, check_acceptance
from edge_agent.uplink import Fetched, HubLink
from protocol import agency_codes, document_ids, errors, lifecycle, seal, secrecy
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Summary
from protocol.model import Document, Message, Reference, StatusMessage
from protocol.receipts import Leaf
from runtime import logs

_log = logs.get("edge.receiving")


class Receiver:
    """Fetches, checks and stores; says nothing to the hub."""

    def __init__(
        self,
        *,
        agency: str,
        store: Store,
        payloads: Payloads,
        link: HubLink,
        beliefs: Beliefs,
        routes: tuple[Route, ...],
        clock: Clock,
    ) -> None:
        self._agency = agency
        self._store = store
        self._payloads = payloads
        self._link = link
        self._beliefs = beliefs
        self._routes = routes
        self._clock = clock

    async def receive(self, summary: Summary) -> str:
        """Bring one message into the inbox, durably; returns its receipt.

        Raises:
            ExchangeError: what is wrong with it, or (temporary) with the line or this machine.
        """
        if summary.kind == "notice":
            arrived = self._notice(summary)
            number = await self._keep(arrived, _report(summary.sender, lifecycle.Event.ARRIVED))
        else:
            self._payloads.check_space(summary.size)
            async with self._link.fetch(summary.number) as fetched:
                arrived, number = await self._fetched(summary, fetched)
        _log.info("received", number=number, hub_number=summary.number, kind=summary.kind, sender=summary.sender)
        return arrived.receipt

    def _notice(self, summary: Summary) -> Arrived:
        """A delivery event: the receipt is the whole message."""
        leaf = self._beliefs.check_receipt(summary.receipt)
        same = leaf.digest == summary.digest and agency_codes.same(leaf.recipient, summary.sender)
        if leaf.type != "delivered" or not same or not agency_codes.same(leaf.sender, self._agency):
            raise ExchangeError(errors.PROOF_INVALID, element="leaf")
        return _arrived(summary, leaf, leaf.document_id, summary.receipt, None)

    async def _fetched(self, summary: Summary, fetched: Fetched) -> tuple[Arrived, int]:
        opened = seal.open_seal(fetched.envelope)
        leaf = self._beliefs.check_receipt(fetched.receipt)
        message = read_message(opened.root)
        sender = message.header.sender.organ_id if isinstance(message, Document) else message.sender.organ_id
        check_acceptance(leaf, digest=opened.digest, sender=sender)
        self._beliefs.check_sealer(opened, sender, leaf.moment)
        if opened.digest != summary.digest or not agency_codes.same(sender, summary.sender):
            raise ExchangeError(errors.BAD_ANSWER, reason="summary and message differ")
        self._check_content(message, leaf)
        document_id = message.header.document_id if isinstance(message, Document) else leaf.document_id
        arrived = _arrived(summary, leaf, document_id, fetched.receipt, opened.sealed)
        references = message.references if isinstance(message, Document) else ()
        with ExitStack() as stack:
            writers, attachments = await self._attachments(fetched, references, stack)
            for writer in writers:
                await asyncio.to_thread(writer.finish)
            whole = msgspec.structs.replace(arrived, attachments=attachments)
            return whole, await self._keep(whole, _report_of(message))

    def _check_content(self, message: Message, leaf: Leaf) -> None:
        secrecy.refuse_marked(message)  # the hub refuses it too; this line does not depend on that (Điều 4.2a)
        if not isinstance(message, Document):
            return
        named = (*leaf.recipients, *(one.organ_id for one in message.header.to))
        if not any(agency_codes.same(one, self._agency) for one in named):
            raise ExchangeError(errors.RECIPIENT_UNKNOWN, element="MessageHeader.To.OrganId")

    async def _attachments(
        self, fetched: Fetched, references: tuple[Reference, ...], stack: ExitStack
    ) -> tuple[list[PayloadWriter], tuple[StoredAttachment, ...]]:
        """Stream every part to disk, nameless; all of them must be what the manifest says."""
        wanted = {reference.content_id: reference for reference in references}
        writers: dict[str, PayloadWriter] = {}
        async for content_id, octets in fetched.attachments():
            if content_id not in wanted:
                raise ExchangeError(errors.ATTACHMENT_EXTRA, element=content_id)
            if content_id in writers:
                raise ExchangeError(errors.ATTACHMENT_DOUBLED, element=content_id)
            writer = writers[content_id] = stack.enter_context(self._payloads.writer())
            async for chunk in octets:
                await asyncio.to_thread(writer.write, chunk)
        for reference in references:
            if reference.content_id not in writers:
                raise ExchangeError(errors.ATTACHMENT_MISSING, element=reference.content_id)
        kept = tuple(_checked(reference, writers[reference.content_id]) for reference in references)
        return list(writers.values()), kept

    async def _keep(self, arrived: Arrived, report: Report | None) -> int:
        return await self._store.run(self._store.inbox.receive, arrived, self._routes, self._clock(), report)


def _report(agency: str, event: lifecycle.Event) -> Report:
    return Report(agency_codes.canonical(agency), movement(event))


def _report_of(message: Message) -> Report | None:
    """What a status does to the document that this agency sent; unknown codes are kept and move nothing."""
    if not isinstance(message, StatusMessage):
        return None
    try:
        event = lifecycle.event_of_status(message.status_code)
    except ExchangeError:
        return None
    return None if event in lifecycle.SENDERS_EVENTS else _report(message.sender.organ_id, event)


def _arrived(summary: Summary, leaf: Leaf, document_id: str, receipt: str, envelope: bytes | None) -> Arrived:
    return Arrived(
        hub_number=summary.number,
        kind=summary.kind,
        sender=agency_codes.canonical(summary.sender),
        document_id=document_id,
        document_key=document_ids.key(document_id),
        digest=leaf.digest,
        envelope=envelope,
        receipt=receipt,
        priority=summary.priority,
        accepted_at=leaf.moment,
    )


def _checked(reference: Reference, writer: PayloadWriter) -> StoredAttachment:
    written = writer.written
    if reference.sha256 is None or reference.sha256.hex() != written.sha256:
        raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)
    if reference.size is not None and reference.size != written.size:
        raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)
    return StoredAttachment(
        content_id=reference.content_id,
        name=reference.attachment_name,
        content_type=reference.content_type,
        description=reference.description,
        sha256=written.sha256,
        size=written.size,
    )
