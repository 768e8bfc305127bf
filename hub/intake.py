"""Every check between the first octet of a message and its custody, in one order that never changes.

Who signed, then what is said, and the state-secret rule before anything else may touch a disk: until `check_document`
returns, the message exists in memory only. Attachments are hashed while they stream and compared with what was signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import msgspec
from lxml import etree

from certs.trust import Trust
from hub.ledger.records import StoredAttachment, to_milliseconds
from hub.payloads.store import SMALL, PayloadStore, Receiving
from hub.registry import Registry
from hub.works import identity_of
from protocol import document_ids, errors, lifecycle, required, secrecy, text
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Caller, PlainSubmission, SealedSubmission, Submission, Upload
from protocol.model import Document, Message, Reference, StatusMessage
from protocol.seal import OpenedSeal, open_seal
from protocol.xml_reading import parse

VIETNAM: Final = timezone(timedelta(hours=7))
HELD: Final = 1 << 20
"""Octets of small attachments that one message may keep in memory; further ones go to files whatever their size."""
LOOK: Final = 0.01
"""Seconds: a message is judged right after its connection, and the two share one look at the revocation list."""
SEALED: Final = "KYSO_CQ"
AUTHENTICATED_SOURCE: Final = "XACTHUC_NGUON_GOC"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose header passed. `opened` is None when its sender could not seal."""

    document: Document
    recipients: tuple[str, ...]
    opened: OpenedSeal | None
    basis: str

    def identity(self, sender: str, digest: bytes) -> bytes:
        """The identity under this digest."""
        header, kind = self.document.header, self.document.bussiness.doc_type
        return identity_of("document", sender, header.document_id, int(kind), digest)


class CheckedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status that passed."""

    status: StatusMessage
    opened: OpenedSeal | None
    basis: str


class Intake:
    """The checks of one hub."""

    def __init__(self, registry: Registry, trust: Trust, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._trust = trust
        self._now = now

    def check_document(self, caller: Caller, submission: Submission) -> Checked:
        """Everything that can be decided from the envelope.

        Raises:
            ExchangeError: of the branches seal, element, text, caller, recipient, secrecy.
        """
        message, opened = self._open(caller, submission)
        if not isinstance(message, Document):
            raise ExchangeError(errors.ELEMENT_MISMATCH, element="MessageHeader.StatusCode")
        now = self._now()
        required.check_document(message, today=now.astimezone(VIETNAM).date())
        if opened is not None:
            _check_manifest(message)
        return Checked(
            document=message,
            recipients=self._recipients(message, to_milliseconds(now)),
            opened=opened,
            basis=SEALED if opened is not None else AUTHENTICATED_SOURCE,
        )

    def check_status(self, caller: Caller, submission: Submission) -> CheckedStatus:
        """As `check_document`, for a status."""
        message, opened = self._open(caller, submission)
        if not isinstance(message, StatusMessage):
            raise ExchangeError(errors.ELEMENT_MISSING, element="MessageHeader.StatusCode")
        required.check_status(message)
        lifecycle.event_of_status(message.status_code)
        return CheckedStatus(
            status=message, opened=opened, basis=SEALED if opened is not None else AUTHENTICATED_SOURCE
        )

    def _open(self, caller: Caller, submission: Submission) -> tuple[Message, OpenedSeal | None]:
        """The message that its agency answers for, free of state-secret marks."""
        opened = None
        if isinstance(submission, SealedSubmission):
            opened = _opened(submission.envelope)
            # every text of it, known to the model or not, and before the model can stumble over another fault
            _refuse_marked(secrecy.find_mark_in_xml(opened.root, opened.signed))
            message = read_message(opened.root)
        else:
            message = document_ids.completed(submission.message, caller.agency)
            _refuse_marked(secrecy.find_mark(message))
            _refuse_marked(secrecy.find_mark_in_xml(parse(submission.original, tolerant=True)))
        self._check_sender(caller, message, opened, plain=isinstance(submission, PlainSubmission))
        if opened is not None:
            _check_text(opened)
        return message, opened

    def _check_sender(self, caller: Caller, message: Message, opened: OpenedSeal | None, *, plain: bool) -> None:
        """Certificate → agency = caller = From (nobody is trusted for what they say they are)."""
        if opened is not None:
            self._trust.check_certificate(opened.certificate, self._now(), purpose="seal", looked_within=LOOK)
            owner = self._registry.of_certificate(hashlib.sha256(opened.certificate).digest())
            if owner != caller.agency:
                raise ExchangeError(errors.SEAL_OTHER_AGENCY, owner=owner)
        sender = self._registry.find(message_sender(message))
        if sender is None or sender.code != caller.agency:
            raise ExchangeError(errors.NOT_THE_SENDER, element="MessageHeader.From.OrganId")
        if plain and sender.seal_required:
            raise ExchangeError(errors.SEAL_MISSING)

    def _recipients(self, document: Document, now: int) -> tuple[str, ...]:
        """Canonical codes. One that cannot be written to refuses the whole: the sender must know at once."""
        codes = tuple(
            self._registry.recipient(to.organ_id, now, "MessageHeader.To.OrganId").code for to in document.header.to
        )
        if len(set(codes)) != len(codes):
            raise ExchangeError(errors.DUPLICATE_RECIPIENT, element="MessageHeader.To.OrganId")
        return codes


def message_sender(message: Message) -> str:
    """`From/OrganId` of either kind."""
    return message.header.sender.organ_id if isinstance(message, Document) else message.sender.organ_id


def _opened(envelope: etree._Element) -> OpenedSeal:
    """The sealed message. Raises of the branch seal, or `secrecy.refused`: a bad seal is no way around the mark."""
    try:
        return open_seal(envelope)
    except ExchangeError:
        _refuse_marked(secrecy.find_mark_in_xml(envelope))
        raise


def _refuse_marked(mark: secrecy.Mark | None) -> None:
    if mark is not None:
        raise ExchangeError(errors.SECRET_MARK, element=mark.element, rule=mark.rule)


def _check_text(opened: OpenedSeal) -> None:
    """TCVN 6909:2001 on the wire is NFC (AC-3.2-2); the element is looked for only when something is wrong."""
    signed = opened.signed.decode("utf-8")
    if "\ufffd" in signed:
        raise ExchangeError(errors.UNDECODABLE_TEXT, element="edXMLEnvelope")
    if text.is_normal(signed, opened.signed):
        return
    for element in opened.root.iter():
        if not text.is_normal(element.text or ""):
            raise ExchangeError(errors.NOT_NFC, element=str(element.tag).rpartition("}")[2])
    raise ExchangeError(errors.NOT_NFC, element="edXMLEnvelope")


def _check_manifest(document: Document) -> None:
    """A sealed manifest names every attachment with digest and size, and none twice."""
    for reference in document.references:
        if reference.sha256 is None or reference.size is None:
            raise ExchangeError(errors.ELEMENT_MISSING, element="edXMLManifest.Reference.DigestValue")


class Received:
    """The attachments of one message while they are not yet anybody's: in memory when small, else in files."""

    def __init__(self, store: PayloadStore, agency: str) -> None:
        self._store = store
        self._agency = agency
        self.small: dict[str, bytes] = {}
        self.large: dict[str, Path] = {}
        self.digests: dict[str, tuple[bytes, int]] = {}
        """(SHA-256, octets) by content id."""
        self.kept: list[bytes] = []
        """SHA-256 of the large ones that have their place, whether or not the document gets its own."""
        self._open: list[Receiving] = []
        self._held = 0

    async def take(self, references: tuple[Reference, ...], uploads: AsyncIterator[Upload]) -> None:
        """Receive every part, hash it, compare it with the manifest.

        Raises:
            ExchangeError: `attachment.missing|doubled|extra|digest`, of the branch mime.
            OSError: disk full.
        """
        try:
            await self._take(references, uploads)
        finally:
            for receiving in self._open:
                await receiving.settle()

    async def _take(self, references: tuple[Reference, ...], uploads: AsyncIterator[Upload]) -> None:
        wanted = {reference.content_id: reference for reference in references}
        async for upload in uploads:
            if upload.content_id in self.digests:
                raise ExchangeError(errors.ATTACHMENT_DOUBLED, element=upload.content_id)
            reference = wanted.get(upload.content_id)
            if reference is None:
                raise ExchangeError(errors.ATTACHMENT_EXTRA, element=upload.content_id)
            await self._take_one(upload)
            self._compare(reference)
        for reference in references:
            if reference.content_id not in self.digests:
                self._adopt_upload(reference)

    def discard(self) -> None:
        """Nothing of it stays, unless the ledger refers to it by now; may be called twice."""
        for receiving in self._open:
            receiving.discard()
        self._open.clear()
        self.small.clear()

    def stored(self, reference: Reference) -> StoredAttachment:
        """The attachment as the ledger remembers it."""
        sha256, size = self.digests[reference.content_id]
        return StoredAttachment(
            content_id=reference.content_id,
            name=reference.attachment_name,
            content_type=reference.content_type,
            description=reference.description,
            sha256=sha256,
            size=size,
        )

    async def _take_one(self, upload: Upload) -> None:
        pieces: list[bytes] = []
        size = 0
        receiving: Receiving | None = None
        async for chunk in upload:
            size += len(chunk)
            if receiving is None and (size > SMALL or self._held + size > HELD):
                receiving = self._store.receive()
                self._open.append(receiving)
                for piece in pieces:
                    await receiving.write(piece)
                pieces.clear()
            if receiving is None:
                pieces.append(chunk)
            else:
                await receiving.write(chunk)
        if receiving is None:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.small[upload.content_id] = data
            self._held += size
            self.digests[upload.content_id] = hashlib.sha256(data).digest(), size
        else:
            self.digests[upload.content_id] = await receiving.finish(), size
            self.large[upload.content_id] = receiving.path

    def _compare(self, reference: Reference) -> None:
        sha256, size = self.digests[reference.content_id]
        if reference.sha256 is not None and (sha256, size) != (reference.sha256, reference.size):
            raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)

    def _adopt_upload(self, reference: Reference) -> None:
        """An attachment without a part: the agency uploaded it beforehand, or it is missing."""
        path = None if reference.sha256 is None else self._store.upload_path(self._agency, reference.sha256)
        if path is None or reference.sha256 is None or reference.size is None or not path.exists():
            raise ExchangeError(errors.ATTACHMENT_MISSING, element=reference.content_id)
        if path.stat().st_size != reference.size:
            raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)
        self.digests[reference.content_id] = reference.sha256, reference.size
        self.large[reference.content_id] = path


def now_utc() -> datetime:
    """The clock of the running program."""
    return datetime.now(UTC)
