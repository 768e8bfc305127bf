"""What may enter at all: the checks on a message of the local system before anything of it is written, in lawful order.

1. secrecy, in memory: nothing of a marked message is ever written, not even to a temporary file (Điều 4.2a)
2. legacy encodings become NFC, before sealing (Điều 3.2; afterwards nobody may alter a byte)
3. required fields, lengths, dates, sender (Điều 4.1)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from io import BufferedIOBase, RawIOBase

from edge_agent.clock import VIETNAM
from edge_agent.payloads import CHUNK
from protocol import agency_codes, document_ids, errors, required, secrecy, text
from protocol.errors import ExchangeError
from protocol.exchange import PlainSubmission
from protocol.model import Document, Message, StatusMessage
from protocol.package_a import AttachmentEnd, AttachmentStart, Event, Limits, PackageAReader
from protocol.package_a.events import DEFAULT_LIMITS
from protocol.xml_reading import parse


def screen(submission: PlainSubmission, agency: str, now: datetime, encoding: text.Encoding | None = None) -> Message:
    """The message that `agency` may send; touches no disk.

    `encoding` is what the agency says of its system, for texts that do not show it by themselves.

    Raises:
        ExchangeError: `secrecy.refused`, `text.undecodable`, `caller.not-the-sender`, `element.*`.
    """
    check_secrecy(submission)
    message = to_nfc(submission.message, encoding)
    secrecy.refuse_marked(message)  # a mark may show itself only after decoding
    sender = message.header.sender if isinstance(message, Document) else message.sender
    if sender.organ_id.strip() and not agency_codes.same(sender.organ_id, agency):
        raise ExchangeError(errors.NOT_THE_SENDER, element="MessageHeader.From.OrganId")
    if isinstance(message, StatusMessage):
        required.check_status(message, required.EDGE)
        return message
    message = document_ids.completed(message, agency)
    required.check_document(message, required.EDGE, today=now.astimezone(VIETNAM).date())
    return message


def check_secrecy(submission: PlainSubmission) -> None:
    """Refuse a state-secret mark, also in elements that the model does not know.

    Raises `secrecy.refused` with rule and element, never a word of the text (AC-4.2a-4).
    """
    secrecy.refuse_marked(submission.message)
    if submission.written == "fields" or not submission.original:
        return  # all that a clerk can write is in the model
    mark = secrecy.find_mark_in_xml(parse(submission.original, tolerant=True))
    if mark is not None:
        raise ExchangeError(errors.SECRET_MARK, element=mark.element, rule=mark.rule)


def check_attachment_names(file: RawIOBase | BufferedIOBase, limits: Limits = DEFAULT_LIMITS) -> None:
    """Refuse a mark that an `.edxml` carries at its attachments alone, when the manifest is silent about them.

    Reads the file to its end: a name may stand behind the last octet, and nothing may be stored before. `file` stands
    at its start; what is wrong with the file otherwise is left to who reads it. Raises `secrecy.refused`.
    """
    for event in _readable(file, limits):
        if isinstance(event, AttachmentStart | AttachmentEnd):
            secrecy.refuse_marked_attachment(event.name, event.description)


def _readable(file: RawIOBase | BufferedIOBase, limits: Limits) -> Iterator[Event]:
    """What the file says, up to where it is damaged."""
    reader = PackageAReader(limits)
    while data := file.read(CHUNK):
        try:
            events = reader.feed(data)
        except ExchangeError:
            return
        yield from events


def to_nfc(message: Message, encoding: text.Encoding | None = None) -> Message:
    """The message in canonical Unicode (AC-3.2-1). Raises `text.undecodable` where only a person could tell."""
    conversion = text.convert(message, encoding)
    if conversion.undecided:
        raise ExchangeError(errors.UNDECODABLE_TEXT, element=conversion.undecided[0][0])
    return conversion.message
