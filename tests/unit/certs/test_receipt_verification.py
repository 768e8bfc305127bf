from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
import pytest
from certs_evidence import ATTACHMENT, LATER, ORIGIN, Evidence
from certs_province import AGENCY, DAY, NOW, Province, serial_of
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs.bundle import TrustBundle
from certs.log_key import make_statement
from certs.verification import Finding, verify_receipt
from protocol.checkpoint import LogKey
from protocol.receipts import Receipt

FULL = ["form", "event", "time", "log-key", "checkpoint", "inclusion"]
DOCUMENT = ["file", "seal", "digest", "certificate", "signer", "content", "document-id", "attachments"]


def failed(findings: list[Finding]) -> list[str]:
    return [finding.check for finding in findings if not finding.ok]


@pytest.fixture
def evidence(province: Province) -> Evidence:
    return Evidence(province)


def verify(evidence: Evidence, receipt: Receipt, document: bytes | None = None, at: datetime = LATER) -> list[Finding]:
    return verify_receipt(receipt.to_text(), evidence.bundle(), document, at)


def test_good_receipt_passes_every_step_and_tells_the_event(evidence: Evidence):
    findings = verify(evidence, evidence.receipt())
    assert [finding.check for finding in findings] == FULL
    assert failed(findings) == []
    assert f"trục đã nhận văn bản {evidence.document_id} của {AGENCY}" in findings[1].sentence
    assert "23/11/2026 09:00:00" in findings[2].sentence


@pytest.mark.parametrize("form", ["bare", "soap", "edxml"])
def test_document_of_the_receipt_is_recognised_in_every_file_form(evidence: Evidence, form: str):
    findings = verify(evidence, evidence.receipt(), evidence.file(form))
    assert [finding.check for finding in findings] == FULL + DOCUMENT
    assert failed(findings) == []


def test_ac_5_3_receipt_and_document_are_checked_years_later_without_a_network(evidence: Evidence):
    evidence.province.authority.crl(at=NOW + 3000 * DAY)
    findings = verify(evidence, evidence.receipt(), evidence.file("edxml"), NOW + 3000 * DAY)
    assert failed(findings) == []


def test_ac_5_4_revocation_before_the_event_condemns_and_after_it_does_not(evidence: Evidence):
    certificate = evidence.signer.certificate
    evidence.province.authority.revoke(serial_of(certificate), at=NOW + DAY)
    assert failed(verify(evidence, evidence.receipt(), evidence.file("bare"))) == []
    late = evidence.receipt(at=NOW + 2 * DAY)
    assert failed(verify(evidence, late, evidence.file("bare"), NOW + 3 * DAY)) == ["certificate"]


def test_ac_5_2_one_changed_bit_anywhere_in_a_receipt_makes_it_bad(evidence: Evidence):
    text = evidence.receipt().to_text()
    bundle = evidence.bundle()
    for position in range(0, len(text), 7):
        changed = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
        assert failed(verify_receipt(changed, bundle, None, LATER)), text[position - 5 : position + 5]


def test_ac_5_2_one_changed_bit_anywhere_in_the_document_makes_it_bad(evidence: Evidence):
    document = evidence.file("bare")
    text, bundle = evidence.receipt().to_text(), evidence.bundle()
    for position in range(0, len(document), 37):
        changed = document[:position] + bytes([document[position] ^ 1]) + document[position + 1 :]
        assert failed(verify_receipt(text, bundle, changed, LATER)), document[position - 9 : position + 9]


def test_another_document_of_the_same_agency_is_not_the_one(evidence: Evidence):
    findings = verify(evidence, evidence.receipt(), evidence.file("bare", subject="Văn bản khác"))
    assert failed(findings) == ["digest"]


def test_event_that_names_another_sender_than_the_seal_is_bad(evidence: Evidence):
    findings = verify(evidence, evidence.receipt(sender="H21.99"), evidence.file("bare"))
    assert failed(findings) == ["signer"]


def test_old_form_of_the_senders_code_is_the_same_agency(evidence: Evidence):
    assert failed(verify(evidence, evidence.receipt(sender="000.00.16.H21"), evidence.file("bare"))) == []


def test_event_that_names_another_document_id_is_bad(evidence: Evidence):
    findings = verify(evidence, evidence.receipt(document_id="H21.16,2026/01/01,1/X"), evidence.file("bare"))
    assert failed(findings) == ["document-id"]


def test_hub_seal_counts_only_with_the_basis_on_record(evidence: Evidence):
    evidence.signer = evidence.hub
    document = evidence.file("bare")
    assert failed(verify(evidence, evidence.receipt(basis="XACTHUC_NGUON_GOC"), document)) == []
    assert failed(verify(evidence, evidence.receipt(), document)) == ["signer"]


@pytest.mark.parametrize("attachment", [b"", ATTACHMENT + b"\n", ATTACHMENT[:-1]])
def test_changed_attachment_in_an_edxml_is_found(evidence: Evidence, attachment: bytes):
    findings = verify(evidence, evidence.receipt(), evidence.file("edxml", attachment=attachment))
    assert failed(findings) == ["attachments"]


@pytest.mark.parametrize("document", [b"", b"not XML", b"<a/>", b"%PDF-1.7"])
def test_file_that_is_no_sealed_document_is_a_finding(evidence: Evidence, document: bytes):
    assert failed(verify(evidence, evidence.receipt(), document)) == ["file"]


def test_unsealed_document_is_a_finding(evidence: Evidence):
    assert failed(verify(evidence, evidence.receipt(), evidence.unsealed())) == ["seal"]


def test_two_envelopes_in_one_file_are_refused(evidence: Evidence):
    one = evidence.file("bare")
    assert failed(verify(evidence, evidence.receipt(), b"<both>" + one + one + b"</both>")) == ["file"]


def test_log_of_another_key_is_not_believed(evidence: Evidence):
    evidence.log = LogKey.from_private(ORIGIN, ed25519.Ed25519PrivateKey.generate())
    assert failed(verify(evidence, evidence.receipt())) == ["checkpoint"]


def test_key_that_only_an_agency_vouches_for_is_not_believed(evidence: Evidence):
    bundle = evidence.bundle()
    statement = make_statement(evidence.signer, ORIGIN, evidence.log.vkey)
    forged = msgspec.structs.replace(bundle, log_keys=(statement,))
    assert failed(verify_receipt(evidence.receipt().to_text(), forged, None, LATER)) == ["log-key"]


def test_bundle_without_a_statement_or_with_other_roots_proves_nothing(evidence: Evidence):
    bundle = evidence.bundle()
    bare = msgspec.structs.replace(bundle, log_keys=())
    assert failed(verify_receipt(evidence.receipt().to_text(), bare, None, LATER)) == ["log-key"]


def test_later_statement_serves_beside_an_earlier_one(evidence: Evidence):
    bundle = evidence.bundle()
    both = msgspec.structs.replace(bundle, log_keys=("damaged", *bundle.log_keys))
    assert failed(verify_receipt(evidence.receipt().to_text(), both, None, LATER)) == []


def test_event_from_the_future_is_bad(evidence: Evidence):
    assert failed(verify(evidence, evidence.receipt(at=NOW + 2 * DAY), at=NOW)) == ["time"]


def test_revocation_list_older_than_the_event_is_not_enough(evidence: Evidence):
    late = evidence.receipt(at=NOW + 20 * DAY)
    assert failed(verify(evidence, late, at=NOW + 21 * DAY)) == ["log-key"]


def test_text_that_is_no_receipt_is_one_finding(evidence: Evidence):
    bundle: TrustBundle = evidence.bundle()
    for text in ("", "junk", "c2sp.org/tlog-proof@v1\n", "\x00" * 100):
        assert failed(verify_receipt(text, bundle, None, LATER)) == ["form"]


def test_digest_in_the_leaf_is_of_the_octets_that_were_signed(evidence: Evidence):
    assert evidence.digest() != hashlib.sha256(evidence.file("bare")).hexdigest()
