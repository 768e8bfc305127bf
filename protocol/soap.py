"""SOAP 1.1 and 1.2 envelopes and faults, bytes in and out (SOAP 1.1 §4, SOAP 1.2 Part 1 §5).

Envelopes are written by concatenation: a sealed element inside keeps every octet.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final

import msgspec
from lxml import etree

from protocol.errors import (
    BAD_ANSWER,
    MUST_UNDERSTAND,
    NOT_SOAP,
    ErrorKind,
    ExchangeError,
    Fault,
    kind_of,
)
from protocol.namespaces import EXCHANGE, SOAP_11, SOAP_12
from protocol.xml_reading import local_name, namespace, parse
from protocol.xml_writing import escape, legal

PACKAGE_B_HEADERS: Final = frozenset(
    {"MessageHeader", "TraceHeaderList", "ErrorList", "Signature", "CheckPermission", "Status", "Token"}
)
"""Local names of the header blocks that package B defines; every other block marked mustUnderstand is refused."""

_ELEMENT_MAX: Final = 200
"""Characters of a peer's element name that are kept."""


class SoapVersion(Enum):
    """The SOAP version; the value is what people call it."""

    V11 = "1.1"
    V12 = "1.2"

    @property
    def namespace(self) -> str:
        """The namespace of the envelope, which is how a version is told (SOAP 1.2 Part 1 §5.1)."""
        return SOAP_11 if self is SoapVersion.V11 else SOAP_12

    @property
    def content_type(self) -> str:
        """The media type of an envelope (RFC 3902 for SOAP 1.2)."""
        return "text/xml" if self is SoapVersion.V11 else "application/soap+xml"


_VERSIONS: Final = {version.namespace: version for version in SoapVersion}
# SOAP 1.1 §4.2.2 and SOAP 1.2 Part 1 §2.2: the actors and roles that mean us
_OUR_ROLES: Final = {
    "",
    "http://schemas.xmlsoap.org/soap/actor/next",
    "http://www.w3.org/2003/05/soap-envelope/role/next",
    "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
}
_FRAMES: Final = {
    version: (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soapenv:Envelope xmlns:soapenv="{version.namespace}"><soapenv:Header>'.encode(),
        b"</soapenv:Header><soapenv:Body>",
        b"</soapenv:Body></soapenv:Envelope>",
    )
    for version in SoapVersion
}


class SoapRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope that was read.

    `body` is the first element inside Body, or Body itself when that is empty (package B `CheckPermission` says all in
    its header).
    """

    version: SoapVersion
    header: etree._Element | None
    body: etree._Element
    root: etree._Element


def read_envelope(
    data: bytes,
    *,
    tolerant: bool = False,
    max_size: int = 1 << 20,
    understood: Collection[str] = PACKAGE_B_HEADERS,
) -> SoapRequest:
    """The SOAP envelope in `data` (octets of an XML document, at most `max_size`).

    Raises `message.not-soap`, `message.must-understand` for a header block that we must understand and that is not in
    `understood` (local names), and the errors of `xml_reading.parse`.
    """
    root = parse(data, tolerant=tolerant, max_size=max_size)
    version = _VERSIONS.get(namespace(root))
    if version is None or local_name(root) != "Envelope":
        raise ExchangeError(NOT_SOAP)
    header, body = _header_and_body(root, version)
    if header is not None and len(header):
        _check_understood(header, version, understood)
    return SoapRequest(version=version, header=header, body=body[0] if len(body) else body, root=root)


def write_envelope(version: SoapVersion, body: bytes, *, header: bytes = b"") -> bytes:
    """An envelope around `body` and `header`, which are well-formed XML elements (UTF-8) as they stand."""
    opening, between, closing = _FRAMES[version]
    return b"".join((opening, header, between, body, closing))


def write_fault(version: SoapVersion, error: ExchangeError) -> bytes:
    """The whole envelope of a fault that says `error` to a person and, in its detail `lt:Error`, to a program."""
    sentence = escape(legal(error.sentence))
    detail = (
        f'<lt:Error xmlns:lt="{EXCHANGE}"><lt:Code>{error.kind.code}</lt:Code><lt:Sentence>{sentence}</lt:Sentence>'
        f"<lt:Element>{escape(legal(error.element))}</lt:Element>"
        f"<lt:Temporary>{'true' if error.kind.temporary else 'false'}</lt:Temporary></lt:Error>"
    )
    code = _fault_code(version, error.kind)
    if version is SoapVersion.V11:
        fault = (
            f"<soapenv:Fault><faultcode>soapenv:{code}</faultcode>"
            f'<faultstring xml:lang="vi">{sentence}</faultstring><detail>{detail}</detail></soapenv:Fault>'
        )
    else:
        fault = (
            f"<soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:{code}</soapenv:Value></soapenv:Code>"
            f'<soapenv:Reason><soapenv:Text xml:lang="vi">{sentence}</soapenv:Text></soapenv:Reason>'
            f"<soapenv:Detail>{detail}</soapenv:Detail></soapenv:Fault>"
        )
    return write_envelope(version, fault.encode())


def read_fault(request: SoapRequest) -> ExchangeError | None:
    """The peer's fault in our vocabulary, `None` when the body is none.

    A fault without our detail, or with a code that we do not know, is `server.internal`: unknown errors are temporary.
    """
    fault = request.body
    if local_name(fault) != "Fault" or namespace(fault) != request.version.namespace:
        return None
    error = fault.find(f".//{{{EXCHANGE}}}Error")
    if error is None:
        return ExchangeError(kind_of(""), peer_fault=_foreign_code(fault))
    code = error.findtext(f"{{{EXCHANGE}}}Code", "").strip()
    element = error.findtext(f"{{{EXCHANGE}}}Element", "")[:_ELEMENT_MAX]
    return ExchangeError(kind_of(code), element=element, peer_code=code[:_ELEMENT_MAX])


def read_answer(data: bytes, *, max_size: int = 1 << 20) -> SoapRequest:
    """A server's answer, read by its client. Raises the peer's fault as an `ExchangeError`.

    What is not SOAP at all (a proxy's error page) is `server.bad-answer`, temporary: it says nothing about the request.
    """
    try:
        answer = read_envelope(data, max_size=max_size)
    except ExchangeError as error:
        raise ExchangeError(BAD_ANSWER, cause=error.kind.code) from None
    fault = read_fault(answer)
    if fault is not None:
        raise fault
    return answer


def _header_and_body(root: etree._Element, version: SoapVersion) -> tuple[etree._Element | None, etree._Element]:
    """Header, then Body, nothing else of SOAP's (SOAP 1.2 Part 1 §5.1); two bodies would let two readers differ."""
    names = [child.tag for child in root]
    header, body = f"{{{version.namespace}}}Header", f"{{{version.namespace}}}Body"
    if names[:1] == [body] and names.count(body) == 1 and header not in names:
        return None, root[0]
    if names[:2] == [header, body] and names.count(body) == 1 and names.count(header) == 1:
        return root[0], root[1]
    raise ExchangeError(NOT_SOAP)


def _check_understood(header: etree._Element, version: SoapVersion, understood: Collection[str]) -> None:
    prefix = f"{{{version.namespace}}}"
    for block in header:
        if block.get(f"{prefix}mustUnderstand") not in {"1", "true"} or local_name(block) in understood:
            continue
        if (block.get(f"{prefix}actor") or block.get(f"{prefix}role") or "") in _OUR_ROLES:
            raise ExchangeError(MUST_UNDERSTAND, element=local_name(block))


def _fault_code(version: SoapVersion, kind: ErrorKind) -> str:
    if kind is MUST_UNDERSTAND:
        return "MustUnderstand"
    if version is SoapVersion.V12:
        return kind.fault.value
    return "Client" if kind.fault is Fault.SENDER else "Server"


def _foreign_code(fault: etree._Element) -> str:
    """The peer's fault code, for the log: SOAP 1.1 `faultcode`, SOAP 1.2 `Code/Value`."""
    for element in fault.iter():
        if local_name(element) in {"faultcode", "Value"}:
            return (element.text or "").strip()[:_ELEMENT_MAX]
    return ""
