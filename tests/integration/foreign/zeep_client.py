"""A vendor's document system in small: a package B client made of zeep and requests, from the WSDL and nothing else.

It imports nothing of this repository, as a third party could not. zeep knows no attachments: the transport wraps the
envelope and the files into one multipart/related body (SOAP with Attachments), which streams from disk, and unwraps
answers itself, because zeep strips line ends off binary parts.
"""

from __future__ import annotations

import argparse
import contextlib
import mimetypes
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
import zeep
from lxml import etree

CHUNK = 1 << 18
EDOC = "{http://www.e-doc.vn/Schema/}"


class Refused(Exception):  # noqa: N818 -- what the peer's Report says
    """The exchange answered IsSuccess=false; `codes` as in its Report."""

    def __init__(self, codes: list[str], sentences: list[str]) -> None:
        super().__init__("; ".join(f"{code}: {text}" for code, text in zip(codes, sentences, strict=True)))
        self.codes = codes


@dataclass(frozen=True)
class Letter:
    """What a clerk types in, and the files."""

    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    number: str
    notation: str
    subject: str
    files: tuple[Path, ...]
    date: datetime
    priority: int = 0
    signer: str = "Nguyễn Văn Mẫu"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def document_id(self) -> str:
        return f"{self.sender},{self.date:%Y/%m/%d},{self.number}/{self.notation}"


@dataclass(frozen=True)
class Received:
    """A document that was fetched: its header as zeep reads it, and its files by name."""

    header: Any
    files: dict[str, bytes]


class RelatedBody:
    """A multipart/related body that requests can stream: known length, read from disk piece by piece."""

    def __init__(self, envelope: bytes, files: list[tuple[str, Path]], progress: Callable[[int], None] | None) -> None:
        self.boundary = f"----=_Part_{uuid.uuid4().hex}"
        self._progress = progress
        root = "Content-Type: text/xml; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <root>"
        self._pieces: list[bytes | Path] = [f"--{self.boundary}\r\n{root}\r\n\r\n".encode(), envelope]
        for content_id, path in files:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{content_id}>"
            self._pieces += [f"\r\n--{self.boundary}\r\n{head}\r\n\r\n".encode(), path]
        self._pieces.append(f"\r\n--{self.boundary}--\r\n".encode())

    @property
    def content_type(self) -> str:
        return f'multipart/related; type="text/xml"; boundary="{self.boundary}"; start="<root>"'

    def __len__(self) -> int:
        return sum(len(piece) if isinstance(piece, bytes) else piece.stat().st_size for piece in self._pieces)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            with piece.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
                    if self._progress is not None:
                        self._progress(len(chunk))


class AttachmentTransport(zeep.Transport):  # type: ignore[misc] # zeep has no types
    """Puts `outgoing` files beside the next envelope; leaves the parts of the last answer in `incoming`."""

    def __init__(self, session: requests.Session) -> None:
        super().__init__(session=session, operation_timeout=600)
        self.outgoing: list[tuple[str, Path]] = []
        self.progress: Callable[[int], None] | None = None
        self.incoming: dict[str, bytes] = {}

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        data: Any = message
        if self.outgoing:
            data = RelatedBody(message, self.outgoing, self.progress)
            headers = {**headers, "Content-Type": data.content_type}
        response = super().post(address, data, headers)
        self.incoming = {}
        content_type = response.headers.get("Content-Type", "")
        if content_type.startswith("multipart/"):
            root, self.incoming = split_related(content_type, response.content)
            response._content = root  # zeep reads the answer from here
            response.headers["Content-Type"] = "text/xml; charset=utf-8"
        return response


def split_related(content_type: str, body: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The root and the other parts by Content-ID, every octet as it was."""
    boundary = content_type.split("boundary=", 1)[1].split(";", 1)[0].strip().strip('"').encode()
    sections = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not sections[-1].startswith(b"--"):
        raise ConnectionError("the answer was cut off")
    parts: list[tuple[str, bytes]] = []
    for section in sections[1:-1]:
        head, content = section.split(b"\r\n\r\n", 1)
        lines = [line.split(":", 1) for line in head.decode().strip().splitlines()]
        names = {name.strip().lower(): value.strip() for name, value in lines}
        parts.append((names.get("content-id", "").strip("<>"), content))
    return parts[0][1], dict(parts[1:])


class ReportPlugin(zeep.Plugin):  # type: ignore[misc] # zeep has no types
    """Raises `Refused` for every Report that says so; GetDocument puts it where the Manifest would be."""

    def ingress(
        self,
        envelope: etree._Element,
        http_headers: object,
        operation: object,
    ) -> tuple[etree._Element, object]:
        for report in envelope.iter(f"{EDOC}Report"):
            if report.findtext(f"{EDOC}IsSuccess") == "false":
                errors = report.findall(f"{EDOC}ErrorList/{EDOC}Error")
                raise Refused(
                    [error.findtext(f"{EDOC}Code") for error in errors],
                    [error.findtext(f"{EDOC}Description") for error in errors],
                )
        return envelope, http_headers


class EDocClient:
    """The package B service at `address`, as the agency `organ_id`.

    `port` chooses SOAP 1.1 or 1.2; `trust` is the PEM of the authority behind an https address.
    """

    def __init__(
        self,
        address: str,
        organ_id: str,
        token: str,
        *,
        port: str = "Soap11",
        trust: Path | None = None,
    ) -> None:
        self.organ_id, self.token = organ_id, token
        session = requests.Session()
        if trust is not None:
            session.trust_env = False  # else REQUESTS_CA_BUNDLE wins over what was asked for here
            session.verify = str(trust)
        self._transport = AttachmentTransport(session)
        client = zeep.Client(
            f"{address}?wsdl",
            transport=self._transport,
            plugins=[ReportPlugin()],
            service_name="EDoc",
            port_name=port,
        )
        self._service = client.service
        self._credentials = {"OrganId": organ_id, "Token": token}

    def close(self) -> None:
        """Close the kept connections now: urllib3 leaves that to the garbage collector, which tracebacks keep away."""
        https = self._transport.session.get_adapter("https://").poolmanager
        http = self._transport.session.get_adapter("http://").poolmanager
        for pools in (https.pools, http.pools):
            for key in list(pools.keys()):
                pools[key].close()
        self._transport.session.close()

    def check_permission(self) -> bool:
        """Whether code and token are good."""
        answer = self._service.CheckPermission(_soapheaders={"CheckPermission": self._credentials})
        return bool(answer.IsSuccess)

    def organizations(self) -> list[str]:
        """Codes of the agencies that can be written to."""
        answer = self._service.GetOrganizations(**self._credentials)
        return [organization.OrganId for organization in answer.Organizations.Organization]

    def send(self, letter: Letter, progress: Callable[[int], None] | None = None) -> int:
        """Send with all files; the number that the exchange gave."""
        files = [(f"{uuid.uuid4().hex}@qlvb.example", path) for path in letter.files]
        references = [
            {"AttachmentName": path.name, "Description": "", "href": f"cid:{cid}", "type": "simple"}
            for cid, path in files
        ]
        headers = {
            "MessageHeader": message_header(letter),
            "TraceHeaderList": {
                "_value_1": [
                    {"TraceHeader": {"OrganId": letter.sender, "Timestamp": f"{letter.date:%Y/%m/%d %H:%M:%S}"}},
                    {"Business": {"BusinessDocType": 0, "BusinessDocReason": "Văn bản mới", "Paper": 0}},
                ]
            },
            "ErrorList": {},
            "Signature": {"KeyInfo": self._credentials},
        }
        with self._attached(files, progress):
            answer = self._service.SendDocument(Reference=references, _soapheaders=headers)
        return int(answer.DocumentId)

    def pending(self) -> list[int]:
        """Numbers of the documents that wait."""
        answer = self._service.GetPendingDocumentIds(**self._credentials)
        return [int(number) for number in answer.DocumentIds.DocumentId] if answer else []  # zeep: None when empty

    def fetch(self, number: int) -> Received:
        """One document with its files."""
        answer = self._service.GetDocument(**self._credentials, DocumentId=number)
        files = {
            reference.AttachmentName: self._transport.incoming[reference.href.removeprefix("cid:")]
            for reference in answer.body.Reference
        }
        return Received(answer.header.MessageHeader, files)

    def confirm(self, number: int) -> None:
        """The document is stored here."""
        self._service.ConfirmReceived(**self._credentials, DocumentId=number)

    def report(self, document: Received, status: str, description: str, when: datetime) -> None:
        """A business status on a document that was received."""
        header = document.header
        answered = {
            "OrganId": header.From.OrganId,
            "Code": f"{header.Code.CodeNumber}/{header.Code.CodeNotation}",
            "PromulgationDate": header.PromulgationInfo.PromulgationDate,
            "DocumentId": header.DocumentId,
        }
        self._service.UpdateTraces(
            From={"OrganId": self.organ_id},
            ResponseFor=[answered],
            StaffInfo={"Department": "Văn thư", "Staff": "Lê Thị B"},
            StatusCode=status,
            Description=description,
            Timestamp=f"{when:%Y/%m/%d %H:%M:%S}",
            _soapheaders={"Signature": {"KeyInfo": self._credentials}},
        )

    def statuses(self, since: datetime | None = None) -> list[tuple[str, int]]:
        """(DocumentId, status code) of what was reported: new ones, or all since a moment (Vietnamese local time)."""
        stamp = f"{since:%Y/%m/%d %H:%M:%S}" if since else None
        answer = self._service.GetTraces(**self._credentials, TimeStamp=stamp)
        statuses = answer.Traces.Status if answer else []
        return [(status.ResponseFor[0].DocumentId, int(status.StatusCode)) for status in statuses]

    @contextlib.contextmanager
    def _attached(self, files: list[tuple[str, Path]], progress: Callable[[int], None] | None) -> Iterator[None]:
        self._transport.outgoing, self._transport.progress = files, progress
        try:
            yield
        finally:
            self._transport.outgoing, self._transport.progress = [], None


def message_header(letter: Letter) -> dict[str, Any]:
    """MessageHeader with every tag that the WSDL demands."""
    address = dict.fromkeys(("OrganAdd", "Email", "Telephone", "Fax", "Website"), "")
    header: dict[str, Any] = {
        "From": {
            "OrganId": letter.sender,
            "OrganizationInCharge": "UBND tỉnh Gia Lai",
            "OrganName": letter.sender_name,
            **address,
        },
        "To": [{"OrganId": to, "OrganName": "", **address} for to in letter.recipients],
        "Code": {"CodeNumber": letter.number, "CodeNotation": letter.notation},
        "PromulgationInfo": {"Place": "Gia Lai", "PromulgationDate": f"{letter.date:%Y/%m/%d}"},
        "DocumentType": {"Type": 2, "TypeDetail": 18, "TypeName": "Công văn"},
        "Subject": letter.subject,
        "Content": letter.subject,
        "SignerInfo": {"Competence": "", "Position": "Giám đốc", "FullName": letter.signer},
        "DueDate": "",
        "ToPlaces": {"Place": ["Như trên", "Lưu: VT"]},
        "OtherInfo": {
            "Priority": letter.priority,
            "SphereOfPromulgation": "",
            "TyperNotation": "",
            "PromulgationAmount": 1,
            "PageAmount": 1,
            "Appendixes": {},
        },
        "SteeringType": 0,
        "DocumentId": letter.document_id,
    }
    return header | letter.extra


def main() -> None:
    """`zeep_client.py URL ORGAN_ID TOKEN`: what a vendor's first test would do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in ("address", "organ_id", "token"):
        parser.add_argument(name)
    parser.add_argument("--trust", type=Path)
    asked = parser.parse_args()
    client = EDocClient(asked.address, asked.organ_id, asked.token, trust=asked.trust)
    sys.stdout.write(f"permission: {client.check_permission()}\n")
    sys.stdout.write(f"organizations: {client.organizations()}\npending: {client.pending()}\n")


if __name__ == "__main__":
    main()
