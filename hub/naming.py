"""Which document a name means: senders give DocumentIds, and what is about a document names it by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.ledger.ledger import Ledger
from hub.registry import Registry
from hub.works import identity_of
from protocol import document_ids, errors, lifecycle
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.model import BussinessDocType, Document, ResponseFor, StatusMessage

NAMESAKES: Final = 50
"""Recalls, updates and replacements of one name that are looked at."""
ANSWERED: Final = "ResponseFor.DocumentId"


class Names:
    """The names of one ledger's documents."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        self._ledger = ledger
        self._registry = registry

    def named(self, sender: str, document_id: str) -> Iterator[int]:
        """Ledger numbers of the sender's documents of this name: the new one, then its recalls, updates, replacements.

        The latter may reuse the name of the document that they are about (edxml.md 4.3) or have one of their own.
        """
        found = self._ledger.find_identity(identity_of("document", sender, document_id, BussinessDocType.NEW, b""))
        if found is not None:
            yield found[0]
        yield from self._ledger.find_later(sender, document_ids.key(document_id), NAMESAKES)

    def recalled(self, caller: Caller, document: Document) -> tuple[int, ...]:
        """Which of the caller's own documents a recall document takes back.

        Raises `element.missing` when it names none by DocumentId, `document.not-found` for one that the caller did not
        send.
        """
        if document.bussiness.doc_type != BussinessDocType.RECALL:
            return ()
        names = (document.bussiness.document_id, *(one.document_id for one in document.header.response_for))
        numbers = [next(self.named(caller.agency, name), None) for name in names if name.strip()]
        if not numbers:
            raise ExchangeError(errors.ELEMENT_MISSING, element=ANSWERED)
        if None in numbers:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=ANSWERED)
        return tuple(dict.fromkeys(number for number in numbers if number is not None))

    def document_meant(self, caller: Caller, status: StatusMessage) -> int:
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
        owner = self._registry.find(meant.organ_id) if meant.organ_id else None
        senders = [owner.code if owner is not None else caller.agency, caller.agency]
        if lifecycle.may_cause(event) is lifecycle.Party.SENDER:
            senders.reverse()
        for sender in dict.fromkeys(senders):
            for number in self.named(sender, meant.document_id):
                if sender == caller.agency or self._ledger.find_delivery(number, caller.agency) is not None:
                    return number
        raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=ANSWERED)
