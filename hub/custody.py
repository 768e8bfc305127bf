"""Taking a document into custody: attachments received, envelope sealed; all of it is recorded, or nothing of it kept.

The door has room for so many messages on their way in; a full queue refuses there, before anything is received.
"""

from __future__ import annotations

import errno
import hashlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from hub.intake import Checked, CheckedStatus, Received
from hub.ledger.ledger import Ledger
from hub.ledger.records import StoredAttachment
from hub.payloads.store import SMALL
from hub.works import Accept, Recorded
from hub.works.intake import again
from protocol import errors
from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.exchange import Caller, SealedSubmission, Submission, Upload
from protocol.model import Document, Message
from protocol.namespaces import XMLDSIG
from protocol.sameness import settled
from protocol.seal import open_seal, seal
from protocol.signing import Signer
from protocol.xml_reading import parse

IN_FLIGHT: Final = 128
"""Messages of one agency that may be on their way in at once; more are told to come back."""
IN_FLIGHT_TOGETHER: Final = 1024
"""The same for all agencies together; with what one message may hold, this bounds the hub's memory."""
_DIGEST_VALUE: Final = f"{{{XMLDSIG}}}DigestValue"


class Custody:
    """Use from one event loop."""

    def __init__(self, ledger: Ledger, signer: Signer) -> None:
        self._ledger = ledger
        self._signer = signer
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> Counter[str]:
        """Messages on their way in, by agency; an agency without any is not listed."""
        return self._in_flight

    async def take(
        self, caller: Caller, checked: Checked, recalls: tuple[int, ...], uploads: AsyncIterator[Upload]
    ) -> Recorded:
        """Record a checked document, or answer what was recorded before; a repeat needs no attachments.

        Raises:
            ExchangeError: of the branches attachment, mime, document, `server.busy`, `server.disk-full`.
        """
        recorded = self._earlier(caller, checked) if _is_heavy(checked.document) else None
        try:
            return recorded or await self._take_in(caller, checked, recalls, uploads)
        except ExchangeError:
            recorded = self._earlier(caller, checked)
            if recorded is None:
                raise
            return recorded

    def sealed_status(self, checked: CheckedStatus) -> tuple[bytes, bytes]:
        """The sealed status and its digest: the agency's own, or the hub's for a source it authenticated."""
        if checked.opened is not None:
            return checked.opened.sealed, bytes.fromhex(checked.opened.digest)
        return self._seal_as_hub(checked.status, checked.status.response_for[0].document_id)

    def forget_uploads(self, caller: Caller, submission: Submission) -> None:
        """What a document with a state-secret mark had sent ahead goes with it (AC-4.2a-3).

        Any digest in the envelope will do: it can only name the agency's own uploads.
        """
        if not isinstance(submission, SealedSubmission):
            return
        for element in submission.envelope.iter(_DIGEST_VALUE):
            with suppress(ValueError):
                sha256 = b64decode(element.text or "")
                if len(sha256) == hashlib.sha256().digest_size:
                    self._ledger.payloads.forget_upload(caller.agency, sha256)

    def _earlier(self, caller: Caller, checked: Checked) -> Recorded | None:
        """What the ledger has under this identity. Raises `document.conflict`.

        Asked before a large attachment is carried again, and when something is wrong with a message: the reading
        connection must take a new look at the database for it, which costs more than the attachment of most messages.
        """
        if checked.opened is None:
            return None
        digest = bytes.fromhex(checked.opened.digest)
        found = self._ledger.find_identity(checked.identity(caller.agency, digest))
        return None if found is None else again(found, digest)

    async def _take_in(
        self, caller: Caller, checked: Checked, recalls: tuple[int, ...], uploads: AsyncIterator[Upload]
    ) -> Recorded:
        """Attachments, then the batch; the batch itself recognises a repeat."""
        with self._place_at_the_door(caller.agency):
            received = Received(self._ledger.payloads, caller.agency)
            with self._all_or_nothing(received):
                await received.take(checked.document.references, uploads)
                work = await self._work(caller, checked, received)
                return await self._ledger.do(msgspec.structs.replace(work, recalls=recalls) if recalls else work)

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
            large.append((sha256, await self._ledger.payloads.keep_large(path, sha256, size)))
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

    def _seal_as_hub(self, message: Message, name: str) -> tuple[bytes, bytes]:
        """Seal for a source that cannot; the same message gives the same signed octets, so a repeat is recognised."""
        identity = hashlib.sha256(name.encode()).hexdigest()[:24]
        unsigned = write_envelope(message, envelope_id=f"lt-{identity}")
        sealed = seal(unsigned, self._signer)
        return sealed, bytes.fromhex(open_seal(parse(sealed)).digest)

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
                known = self._ledger.find_payload(sha256) is not None
                self._ledger.payloads.decide(sha256, unwanted=unwanted and not known)

    @contextmanager
    def _place_at_the_door(self, agency: str) -> Iterator[None]:
        if self._in_flight[agency] >= IN_FLIGHT or self._in_flight.total() >= IN_FLIGHT_TOGETHER:
            raise ExchangeError(errors.BUSY)
        self._in_flight[agency] += 1
        try:
            yield
        finally:
            self._in_flight[agency] -= 1
            if not self._in_flight[agency]:
                del self._in_flight[agency]


def _is_heavy(document: Document) -> bool:
    return any((reference.size or 0) > SMALL for reference in document.references)
