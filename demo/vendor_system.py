"""Agency A's own document system, as its vendor would write it: zeep, the published WSDL, and nothing of Liên thông.

zeep itself knows no attachments. The transport below puts envelope and files into one `multipart/related` body (SOAP
with Attachments) that is read from disk while it is sent.
"""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import requests
import zeep
from lxml import etree

VIETNAM: Final = timezone(timedelta(hours=7))
EDOC: Final = "{http://www.e-doc.vn/Schema/}"
PIECE: Final = 1 << 18
UNKNOWN: Final = dict.fromkeys(("OrganAdd", "Email", "Telephone", "Fax", "Website"), "")

Progress = Callable[[int], None]
"""Told the number of octets of each piece of a file that was sent."""


class RefusedError(Exception):
    """The exchange answered IsSuccess=false; the text quotes its Report."""


@dataclass(frozen=True)
class Letter:
    """One outgoing document as the vendor's database holds it."""

    number: str
    subject: str
    file: Path
    issued: date
    recipient: str
    notation: str = "SVDA-VP"
    priority: int = 0


@dataclass(frozen=True)
class Status:
    """One status of an outgoing document."""

    document_id: str
    code: int
    description: str
    staff: str


class VendorSystem:
    """The document system of the agency `organ_id`, connected to the package B service at `address`."""

    def __init__(self, address: str, organ_id: str, name: str, token: str) -> None:
        session = requests.Session()
        session.trust_env = False  # the service is on this machine: no proxy
        self._organ_id, self._name = organ_id, name
        self._credentials = {"OrganId": organ_id, "Token": token}
        self._transport = AttachmentTransport(session)
        client = zeep.Client(  # type: ignore[no-untyped-call] # zeep is half typed
            f"{address}?wsdl",
            transport=self._transport,
            plugins=[ReportReader()],
            service_name="EDoc",
            port_name="Soap11",
        )
        self._service = client.service
        self.operations = sorted(client.service._operations)  # noqa: SLF001 -- zeep shows them nowhere else

    def close(self) -> None:
        """Give the connection back."""
        self._transport.session.close()

    def document_id(self, letter: Letter) -> str:
        """Agency, date and number, the way the axis composes it."""
        return f"{self._organ_id},{letter.issued:%Y/%m/%d},{letter.number}/{letter.notation}"

    def send(self, letter: Letter, progress: Progress | None = None) -> int:
        """SendDocument; the number in the answer. Raises `RefusedError`."""
        content_id = f"{uuid.uuid4().hex}@qlvb.so-vi-du-a.example"
        now = datetime.now(VIETNAM)
        headers = {
            "MessageHeader": self._message_header(letter),
            "TraceHeaderList": {
                "_value_1": [
                    {"TraceHeader": {"OrganId": self._organ_id, "Timestamp": f"{now:%Y/%m/%d %H:%M:%S}"}},
                    {"Business": {"BusinessDocType": 0, "BusinessDocReason": "Văn bản mới", "Paper": 0}},
                ]
            },
            "ErrorList": {},
            "Signature": {"KeyInfo": self._credentials},
        }
        reference = {
            "AttachmentName": letter.file.name,
            "Description": "",
            "href": f"cid:{content_id}",
            "type": "simple",
        }
        self._transport.enclosed = Enclosed(content_id, letter.file, progress)
        try:
            answer = self._service.SendDocument(Reference=[reference], _soapheaders=headers)
        finally:
            self._transport.enclosed = None
        return int(answer.DocumentId)

    def statuses(self, since: datetime) -> list[Status]:
        """GetTraces: what recipients reported since a moment, oldest first."""
        stamp = f"{since.astimezone(VIETNAM):%Y/%m/%d %H:%M:%S}"
        answer = self._service.GetTraces(**self._credentials, TimeStamp=stamp)
        return [
            Status(one.ResponseFor[0].DocumentId, int(one.StatusCode), one.Description or "", _staff(one))
            for one in (answer.Traces.Status if answer else [])  # zeep: None when the list is empty
        ]

    def _message_header(self, letter: Letter) -> dict[str, Any]:
        return {
            "From": {
                "OrganId": self._organ_id,
                "OrganizationInCharge": "UBND tỉnh Gia Lai",
                "OrganName": self._name,
                **UNKNOWN,
            },
            "To": [{"OrganId": letter.recipient, "OrganName": "", **UNKNOWN}],
            "Code": {"CodeNumber": letter.number, "CodeNotation": letter.notation},
            "PromulgationInfo": {"Place": "Gia Lai", "PromulgationDate": f"{letter.issued:%Y/%m/%d}"},
            "DocumentType": {"Type": 2, "TypeDetail": 18, "TypeName": "Công văn"},
            "Subject": letter.subject,
            "Content": letter.subject,
            "SignerInfo": {"Competence": "KT. GIÁM ĐỐC", "Position": "PHÓ GIÁM ĐỐC", "FullName": "Nguyễn Văn Mẫu"},
            "DueDate": "",
            "ToPlaces": {"Place": ["Như trên", "Lưu: VT, VP"]},
            "OtherInfo": {
                "Priority": letter.priority,
                "SphereOfPromulgation": "",
                "TyperNotation": "",
                "PromulgationAmount": 1,
                "PageAmount": 1,
                "Appendixes": {},
            },
            "SteeringType": 0,
            "DocumentId": self.document_id(letter),
        }


@dataclass(frozen=True)
class Enclosed:
    """The file that goes with the next envelope."""

    content_id: str
    file: Path
    progress: Progress | None


class RelatedBody:
    """A `multipart/related` body of known length, which requests sends piece by piece."""

    def __init__(self, envelope: bytes, enclosed: Enclosed) -> None:
        self._boundary = f"qlvb-{uuid.uuid4().hex}"
        self._enclosed = enclosed
        kind = mimetypes.guess_type(enclosed.file.name)[0] or "application/octet-stream"
        self._before = b"".join(
            (
                f"--{self._boundary}\r\nContent-Type: text/xml; charset=utf-8\r\n".encode(),
                b"Content-ID: <envelope>\r\n\r\n",
                envelope,
                f"\r\n--{self._boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n".encode(),
                f"Content-ID: <{enclosed.content_id}>\r\n\r\n".encode(),
            )
        )
        self._after = f"\r\n--{self._boundary}--\r\n".encode()
        self._size = enclosed.file.stat().st_size

    @property
    def content_type(self) -> str:
        """Value of the HTTP header."""
        return f'multipart/related; type="text/xml"; start="<envelope>"; boundary="{self._boundary}"'

    def __len__(self) -> int:
        return len(self._before) + self._size + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        with self._enclosed.file.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
                if self._enclosed.progress is not None:
                    self._enclosed.progress(len(piece))
        yield self._after


class AttachmentTransport(zeep.Transport):
    """Sends `enclosed` beside the envelope, and takes the envelope out of a multipart answer."""

    def __init__(self, session: requests.Session) -> None:
        super().__init__(session=session, operation_timeout=600)  # type: ignore[no-untyped-call] # zeep is half typed
        self.enclosed: Enclosed | None = None

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        """One request, one answer that zeep can read."""
        data: bytes | RelatedBody = message
        if self.enclosed is not None:
            data = RelatedBody(message, self.enclosed)
            headers = {**headers, "Content-Type": data.content_type}
        response: requests.Response = super().post(address, data, headers)  # type: ignore[no-untyped-call] # zeep is half typed
        if response.headers.get("Content-Type", "").startswith("multipart/"):
            response._content = _envelope_of(response.content)  # noqa: SLF001 -- zeep reads the answer from here
            response.headers["Content-Type"] = "text/xml; charset=utf-8"
        return response


class ReportReader(zeep.Plugin):
    """Every answer carries a Report; one that says no is an exception here."""

    def ingress(self, envelope: etree._Element, http_headers: object, operation: object) -> tuple[object, object]:  # noqa: ARG002 -- zeep passes it
        """Called by zeep with every answer. Raises `RefusedError`."""
        for report in envelope.iter(f"{EDOC}Report"):
            if report.findtext(f"{EDOC}IsSuccess") == "false":
                found = report.findall(f"{EDOC}ErrorList/{EDOC}Error")
                pairs = [(one.findtext(f"{EDOC}Code"), one.findtext(f"{EDOC}Description")) for one in found]
                raise RefusedError("; ".join(f"{code}: {text}" for code, text in pairs) or "không rõ lý do")
        return envelope, http_headers


def _envelope_of(body: bytes) -> bytes:
    """The first part; the answers that this system reads carry no files."""
    head = body.index(b"\r\n\r\n") + 4
    boundary = body[: body.index(b"\r\n")].strip() if body.startswith(b"--") else body.split(b"\r\n", 2)[1]
    return body[head : body.index(b"\r\n" + boundary, head)]


def _staff(status: Any) -> str:  # noqa: ANN401 -- zeep makes the type at run time
    info = status.StaffInfo
    return " ".join(text for text in (info.Staff, info.Department) if text) if info is not None else ""
