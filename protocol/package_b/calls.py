"""The client's side of package B: documents and statuses for a local system's own service, and its Report."""

from __future__ import annotations

from typing import Final

from lxml import etree

from protocol.edxml.elements import Children, children_of, digits, leaf, only
from protocol.edxml.writer import write_status
from protocol.errors import (
    BAD_ANSWER,
    DOCUMENT_CONFLICT,
    DOCUMENT_NOT_FOUND,
    ELEMENT_MISSING,
    ELEMENT_RANGE,
    ELEMENT_TYPE,
    FORBIDDEN,
    INTERNAL,
    RECIPIENT_UNKNOWN,
    STATUS_NOT_ALLOWED,
    STATUS_NOT_YOURS,
    UNAUTHENTICATED,
    ErrorKind,
    ExchangeError,
)
from protocol.model import Document, StatusMessage
from protocol.package_b.blocks import document_blocks, manifest, rooted
from protocol.package_b.blocks import leaf as written_leaf
from protocol.xml_reading import local_name

_KINDS: Final[dict[str, ErrorKind]] = {
    "M.Exist": DOCUMENT_CONFLICT,
    "M.DocumentId": DOCUMENT_NOT_FOUND,
    "M.UpdateTraces": STATUS_NOT_ALLOWED,
    "M.UpdateStatus": STATUS_NOT_ALLOWED,
    "M.UpdateStatusDoc": STATUS_NOT_YOURS,
    "MessageHeader.To.OrganId": RECIPIENT_UNKNOWN,
    "Permission": UNAUTHENTICATED,
    "CheckSignature": UNAUTHENTICATED,
    "CheckPermission": FORBIDDEN,
}
_PREFIXES: Final = {"N": ELEMENT_MISSING, "R": ELEMENT_RANGE, "T": ELEMENT_TYPE}
_CODE_MAX: Final = 100
_ERRORS_MAX: Final = 20


def write_send_document(document: Document, organ_id: str, token: str) -> tuple[bytes, bytes]:
    """Header and body of SendDocument (SOAPAction `SendDocument`); attachments go as MIME parts by `content_id`."""
    header = document_blocks(document) + rooted("<edXML:ErrorList></edXML:ErrorList>") + _signature(organ_id, token)
    return header.encode(), manifest(document.references).encode()


def write_update_traces(status: StatusMessage, organ_id: str, token: str) -> tuple[bytes, bytes]:
    """Header and body of UpdateTraces. The Status stands in no namespace, its code has two digits."""
    # markup only: a "<" in text stands escaped
    body = write_status(status, "Status").replace("<edXML:", "<").replace("</edXML:", "</")
    return _signature(organ_id, token).encode(), body.encode()


def read_report(element: etree._Element) -> int | None:
    """The number that a Report's `DocumentId` gives, `None` without one; `element` is what the SOAP body holds.

    Raises the peer's first error in our vocabulary when IsSuccess is false, and `server.bad-answer` when there is no
    Report. A code that we do not know, or none at all (what some hubs answer to a wrong token), is `server.internal`:
    unknown errors are temporary. `details` has the peer's codes; its descriptions, which may quote the document, go.
    """
    wrapper = children_of(element)
    report = element if local_name(element) == "Report" else only(wrapper, "Report", local_name(element))
    outcome = leaf(children_of(report), "IsSuccess", "Report").strip().lower() if report is not None else ""
    if report is None or outcome not in {"true", "1", "false", "0"}:
        raise ExchangeError(BAD_ANSWER, element=local_name(element)[:_CODE_MAX])
    if outcome in {"false", "0"}:
        raise _refusal(children_of(report))
    return digits(leaf(wrapper, "DocumentId", "")) if element is not report else None


def _refusal(report: Children) -> ExchangeError:
    listed = only(report, "ErrorList", "Report")
    errors = children_of(listed).get("Error", []) if listed is not None else []
    codes = [leaf(children_of(error), "Code", "Error").strip()[:_CODE_MAX] for error in errors[:_ERRORS_MAX]]
    kind, element = _understood(codes[0] if codes else "")
    return ExchangeError(kind, element=element, peer_codes=codes)


def _understood(code: str) -> tuple[ErrorKind, str]:
    if code in _KINDS:
        return _KINDS[code], ""
    prefix, _, path = code.partition(".")
    return (_PREFIXES[prefix], path) if prefix in _PREFIXES and path else (INTERNAL, "")


def _signature(organ_id: str, token: str) -> str:
    path = "Signature.KeyInfo"
    return rooted(
        f"<edXML:Signature><edXML:KeyInfo>{written_leaf('OrganId', organ_id, path)}"
        f"{written_leaf('Token', token, path)}</edXML:KeyInfo></edXML:Signature>"
    )
