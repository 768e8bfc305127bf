"""DocumentId, the name of a document across systems: how we compose it, and how any two are compared.

A DocumentId is opaque: it may hold `/`, `,` and Vietnamese letters, so it is never a file name or a part of an address.
Where we are the origin it is `organId,yyyy/MM/dd,number/notation`, the form that existing readers take apart.
"""

from __future__ import annotations

from datetime import date
from typing import Final, TypeVar

import msgspec

from protocol.errors import ELEMENT_EMPTY, ELEMENT_RANGE, ExchangeError
from protocol.model import Document, Message
from protocol.text.nfc import normalise

MAX_LENGTH: Final = 255
"""Ours: the comma form reaches 89 code points at the limits of its parts, and other origins have longer ones."""
_PARTS: Final = 3
M = TypeVar("M", bound=Message)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The three parts of the comma form, as written."""

    organ_id: str
    date: str
    full_code: str


def compose(organ_id: str, promulgated: date, full_code: str) -> str:
    """`H21.16,2026/11/20,123/SVDA-VP` from agency, date of promulgation and số, ký hiệu.

    Raises `element.empty` for a part that is missing and `element.range` for an agency code that holds a comma.
    """
    for element, value in (("From.OrganId", organ_id), ("Code.CodeNumber", full_code)):
        if not value.strip():
            raise ExchangeError(ELEMENT_EMPTY, element=f"MessageHeader.{element}")
    if "," in organ_id:
        raise ExchangeError(ELEMENT_RANGE, element="MessageHeader.From.OrganId")
    return normalise(f"{organ_id.strip()},{promulgated:%Y/%m/%d},{full_code.strip()}")


def completed(message: M, agency: str) -> M:
    """With the DocumentId that a local system may leave out: composed from what the document says, `agency` the origin.

    For a message that nobody sealed yet. A status, and a document without number or date, stays as it is.
    """
    if not isinstance(message, Document):
        return message
    header = message.header
    if header.document_id.strip() or header.promulgation_info.date is None or not header.code.number.strip():
        return message
    made = compose(agency, header.promulgation_info.date, header.code.full)
    return msgspec.structs.replace(message, header=msgspec.structs.replace(header, document_id=made))


def key(document_id: str) -> str:
    """What two DocumentIds are compared by: canonical Unicode, without surrounding space."""
    return normalise(document_id).strip()


def parts(document_id: str) -> Parts | None:
    """The parts of the comma form, or `None` for any other form. The code may itself hold commas."""
    pieces = document_id.split(",", _PARTS - 1)
    if len(pieces) != _PARTS or not all(pieces):
        return None
    return Parts(organ_id=pieces[0], date=pieces[1], full_code=pieces[2])
