"""An agency of the tests: its key and certificate, documents it seals, and a native client of the hub."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from certs import enrolment, tls
from certs.bundle import TrustBundle
from certs.signers import FileSigner
from protocol import document_ids, native, soap
from protocol.edxml.writer import write_envelope
from protocol.exchange import Accepted, Confirmation, Summary
from protocol.mime import Limits, MultipartReader, MultipartWriter, PartData, PartStart
from protocol.model import (
    Bussiness,
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StatusMessage,
    TraceHeader,
)
from protocol.seal import seal
from protocol.soap import SoapVersion

LIMITS = Limits(total=8 << 30, part=4 << 30, parts=1001, headers=16 << 10, root=8 << 20)


@dataclass
class Attached:
    """An attachment of a test document."""

    content_id: str
    data: bytes
    name: str = "van-ban.pdf"
    content_type: str = "application/pdf"

    @property
    def reference(self) -> Reference:
        return Reference(
            content_id=self.content_id,
            attachment_name=self.name,
            content_type=self.content_type,
            sha256=hashlib.sha256(self.data).digest(),
            size=len(self.data),
        )


@dataclass
class Fetched:
    """What GetDocument gave."""

    receipt: str
    envelope: Any
    parts: dict[str, bytes]


class AgencyClient:
    """Speaks the native package as one agency; `async with` it."""

    def __init__(self, url: str, code: str, folder: Path, trust: TrustBundle) -> None:
        self.url = url
        self.code = code
        self.signer = FileSigner(folder / "agency.key", folder / "agency.pem")
        self.trust = trust
        self.context: ssl.SSLContext = tls.client_context(trust.roots, folder / "agency.pem", folder / "agency.key")
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def join(cls, url: str, code_text: str, folder: Path) -> AgencyClient:
        """Enrol with a one-time code, as an edge agent does."""
        folder.mkdir(parents=True, exist_ok=True)
        connector = aiohttp.TCPConnector(ssl=tls.first_contact_context())
        async with aiohttp.ClientSession(connector=connector) as session, session.get(f"{url}/enrol/trust") as response:
            bundle = TrustBundle.from_json(await response.read())
        _, prefix = enrolment.parse_code(code_text)
        assert any(enrolment.root_matches(root, prefix) for root in bundle.roots)
        key, request = enrolment.make_request("agency")
        body = msgspec.json.encode({"code": code_text, "csr": base64.b64encode(request).decode()})
        context = tls.client_context(bundle.roots)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.post(f"{url}/enrol/join", data=body) as response,
        ):
            answer = await response.json()
            assert response.status == 200, answer
        (folder / "agency.key").touch(0o600)
        (folder / "agency.key").write_bytes(key)
        (folder / "agency.pem").write_text("".join(answer["certificate"]))
        (folder / "log.json").write_text(answer["log"])
        return cls(url, answer["agency"]["code"], folder, bundle)

    async def __aenter__(self) -> AgencyClient:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.context, limit=0), timeout=aiohttp.ClientTimeout(total=300)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    def document(
        self, to: list[str], number: str, attachments: list[Attached] | None = None, **changes: Any
    ) -> Document:
        """A plausible document of this agency."""
        today = date(2026, 11, 20)
        priority = changes.pop("priority", 0)
        bussiness = changes.pop("bussiness", Bussiness(reason="Văn bản điện tử mới"))
        header = MessageHeader(
            sender=Organization(organ_id=self.code, organ_name=f"Cơ quan {self.code}"),
            to=tuple(Organization(organ_id=code, organ_name=f"Cơ quan {code}") for code in to),
            code=Code(number=number, notation="VD-VP"),
            promulgation_info=PromulgationInfo(place="Gia Lai", date=today),
            document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
            subject="V/v thử nghiệm gửi nhận văn bản điện tử",
            signer_info=SignerInfo(position="Phó Giám đốc", full_name="Nguyễn Văn Mẫu"),
            other_info=OtherInfo(priority=priority),
            document_id=document_ids.compose(self.code, today, f"{number}/VD-VP"),
        )
        header = msgspec.structs.replace(header, **changes)
        return Document(
            header=header,
            bussiness=bussiness,
            trace_headers=(TraceHeader(organ_id=self.code, timestamp=datetime(2026, 11, 20, 2, tzinfo=UTC)),),
            references=tuple(one.reference for one in attachments or []),
        )

    def sealed(self, message: Document | StatusMessage) -> bytes:
        """The sealed envelope of a message."""
        return seal(write_envelope(message, envelope_id=f"id-{secrets.token_hex(8)}"), self.signer)

    def status(self, code: int, document_id: str, owner: str, reason: str = "") -> StatusMessage:
        """A status of this agency about a document of `owner`."""
        return StatusMessage(
            sender=Organization(organ_id=self.code),
            response_for=(ResponseFor(organ_id=owner, document_id=document_id),),
            status_code=code,
            description=reason,
            timestamp=datetime(2026, 11, 20, 3, tzinfo=UTC),
        )

    async def call(self, body: bytes, attachments: list[Attached] | None = None, **headers: str) -> Any:
        """One operation: the answer's body element, or the vocabulary's error."""
        root = soap.write_envelope(SoapVersion.V12, body)
        data, content_type = root, "application/soap+xml; charset=utf-8"
        if attachments:
            data, content_type = multipart(root, attachments)
        async with self.session.post(
            f"{self.url}/lienthong/v1", data=io.BytesIO(data), headers={"Content-Type": content_type, **headers}
        ) as response:
            answer = soap.read_envelope(await response.read())
        error = soap.read_fault(answer)
        if error is not None:
            raise error
        return answer.body

    async def send(self, envelope: bytes, attachments: list[Attached] | None = None) -> Accepted:
        return native.read_accepted(await self.call(native.write_send(envelope), attachments))

    async def report(self, envelope: bytes) -> Accepted:
        return native.read_accepted(await self.call(native.write_report(envelope)))

    async def pending(self, limit: int = 100, wait: float = 0) -> tuple[Summary, ...]:
        return native.read_pending(await self.call(native.write_get_pending(limit, wait)))

    async def confirm(self, *numbers: int) -> tuple[Confirmation, ...]:
        return native.read_confirmations(await self.call(native.write_confirm(numbers)))

    async def fetch(self, number: int) -> Fetched:
        root = soap.write_envelope(SoapVersion.V12, native.write_get_document(number))
        async with self.session.post(
            f"{self.url}/lienthong/v1", data=root, headers={"Content-Type": "application/soap+xml"}
        ) as response:
            body, content_type = await response.read(), response.headers["Content-Type"]
        parts = {"root": body}
        if content_type.startswith("multipart/"):
            parts = read_parts(content_type, body)
        answer = soap.read_envelope(parts.pop("root"), max_size=8 << 20)
        error = soap.read_fault(answer)
        if error is not None:
            raise error
        receipt, envelope = native.read_delivery(answer.body)
        return Fetched(receipt, envelope, parts)


def multipart(root: bytes, attachments: list[Attached]) -> tuple[bytes, str]:
    """A multipart/related body and its Content-Type."""
    writer = MultipartWriter(secrets.token_hex(20), "application/soap+xml; charset=utf-8")
    pieces = [writer.root(root)]
    for one in attachments:
        pieces += [writer.part_header(one.content_id, one.content_type), one.data]
    return b"".join([*pieces, writer.closing()]), writer.content_type


def read_parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """Parts by content id; the root under `root`."""
    reader = MultipartReader(content_type, LIMITS)
    parts: dict[str, list[bytes]] = {}
    name = ""
    for event in [*reader.feed(body), *reader.close()]:
        if isinstance(event, PartStart):
            name = "root" if event.root else event.content_id
            parts[name] = []
        elif isinstance(event, PartData):
            parts[name].append(event.data)
    return {name: b"".join(pieces) for name, pieces in parts.items()}
