"""The one form of a signature: every part is read, and nothing else may stand there."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from protocol import errors
from protocol.errors import ExchangeError
from protocol.seal import canonical, seal
from protocol.signature_form import DS, read_signature
from tests.support.signatures import ENVELOPE
from tests.support.signers import rsa_signer

IDENTITY = "id-1"
SIGNATURE = re.search(rb"<ds:Signature .*</ds:Signature>", seal(ENVELOPE, rsa_signer()), re.DOTALL)[0]
TREE = etree.fromstring(SIGNATURE)
DEFAULT = SIGNATURE.replace(b"ds:", b"").replace(b"xmlns:ds=", b"xmlns=")


def refusal(octets: bytes, identity: str = IDENTITY) -> errors.ErrorKind:
    with pytest.raises(ExchangeError) as caught:
        read_signature(octets, identity)
    return caught.value.kind


def spaced(octets: bytes, space: bytes) -> bytes:
    """White space wherever elements stand beside each other or are empty."""
    return octets.replace(b"><", b">" + space + b"<")


def test_every_part_is_what_an_xml_reader_finds():
    parts = read_signature(SIGNATURE, IDENTITY)
    assert parts.algorithm == "rsa-sha256"
    assert parts.certificate == rsa_signer().certificate
    assert parts.signed_info == canonical(TREE[0])
    assert len(parts.digest) == 32
    assert len(parts.signature) == 256


@pytest.mark.parametrize("space", [b"\n  ", b"\t", b"&#xD;\n", b" " * 1000])
@pytest.mark.parametrize("octets", [SIGNATURE, DEFAULT], ids=["ds", "default namespace"])
def test_signed_info_stands_alone_as_exclusive_c14n_writes_it(octets: bytes, space: bytes):
    text = spaced(octets, space)
    assert canonical(etree.fromstring(text)) == text, "the test's own text is canonical"
    assert read_signature(text, IDENTITY).signed_info == canonical(etree.fromstring(text)[0])


def test_line_ends_inside_base64_are_no_part_of_it():
    wrapped = re.sub(rb"([A-Za-z0-9+/=]{64})(?=[A-Za-z0-9+/=])", rb"\1&#xD;\n", SIGNATURE)
    assert read_signature(wrapped, IDENTITY).signature == read_signature(SIGNATURE, IDENTITY).signature


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"xmlns:ds=", b"xmlns:dt="),
        (DS.encode(), b"urn:other"),
        (b'xmlns:ds="', b'xmlns:a="urn:a" xmlns:ds="'),
        (b"</ds:SignedInfo>", b"x</ds:SignedInfo>"),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName></ds:KeyName>"),
        (b"<ds:KeyInfo>", b'<ds:KeyInfo Id="k">'),
        (b"<ds:X509Data>", b"<dt:X509Data>"),
        (b"</ds:Signature>", b"</ds:Signature> "),
        (b"<ds:DigestValue>", b"<ds:DigestValue>!"),
        (b"#id-1", b"#id-2"),
        (b"enveloped-signature", b"base64"),
        (b"<ds:Transforms>", b"<?x y?><ds:Transforms>"),
    ],
)
def test_anything_else_is_malformed(old: bytes, new: bytes):
    assert old in SIGNATURE
    assert refusal(SIGNATURE.replace(old, new)) is errors.SEAL_MALFORMED


def named(name: str) -> bytes:
    return SIGNATURE.replace(b'#">', b'#" Id="%b">' % name.encode(), 1)


@pytest.mark.parametrize("name", ["S", "_signature-1.a", "x" * 64])
def test_a_signature_may_have_a_name(name: str):
    assert read_signature(named(name), IDENTITY) == read_signature(SIGNATURE, IDENTITY)


@pytest.mark.parametrize("name", ["", "1", "a b", "Tối", "x" * 65, "văn bản không ai ký"])
def test_the_name_of_a_signature_is_no_place_for_a_text_that_nobody_signed(name: str):
    assert refusal(named(name)) is errors.SEAL_MALFORMED


@pytest.mark.parametrize("old", [b"xmldsig-more#rsa-sha256", b"xmlenc#sha256"])
def test_another_algorithm_is_named_as_such(old: bytes):
    assert refusal(SIGNATURE.replace(old, b"xmldsig#rsa-sha1")) is errors.SEAL_ALGORITHM


@pytest.mark.parametrize("piece", [b" ", b"&#xD;", b"A", b"<ds:Transform>", b'"'])
@pytest.mark.parametrize(
    "place", [b"<ds:SignedInfo>", b'c14n#">', b"<ds:SignatureValue>", b"<ds:X509Certificate>", b'URI="']
)
def test_no_hostile_signature_can_keep_the_reader_busy(place: bytes, piece: bytes):
    """A mebibyte in every gap, then no end: an expression that tried again would take days."""
    at = SIGNATURE.index(place) + len(place)
    hostile = SIGNATURE[:at] + piece * (1 << 20) + SIGNATURE[at:-1]
    assert refusal(hostile) is errors.SEAL_MALFORMED
