"""Evidence for tests: a sealed document, a log of a few events, a receipt for one of them, and who vouches."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from certs_province import AGENCY, DAY, NOW, Province
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs.bundle import TrustBundle
from certs.log_key import make_statement
from protocol import soap, xml_reading
from protocol.checkpoint import LogKey, sign_checkpoint
from protocol.edxml.writer import write_envelope
from protocol.merkle import Frontier, append_batch, leaf_hash
from protocol.model import Code, Document, MessageHeader, Organization, PromulgationInfo, Reference
from protocol.package_a import PackageAWriter
from protocol.receipts import Leaf, Receipt, encode_leaf, format_time
from protocol.seal import open_seal, seal

ORIGIN = "truc.gialai.gov.vn/so"
ATTACHMENT = b"%PDF-1.7 n\xe1\xbb\x99i dung\r\n"
LATER = NOW + DAY


class Evidence:
    document_id = "H21.16,2026/11/20,123/SNV-VP"

    def __init__(self, province: Province) -> None:
        self.province = province
        self.signer = province.signer(province.agency(), "agency")
        self.hub = province.signer(province.hub(), "hub")
        self.log = LogKey.from_private(ORIGIN, ed25519.Ed25519PrivateKey.generate())
        province.authority.add_log_key(make_statement(self.hub, ORIGIN, self.log.vkey))

    def bundle(self) -> TrustBundle:
        return TrustBundle.load(self.province.ca)

    def message(self, subject: str = "V/v họp giao ban") -> Document:
        header = MessageHeader(
            sender=Organization(organ_id=AGENCY, organ_name="Sở Nội vụ"),
            to=(Organization(organ_id="H21.17"),),
            code=Code(number="123", notation="SNV-VP"),
            promulgation_info=PromulgationInfo(place="Pleiku", date=date(2026, 11, 20)),
            subject=subject,
            document_id=self.document_id,
        )
        reference = Reference(
            content_id="a1",
            attachment_name="cong-van.pdf",
            content_type="application/pdf",
            sha256=hashlib.sha256(ATTACHMENT).digest(),
            size=len(ATTACHMENT),
        )
        return Document(header=header, references=(reference,))

    def unsealed(self) -> bytes:
        return write_envelope(self.message(), envelope_id="e1")

    def file(self, form: str, *, subject: str = "V/v họp giao ban", attachment: bytes = ATTACHMENT) -> bytes:
        message = self.message(subject)
        sealed = seal(write_envelope(message, envelope_id="e1"), self.signer)
        if form == "bare":
            return sealed
        if form == "soap":
            return soap.write_envelope(soap.SoapVersion.V11, sealed)
        writer = PackageAWriter()
        parts = [writer.head(message, envelope=sealed), writer.begin(message.references[0])]
        parts += [*writer.data(attachment), writer.finish(), writer.end()]
        return b"".join(parts)

    def digest(self) -> str:
        return open_seal(xml_reading.parse(self.file("bare"))).digest

    def receipt(self, *, at: datetime = NOW, **fields: str) -> Receipt:
        """The receipt of the middle one of five events."""
        told = {"sender": AGENCY, "document_id": self.document_id, "digest": self.digest(), **fields}
        leaf = Leaf(type="accepted", time=format_time(at), number=7, kind="document", recipients=("H21.17",), **told)
        leaves = [b"before", b"and", encode_leaf(leaf), b"after", b"it"]
        batch = append_batch(Frontier(), [leaf_hash(one) for one in leaves])
        checkpoint = sign_checkpoint(self.log, 5, batch.root)
        return Receipt(leaves[2], 2, tuple(batch.proofs[2]), checkpoint)
