"""A row of the inbox back into the model: an envelope is read, a delivery event becomes a status 01."""

from __future__ import annotations

from typing import Final

from edge_agent.records import Incoming
from protocol import document_ids, errors
from protocol.edxml.dates import parse_date
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.model import Message, Organization, ResponseFor, StatusMessage
from protocol.receipts import Receipt, decode_leaf
from protocol.xml_reading import parse

ARRIVED: Final = 1
"""Status 01, Đã đến."""


def message_of(row: Incoming, envelope: bytes, receipt: str) -> Message:
    """The message of a row; its seal was verified before it was stored."""
    if row.kind == "notice":
        return _delivered(receipt)
    return read_message(parse(envelope))


def status_of(row: Incoming, envelope: bytes, receipt: str) -> StatusMessage:
    """The status in a row that is one. Raises `document.not-found` for a document."""
    message = message_of(row, envelope, receipt)
    if not isinstance(message, StatusMessage):
        raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
    return message


def _delivered(receipt: str) -> StatusMessage:
    """The hub's notice "delivered" as the status that old readers know (edXML StatusCode 01)."""
    leaf = decode_leaf(Receipt.from_text(receipt).leaf)
    parts = document_ids.parts(leaf.document_id)
    return StatusMessage(
        sender=Organization(organ_id=leaf.recipient),
        response_for=(
            ResponseFor(
                organ_id=leaf.sender,
                code=parts.full_code if parts else "",
                promulgation_date=parse_date(parts.date) if parts else None,
                document_id=leaf.document_id,
            ),
        ),
        status_code=leaf.status if leaf.status is not None else ARRIVED,
        description="Văn bản đã đến hệ thống của nơi nhận",
        timestamp=leaf.moment,
    )
