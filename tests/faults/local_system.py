"""An agency's own document system as the edge agent sees it: package B on localhost, and the watched folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from protocol import package_b, soap
from protocol.errors import ExchangeError
from protocol.mime import MultipartWriter
from protocol.model import Document
from protocol.package_a import write_package_a
from protocol.soap import SoapVersion
from tests.faults.agency import ATTEMPT, Line, parts, persist
from tests.faults.runs import ViolationError

PATH = "/edoc/v1"
CANNOT_NOW = "M.SendDocument"
"""The Report code of what is temporary (package B has no other way to say it)."""


class LocalSystem:
    """A client of package B that sends until the edge says that it has the document."""

    def __init__(self, line: Line, organ_id: str, token: str) -> None:
        self._line = line
        self._organ_id = organ_id
        self._token = token

    async def send(self, document: Document, attachments: dict[str, bytes]) -> int:
        """The edge's number for it."""
        header, body = package_b.write_send_document(document, self._organ_id, self._token)
        multipart = MultipartWriter(secrets.token_hex(20), f"{SoapVersion.V11.content_type}; charset=utf-8")
        pieces = [multipart.root(soap.write_envelope(SoapVersion.V11, body, header=header))]
        for name, data in attachments.items():
            pieces += [multipart.part_header(name, "application/pdf"), data]
        request = b"".join([*pieces, multipart.closing()])
        return await persist(self._line, "the local system", lambda: self._send(request, multipart.content_type))

    async def _send(self, request: bytes, content_type: str) -> int:
        headers = {"Content-Type": content_type, "SOAPAction": '"SendDocument"'}
        url = f"http://127.0.0.1:{self._line.port}{PATH}"
        timeout = aiohttp.ClientTimeout(total=ATTEMPT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=request, headers=headers) as response,
        ):
            root, _ = parts(await response.read(), response.headers["Content-Type"])
            answer = soap.read_answer(root)
        try:
            number = package_b.read_report(answer.body)
        except ExchangeError as error:
            if error.details.get("peer_codes") == [CANNOT_NOW]:
                raise ConnectionError("the edge cannot now") from error
            raise
        if number is None:
            raise ViolationError("the edge acknowledges a document without a number")
        return number


def drop(path: Path, octets: bytes) -> None:
    """A file in a watched folder, whole and durable, the way a careful program puts it there."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def package_a(document: Document, attachments: dict[str, bytes]) -> bytes:
    """A document as an `.edxml`."""
    octets = ((reference, iter([attachments[reference.content_id]])) for reference in document.references)
    return b"".join(write_package_a(document, octets))


def sidecar(number: int, recipient: str) -> bytes:
    """The fields beside a PDF."""
    fields = {
        "To": [recipient],
        "CodeNumber": str(number),
        "CodeNotation": "CV-VP",
        "PromulgationDate": "2026-01-15",
        "Subject": f"Về việc thử nghiệm thứ {number}",
        "FullName": "Nguyễn Thị Thuỷ",
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def visible(folder: Path) -> Iterator[Path]:
    """What a person sees in a folder."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
