"""Answers of the native package: written by a server, read by a client.

An answer that a client cannot read is `server.bad-answer`, temporary: it is no verdict on what was sent.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from lxml import etree

from protocol.edxml.elements import digits
from protocol.edxml.reader import read_organization, read_status
from protocol.edxml.writer import write_status
from protocol.errors import BAD_ANSWER, ExchangeError
from protocol.exchange import Accepted, Confirmation, Delivery, Summary, Trace
from protocol.model import Kind, Organization
from protocol.namespaces import EXCHANGE, QCVN
from protocol.xml_reading import local_name
from protocol.xml_writing import escape, escape_attribute

_TAG: Final = f"{{{EXCHANGE}}}"
_OUTCOMES: Final = ("delivered", "already", "unknown")
_HASH_OCTETS: Final = 32


def write_accepted(operation: Literal["SendDocument", "ReportStatus"], accepted: Accepted) -> bytes:
    """The answer to `SendDocument` and to `ReportStatus`."""
    return _write(
        operation,
        f"<lt:MessageNumber>{accepted.number}</lt:MessageNumber>"
        f"<lt:DocumentId>{escape(accepted.document_id)}</lt:DocumentId><lt:Receipt>{escape(accepted.receipt)}</lt:Receipt>"
        f"<lt:Repeated>{'true' if accepted.repeated else 'false'}</lt:Repeated>",
    )


def read_accepted(answer: etree._Element) -> Accepted:
    """`SendDocumentResponse` or `ReportStatusResponse`."""
    _expect(answer, "SendDocumentResponse", "ReportStatusResponse")
    return Accepted(
        number=_number(answer.findtext(f"{_TAG}MessageNumber"), "MessageNumber"),
        document_id=answer.findtext(f"{_TAG}DocumentId") or "",
        receipt=answer.findtext(f"{_TAG}Receipt") or "",
        repeated=(answer.findtext(f"{_TAG}Repeated") or "").strip() == "true",
    )


def write_pending(summaries: Sequence[Summary]) -> bytes:
    """The answer to `GetPending`, in the order given."""
    return _write("GetPending", "".join(_message(summary) for summary in summaries))


def read_pending(answer: etree._Element) -> tuple[Summary, ...]:
    """`GetPendingResponse`."""
    _expect(answer, "GetPendingResponse")
    return tuple(_summary(message) for message in answer.iterchildren(f"{_TAG}Message"))


def write_delivery(delivery: Delivery) -> bytes:
    """The answer to `GetDocument`: receipt, then the sealed envelope with every octet it has."""
    opening = f'<lt:GetDocumentResponse xmlns:lt="{EXCHANGE}"><lt:Receipt>{escape(delivery.receipt)}</lt:Receipt>'
    return b"".join((opening.encode(), delivery.envelope, b"</lt:GetDocumentResponse>"))


def read_delivery(answer: etree._Element) -> tuple[str, etree._Element]:
    """Receipt and the `edXMLEnvelope` element of a `GetDocumentResponse`."""
    _expect(answer, "GetDocumentResponse")
    envelopes = [child for child in answer if local_name(child) == "edXMLEnvelope"]
    if len(envelopes) != 1:
        raise ExchangeError(BAD_ANSWER, element="GetDocumentResponse.edXMLEnvelope")
    return answer.findtext(f"{_TAG}Receipt") or "", envelopes[0]


def write_confirmations(confirmations: Sequence[Confirmation]) -> bytes:
    """The answer to `ConfirmReceived`, in the order asked."""
    return _write(
        "ConfirmReceived",
        "".join(f'<lt:Confirmation number="{one.number}" outcome="{one.outcome}"/>' for one in confirmations),
    )


def read_confirmations(answer: etree._Element) -> tuple[Confirmation, ...]:
    """`ConfirmReceivedResponse`."""
    _expect(answer, "ConfirmReceivedResponse")
    return tuple(_confirmation(element) for element in answer.iterchildren(f"{_TAG}Confirmation"))


def write_traces(traces: Sequence[Trace]) -> bytes:
    """The answer to `GetTraces`: each status in `edXML:Status` (the children of package A's status, QCVN namespace)."""
    return _write("GetTraces", "".join(_trace(trace) for trace in traces))


def read_traces(answer: etree._Element) -> tuple[Trace, ...]:
    """`GetTracesResponse`."""
    _expect(answer, "GetTracesResponse")
    return tuple(_read_trace(element) for element in answer.iterchildren(f"{_TAG}Trace"))


def write_organizations(organizations: Sequence[Organization]) -> bytes:
    """The answer to `GetOrganizations`; empty fields are left out."""
    return _write("GetOrganizations", "".join(_organization(one) for one in organizations))


def read_organizations(answer: etree._Element) -> tuple[Organization, ...]:
    """`GetOrganizationsResponse`."""
    _expect(answer, "GetOrganizationsResponse")
    try:
        return tuple(
            read_organization(element, "Organization") for element in answer.iterchildren(f"{_TAG}Organization")
        )
    except ExchangeError as error:
        raise ExchangeError(BAD_ANSWER, element=error.element) from None


def write_checkpoint(text: str) -> bytes:
    """The answer to `GetCheckpoint`: a signed note as it stands."""
    return _write("GetCheckpoint", f"<lt:Checkpoint>{escape(text)}</lt:Checkpoint>")


def read_checkpoint(answer: etree._Element) -> str:
    """The signed note in a `GetCheckpointResponse`."""
    _expect(answer, "GetCheckpointResponse")
    text = answer.findtext(f"{_TAG}Checkpoint")
    if not text:
        raise ExchangeError(BAD_ANSWER, element="GetCheckpointResponse.Checkpoint")
    return text


def write_consistency(hashes: Sequence[bytes]) -> bytes:
    """The answer to `GetConsistency`: the hashes of the proof (32 octets each) in RFC 9162 §2.1.4 order."""
    written = "".join(f"<lt:Hash>{base64.b64encode(one).decode()}</lt:Hash>" for one in hashes)
    return _write("GetConsistency", written)


def read_consistency(answer: etree._Element) -> list[bytes]:
    """The hashes in a `GetConsistencyResponse`."""
    _expect(answer, "GetConsistencyResponse")
    return [_hash(element.text or "") for element in answer.iterchildren(f"{_TAG}Hash")]


def _write(operation: str, content: str) -> bytes:
    return f'<lt:{operation}Response xmlns:lt="{EXCHANGE}">{content}</lt:{operation}Response>'.encode()


def _expect(answer: etree._Element, *names: str) -> None:
    if answer.tag not in {f"{_TAG}{name}" for name in names}:
        raise ExchangeError(BAD_ANSWER, element=names[0])


def _message(summary: Summary) -> str:
    accepted_at = summary.accepted_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    receipt = f"<lt:Receipt>{escape(summary.receipt)}</lt:Receipt>" if summary.receipt else ""
    return (
        f'<lt:Message number="{summary.number}" kind="{summary.kind}" sender="{escape_attribute(summary.sender)}"'
        f' documentId="{escape_attribute(summary.document_id)}" digest="{escape_attribute(summary.digest)}"'
        f' priority="{int(summary.priority)}" size="{summary.size}" acceptedAt="{accepted_at}">{receipt}</lt:Message>'
    )


def _summary(element: etree._Element) -> Summary:
    get = element.get
    kind = get("kind", "")
    if kind not in get_args(Kind):
        raise ExchangeError(BAD_ANSWER, element="Message.kind")
    return Summary(
        number=_number(get("number"), "Message.number"),
        kind=cast("Kind", kind),
        sender=get("sender", ""),
        document_id=get("documentId", ""),
        digest=get("digest", ""),
        priority=_number(get("priority"), "Message.priority"),
        size=_number(get("size"), "Message.size"),
        accepted_at=_moment(get("acceptedAt", "")),
        receipt=element.findtext(f"{_TAG}Receipt") or "",
    )


def _confirmation(element: etree._Element) -> Confirmation:
    outcome = element.get("outcome", "")
    if outcome not in _OUTCOMES:
        raise ExchangeError(BAD_ANSWER, element="Confirmation.outcome")
    return Confirmation(
        number=_number(element.get("number"), "Confirmation.number"),
        outcome=cast("Literal['delivered', 'already', 'unknown']", outcome),
    )


def _trace(trace: Trace) -> str:
    document_id = escape_attribute(trace.document_id)
    status = write_status(trace.status, "Status")
    return f'<lt:Trace xmlns:edXML="{QCVN}" number="{trace.number}" documentId="{document_id}">{status}</lt:Trace>'


def _read_trace(element: etree._Element) -> Trace:
    status = element.find(f"{{{QCVN}}}Status")
    if status is None:
        raise ExchangeError(BAD_ANSWER, element="Trace.Status")
    try:
        read = read_status(status)
    except ExchangeError as error:
        raise ExchangeError(BAD_ANSWER, element=error.element) from None
    number = _number(element.get("number"), "Trace.number")
    return Trace(number=number, document_id=element.get("documentId", ""), status=read)


def _organization(organization: Organization) -> str:
    fields = (
        ("OrganId", organization.organ_id),
        ("OrganizationInCharge", organization.organization_in_charge),
        ("OrganName", organization.organ_name),
        ("OrganAdd", organization.organ_add),
        ("Email", organization.email),
        ("Telephone", organization.telephone),
        ("Fax", organization.fax),
        ("Website", organization.website),
    )
    written = "".join(f"<lt:{name}>{escape(text)}</lt:{name}>" for name, text in fields if text)
    return f"<lt:Organization>{written}</lt:Organization>"


def _number(text: str | None, path: str) -> int:
    number = digits(text or "")
    if number is None:
        raise ExchangeError(BAD_ANSWER, element=path)
    return number


def _moment(text: str) -> datetime:
    """RFC 3339, always with its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ExchangeError(BAD_ANSWER, element="Message.acceptedAt")
    return moment.astimezone(UTC)


def _hash(text: str) -> bytes:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != _HASH_OCTETS:
        raise ExchangeError(BAD_ANSWER, element="Hash")
    return value
