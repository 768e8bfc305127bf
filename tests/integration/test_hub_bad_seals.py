"""Seals by the wrong hand, out of time, of weak make or around something else: refused, whoever carries them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree

from certs import enrolment, keys
from certs.authority import Authority
from certs.signers import FileSigner
from protocol import errors
from protocol.errors import ErrorKind
from protocol.namespaces import QCVN, XMLDSIG
from protocol.seal import seal
from protocol.signing import Signer
from tests.support.agency import Attached
from tests.support.refusals import CONTENT, Stage, stage
from tests.support.signatures import ECDSA_SHA256, MORE, Profile, signed_tree
from tests.support.signers import KeySigner, p256_signer, rsa_signer

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER, BODY, SIGNATURE = f"{{{QCVN}}}edXMLHeader", f"{{{QCVN}}}edXMLBody", f"{{{XMLDSIG}}}Signature"
DAY = timedelta(days=1)
FILE = Attached("f1", b"%PDF-1.7")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("hub")) as ready:
        yield ready


def issued(at: Stage, folder: Path, *, when: timedelta = -DAY, days: int = 30, known: bool = True) -> FileSigner:
    """A certificate of the province's CA for the sender, issued at another time; `known`: the registry has it too."""
    authority = Authority(at.hub.hub.configuration.authority)
    key, request = enrolment.make_request("x")
    certificate = authority.issue_agency(request, at.sender.code, at=datetime.now(UTC) + when, days=days)
    folder.mkdir(exist_ok=True)
    keys.write_key(folder / "key", key)
    (folder / "pem").write_bytes(authority.chain_pem(certificate))
    if known:
        at.hub.hub.registry.add_certificate(hashlib.sha256(certificate).digest(), at.sender.code)
    return FileSigner(folder / "key", folder / "pem")


def revoked(at: Stage, folder: Path) -> FileSigner:
    signer = issued(at, folder)
    serial = x509.load_der_x509_certificate(signer.certificate).serial_number
    Authority(at.hub.hub.configuration.authority).revoke(serial, at=datetime.now(UTC), reason="keyCompromise")
    return signer


def of_another_province(at: Stage, folder: Path) -> FileSigner:
    """The same names, another root."""
    folder.mkdir()
    authority = Authority.init(folder / "ca", province="Gia Lai", at=datetime.now(UTC))
    key, request = enrolment.make_request("x")
    certificate = authority.issue_agency(request, at.sender.code, at=datetime.now(UTC))
    keys.write_key(folder / "key", key)
    (folder / "pem").write_bytes(authority.chain_pem(certificate))
    return FileSigner(folder / "key", folder / "pem")


HANDS: dict[str, tuple[Callable[[Stage, Path], Signer], ErrorKind]] = {
    "another agency's": (lambda at, _: at.recipient.signer, errors.SEAL_OTHER_AGENCY),
    "the hub's": (lambda at, _: at.hub.hub.signer, errors.SEAL_OTHER_AGENCY),
    "one that was never registered": (lambda at, to: issued(at, to, known=False), errors.SEAL_OTHER_AGENCY),
    "expired": (lambda at, to: issued(at, to, when=-3 * DAY, days=1), errors.SEAL_EXPIRED),
    "not yet valid": (lambda at, to: issued(at, to, when=DAY), errors.SEAL_NOT_YET_VALID),
    "revoked": (revoked, errors.SEAL_REVOKED),
    "self-signed P-256": (lambda *_: p256_signer(), errors.SEAL_UNTRUSTED),
    "self-signed RSA": (lambda *_: rsa_signer(), errors.SEAL_UNTRUSTED),
    "another province's": (of_another_province, errors.SEAL_UNTRUSTED),
}


@pytest.mark.parametrize(("hand", "kind"), HANDS.values(), ids=HANDS)
async def test_seal_by_the_wrong_certificate(
    at: Stage, hand: Callable[[Stage, Path], Signer], kind: ErrorKind, tmp_path: Path
):
    tree = at.unsealed([FILE])
    await at.refused(at.sender.send(seal(etree.tostring(tree), hand(at, tmp_path / "k")), [FILE]), kind)
    status = at.sender.status(3, "H21.23,2026/11/20,1/X", "H21.23", CONTENT)
    signer = hand(at, tmp_path / "l")
    unsealed = etree.tostring(etree.fromstring(at.sender.sealed(status)))
    bare = etree.fromstring(unsealed)
    header = bare.find(HEADER)
    header.remove(header.find(SIGNATURE))
    await at.refused(at.sender.report(seal(etree.tostring(bare), signer)), kind)


async def test_second_certificate_of_the_sender_seals_as_well_as_the_first(at: Stage, tmp_path: Path):
    """What the cases above differ in is the only thing that is wrong with them."""
    await at.sender.send(seal(etree.tostring(at.unsealed()), issued(at, tmp_path / "k")))


async def test_true_document_of_another_agency_cannot_be_sent_again_by_this_one(at: Stage):
    document = at.recipient.document([at.sender.code], "77", subject=f"V/v {CONTENT}")
    await at.refused(at.sender.send(at.recipient.sealed(document)), errors.SEAL_OTHER_AGENCY)


async def test_document_without_a_seal(at: Stage):
    await at.refused(at.sender.send(etree.tostring(at.unsealed())), errors.SEAL_MISSING)


def weak(at: Stage, profile: Profile, signer: KeySigner | None = None) -> bytes:
    """The sender's own key and certificate, and another algorithm."""
    if signer is None:
        signer = KeySigner(keys.read_key(at.hub.folder / "agencies" / at.sender.code / "agency.key"))
        signer.certificate = at.sender.signer.certificate
    return etree.tostring(signed_tree(signer, profile, etree.tostring(at.unsealed())))


async def test_ac_8_2c_7_sha_1_and_short_keys_never_verify(at: Stage):
    ours = Profile(method=ECDSA_SHA256)
    sha1 = ours.but(method=f"{MORE}ecdsa-sha1", signing_hash=hashes.SHA1())
    digest = ours.but(digest_method="http://www.w3.org/2000/09/xmldsig#sha1", digest="sha1")
    for profile in (sha1, digest):
        await at.refused(at.sender.send(weak(at, profile)), errors.SEAL_ALGORITHM)
    await at.refused(at.sender.send(weak(at, Profile(), rsa_signer(1024))), errors.SEAL_ALGORITHM)
    await at.sender.send(weak(at, ours))  # made in the same way with nothing wrong


async def test_ac_5_2_one_letter_changed_after_sealing(at: Stage):
    sealed = at.sealed(at.unsealed([FILE]))
    for old, new in (
        (CONTENT.encode(), CONTENT.upper().encode()),
        (b"H21.23", b"H21.16"),
        (b"<edXML:Si", b" <edXML:Si"),
    ):
        assert old in sealed
        await at.refused(at.sender.send(sealed.replace(old, new), [FILE]), errors.SEAL_INVALID)


def forged(at: Stage) -> tuple[etree._Element, etree._Element]:
    """A true sealed envelope, and an unsealed one that says something else under another Id."""
    true = etree.fromstring(at.sealed(at.unsealed()))
    false = at.unsealed(subject=f"V/v {CONTENT}: bản giả")
    false.set("Id", "id-2")
    return true, false


def lifted(true: etree._Element) -> etree._Element:
    """Take the signature out of the true envelope."""
    header = true.find(HEADER)
    signature = header.find(SIGNATURE)
    header.remove(signature)
    return signature


def in_body(true: etree._Element, false: etree._Element) -> None:
    false.append(etree.Element(BODY)) if false.find(BODY) is None else None
    false.find(BODY).append(true)


def signature_out(true: etree._Element, false: etree._Element) -> None:
    false.find(HEADER).append(lifted(true))
    in_body(true, false)


def in_object(true: etree._Element, false: etree._Element) -> None:
    signature = lifted(true)
    etree.SubElement(signature, f"{{{XMLDSIG}}}Object").append(true)
    false.find(HEADER).append(signature)


def same_id(true: etree._Element, false: etree._Element) -> None:
    signature_out(true, false)
    false.set("Id", "id-1")


def header_before(true: etree._Element, false: etree._Element) -> None:
    header = false.find(HEADER)
    false.clear()
    false.set("Id", "id-1")
    false.extend([header, *true])


WRAPPINGS = {
    "the true one in the body": in_body,
    "its signature lifted out": signature_out,
    "the true one in the signature": in_object,
    "the same Id twice": same_id,
    "a header before the true header": header_before,
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
async def test_ac_8_2c_7_wrapped_signature(at: Stage, wrap: Callable[[etree._Element, etree._Element], None]):
    """A verifier that looks the Id up believes these; what is read would not be what was signed."""
    true, false = forged(at)
    wrap(true, false)
    await at.refused(at.sender.send(etree.tostring(false)), errors.SEAL_MALFORMED)


async def test_two_signatures(at: Stage):
    true, false = forged(at)
    true.find(HEADER).append(lifted(etree.fromstring(at.sealed(false))))
    await at.refused(at.sender.send(etree.tostring(true)), errors.SEAL_MALFORMED)


async def test_seal_survives_the_hub_octet_by_octet(at: Stage):
    """White space, declarations and order stay as the sender wrote them."""
    tree = at.unsealed()
    for element in tree.iter():
        element.tail = "\n  " if element is not tree else None
    sealed = at.sealed(tree)
    accepted = await at.sender.send(sealed)
    fetched = await at.recipient.fetch(accepted.number)
    assert etree.tostring(fetched.envelope, method="c14n", exclusive=True) == sealed
