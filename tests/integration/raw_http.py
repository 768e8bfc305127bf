"""HTTP by hand for shapes that no library writes: the very octets of a request, and what came back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from lxml import etree

EDOC = "http://www.e-doc.vn/Schema/"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> etree._Element:
        """The SOAP envelope, cut out with a text search as one client in use does."""
        start = self.body.index(b"<soapenv:Envelope")
        return etree.fromstring(self.body[start : self.body.rindex(b"Envelope>") + len(b"Envelope>")])

    @property
    def codes(self) -> list[str]:
        """The codes of the Report."""
        return [element.text or "" for element in self.envelope.iter(f"{{{EDOC}}}Code")]

    def text(self, name: str) -> str:
        """The first element of the e-doc namespace with this name."""
        found = next(self.envelope.iter(f"{{{EDOC}}}{name}"))
        return found.text or ""


async def post(address: str, headers: dict[str, str], body: bytes) -> Answer:
    """POST `body` with exactly these headers."""
    url = urlsplit(address)
    assert url.hostname is not None
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = [
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, rest = received.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Answer(
        int(status.split()[1]),
        {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in fields)},
        rest,
    )


def envelope(body: str, header: str = "", version: str = SOAP_11) -> bytes:
    """A SOAP envelope around what is given."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{version}" xmlns:edXML="{EDOC}"'
        f' xmlns:xlink="http://www.w3.org/1999/xlink"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>'
    ).encode()


def related(root: bytes, *parts: tuple[str, str, bytes], boundary: str = "Boundary") -> bytes:
    """A multipart body: the root (Content-ID `<Start>`), then (Content-ID, extra headers, octets)."""
    pieces = [
        f"--{boundary}\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        "Content-ID:<Start>\r\n\r\n".encode()
        + root
    ]
    for content_id, extra, octets in parts:
        head = f"--{boundary}\r\nContent-Type: application/pdf\r\nContent-ID: {content_id}\r\n{extra}\r\n"
        pieces.append(head.encode() + octets)
    return b"\r\n".join([*pieces, f"--{boundary}--\r\n".encode()])
