"""Two programs that know nothing of us judge our seals, and make seals that we judge: xmlsec1 and signxml."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tools
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree
from signxml import CanonicalizationMethod, SignatureConfiguration, XMLSigner, XMLVerifier, methods
from signxml.algorithms import DigestAlgorithm, SignatureMethod

from certs import enrolment, keys
from certs.authority import Authority
from certs.signers import FileSigner
from protocol import native, soap
from protocol.seal import DS, ENVELOPED, EXCLUSIVE_C14N, QCVN, SHA256, open_seal, seal
from protocol.soap import SoapVersion
from tests.support.signatures import ECDSA_SHA256, ENVELOPE, RSA_SHA256

VECTORS = Path(__file__).parents[1] / "vectors/seal"
VERDICTS = re.findall(r"^\| `([^`]+)` .* \| ((?:not )?valid) \|$", (VECTORS / "README.md").read_text(), re.MULTILINE)
HEADER = f"{{{QCVN}}}edXMLHeader"
SHAPES = {
    "prefix edXML": ENVELOPE,
    "default namespace": ENVELOPE.replace(b"xmlns:edXML", b"xmlns").replace(b"edXML:", b""),
    "odd prefix": ENVELOPE.replace(b"xmlns:edXML", b"xmlns:_q.1-x").replace(b"edXML:", b"_q.1-x:"),
}
SHAPED = pytest.mark.parametrize("envelope", SHAPES.values(), ids=SHAPES)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.init(tmp_path_factory.mktemp("oracles") / "ca", province="Gia Lai", at=datetime.now(UTC))


@pytest.fixture(scope="module", params=["rsa-2048", "p-256"])
def signer(authority: Authority, request: pytest.FixtureRequest) -> FileSigner:
    """An agency's signer, its files beside the authority's: `KIND.key`, `KIND.pem`."""
    folder = authority.directory.parent
    key, csr = enrolment.make_request("H21.16", kind=request.param)
    certificate = authority.issue_agency(csr, "H21.16", at=datetime.now(UTC))
    keys.write_key(folder / f"{request.param}.key", key)
    (folder / f"{request.param}.pem").write_bytes(authority.chain_pem(certificate))
    return FileSigner(folder / f"{request.param}.key", folder / f"{request.param}.pem")


def xmlsec1(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [tools.xmlsec1(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def verified_by_xmlsec1(authority: Authority, file: Path) -> bool:
    trusted = ("--trusted-pem", authority.directory / "root.pem")
    chain = ("--untrusted-pem", authority.directory / "intermediate.pem")
    verdict = xmlsec1("--verify", *trusted, *chain, "--id-attr:Id", "edXMLEnvelope", file)
    assert (verdict.returncode == 0) == ("OK" in verdict.stderr + verdict.stdout), verdict.stderr
    return verdict.returncode == 0


def template(envelope: bytes, method: str) -> bytes:
    """The envelope with a signature that says what is wanted and holds nothing yet."""
    signature = (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"/>'
        f'<ds:SignatureMethod Algorithm="{method}"/><ds:Reference URI="#id-1"><ds:Transforms>'
        f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXCLUSIVE_C14N}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/>'
        "<ds:KeyInfo><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )
    tree = etree.fromstring(envelope)
    header = tree.find(HEADER)
    assert header is not None
    header.append(etree.fromstring(signature))
    return etree.tostring(tree)


@SHAPED
def test_xmlsec1_verifies_our_seal(authority: Authority, signer: FileSigner, envelope: bytes, tmp_path: Path):
    """As the manual says it: trusted root, the envelope's Id, nothing of ours."""
    sealed = seal(envelope, signer)
    (tmp_path / "sealed.xml").write_bytes(sealed)
    assert verified_by_xmlsec1(authority, tmp_path / "sealed.xml")
    request = soap.write_envelope(SoapVersion.V12, native.write_send(sealed))
    (tmp_path / "moved.xml").write_bytes(request)
    assert verified_by_xmlsec1(authority, tmp_path / "moved.xml")
    (tmp_path / "forged.xml").write_bytes(sealed.replace(b"2/9", b"3/9"))
    assert not verified_by_xmlsec1(authority, tmp_path / "forged.xml")


@SHAPED
def test_seal_made_by_xmlsec1_opens_here(signer: FileSigner, authority: Authority, envelope: bytes, tmp_path: Path):
    method = RSA_SHA256 if signer.algorithm == "rsa-sha256" else ECDSA_SHA256
    (tmp_path / "template.xml").write_bytes(template(envelope, method))
    kind = "rsa-2048" if signer.algorithm == "rsa-sha256" else "p-256"
    pair = ",".join(str(authority.directory.parent / f"{kind}.{suffix}") for suffix in ("key", "pem"))
    made = xmlsec1(
        *("--sign", "--privkey-pem", pair, "--id-attr:Id", "edXMLEnvelope", "--output", tmp_path / "sealed.xml"),
        tmp_path / "template.xml",
    )
    assert made.returncode == 0, made.stderr
    opened = open_seal(etree.fromstring((tmp_path / "sealed.xml").read_bytes()))
    assert opened.certificate == signer.certificate
    assert opened.digest == open_seal(etree.fromstring(seal(envelope, signer))).digest


@SHAPED
def test_signxml_verifies_our_seal(signer: FileSigner, envelope: bytes):
    expected = SignatureConfiguration(
        location=f"./{HEADER}/",
        expect_references=1,
        signature_methods=frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    )
    pinned = x509.load_der_x509_certificate(signer.certificate).public_bytes(serialization.Encoding.PEM).decode()
    sealed = seal(envelope, signer)
    verified = XMLVerifier().verify(sealed, x509_cert=pinned, id_attribute="Id", expect_config=expected)
    assert verified.signed_data == open_seal(etree.fromstring(sealed)).signed


@SHAPED
def test_seal_made_by_signxml_opens_here(signer: FileSigner, authority: Authority, envelope: bytes):
    tree = etree.fromstring(envelope)
    header = tree.find(HEADER)
    assert header is not None
    etree.SubElement(header, f"{{{DS}}}Signature", Id="placeholder", nsmap={"ds": DS})
    kind = "rsa-2048" if signer.algorithm == "rsa-sha256" else "p-256"
    made = XMLSigner(
        method=methods.enveloped,
        signature_algorithm=signer.algorithm,
        digest_algorithm="sha256",
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    ).sign(
        tree,
        key=(authority.directory.parent / f"{kind}.key").read_bytes(),
        cert=[x509.load_der_x509_certificate(signer.certificate)],
        reference_uri="#id-1",
        id_attribute="Id",
    )
    opened = open_seal(etree.fromstring(etree.tostring(made)))
    assert opened.certificate == signer.certificate
    assert opened.digest == open_seal(etree.fromstring(seal(envelope, signer))).digest


def test_xmlsec1_says_of_every_vector_what_the_table_says():
    """Without a profile much is valid that we refuse: the table shows what the profile is for."""
    said = {
        name: xmlsec1("--verify", "--insecure", "--id-attr:Id", "edXMLEnvelope", VECTORS / name).returncode == 0
        for name, _ in VERDICTS
    }
    assert said == {name: verdict == "valid" for name, verdict in VERDICTS}
    assert len(said) == len(list(VECTORS.glob("*.xml")))
