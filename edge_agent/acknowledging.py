"""What a receipt of the hub changes here: it is verified, kept, and a recall that it covers moves the recipients."""

from __future__ import annotations

import msgspec
from lxml import etree

from edge_agent.clock import Clock
from edge_agent.movements import Movement, movement
from edge_agent.preparation import document_id_of
from edge_agent.records import Outgoing
from edge_agent.store import Store
from edge_agent.trusting import Beliefs, check_acceptance
from edge_agent.watching import Watchman
from protocol import document_ids, errors, lifecycle, seal
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Accepted
from protocol.model import Document, Message
from protocol.signing import Signer
from runtime import logs

_log = logs.get("edge.sending")


class Recall(msgspec.Struct, frozen=True):
    """The sent document (as it is compared) that a message of this agency asks back, and how its recipients move."""

    document_key: str
    move: Movement


class Acknowledging:
    """The end of a message in the outbox."""

    def __init__(
        self, agency: str, signer: Signer, *, store: Store, beliefs: Beliefs, watchman: Watchman, clock: Clock
    ) -> None:
        self._agency = agency
        self._signer = signer
        self._store = store
        self._beliefs = beliefs
        self._watchman = watchman
        self._clock = clock

    async def keep(self, item: Outgoing, accepted: Accepted) -> None:
        """The hub has the message. Raises `server.bad-answer` for a receipt that proves something else."""
        try:
            leaf = self._beliefs.check_receipt(accepted.receipt)
            check_acceptance(leaf, digest=item.digest, sender=self._agency)
        except ExchangeError as error:
            await self._watchman.alarm("receipt", f"Giấy biên nhận của trục cho văn bản số {item.number} không đúng.")
            raise ExchangeError(errors.BAD_ANSWER, cause=error.kind.code) from error
        run, outbox = self._store.run, self._store.outbox
        recall = recall_of(read_message(etree.fromstring(await run(outbox.envelope, item.number))))
        moved = (recall.document_key, recall.move) if recall is not None else None
        await run(
            outbox.sent, item.number,
            hub_number=accepted.number, receipt=accepted.receipt, now=self._clock(), recalled=moved,
        )  # fmt: skip
        _log.info("sent", number=item.number, hub_number=accepted.number, repeated=accepted.repeated)
        await self._watchman.reached("send")
        await self._watchman.clear("agency")
        await self._watchman.see(accepted.receipt)

    async def reseal(self, item: Outgoing) -> bool:
        """Seal a waiting message with the certificate of today; False when it has that seal already.

        The message digest is of what was signed, so identity and attachments stay as they are.
        """
        envelope = await self._store.run(self._store.outbox.envelope, item.number)
        opened = seal.open_seal(etree.fromstring(envelope))
        if opened.certificate == self._signer.certificate:
            return False
        again = seal.seal(opened.signed, self._signer)
        await self._store.run(self._store.outbox.resealed, item.number, again, self._clock())
        _log.info("resealed", number=item.number)
        return True


def recall_of(message: Message) -> Recall | None:
    """What a status 13, or a document of BussinessDocType 1, does to this agency's own document; None for others."""
    if isinstance(message, Document):
        event = lifecycle.event_of_document(message.bussiness.doc_type)
        answered = message.header.response_for[0].document_id if message.header.response_for else ""
        document_id = message.bussiness.document_id or answered
    else:
        event = lifecycle.event_of_status(message.status_code)
        document_id = document_id_of(message)
    if event not in {lifecycle.Event.RECALL, lifecycle.Event.RECALL_DOCUMENT} or not document_id:
        return None
    return Recall(document_ids.key(document_id), movement(event))
