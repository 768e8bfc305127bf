from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from certs_province import AGENCY, DAY, NOW, Forged, Province, ec_key, request, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import names, profiles
from certs.authority import Authority
from certs.bundle import TrustBundle
from certs.trust import Trust
from protocol import seal
from protocol.errors import ExchangeError
from runtime.config import ConfigError


def refusal(province: Province, der: bytes, purpose: str = "seal", at: object = NOW) -> str:
    with pytest.raises(ExchangeError) as raised:
        province.trust().check_certificate(der, at, purpose=purpose)
    return raised.value.kind.code


def test_agency_certificate_may_seal_and_call_but_not_serve_or_speak_as_the_hub(province: Province):
    der = province.agency()
    trust = province.trust()
    assert trust.check_certificate(der, NOW, purpose="seal").agency == AGENCY
    assert trust.check_certificate(der, NOW, purpose="client").agency == AGENCY
    assert trust.agency_of(der) == AGENCY
    for purpose in ("server", "hub"):
        assert refusal(province, der, purpose) == "seal.certificate-untrusted"


def test_hub_certificate_speaks_for_the_hub_and_for_no_agency(province: Province):
    der = province.hub()
    trust = province.trust()
    for purpose in ("hub", "server", "seal", "client"):
        found = trust.check_certificate(der, NOW, purpose=purpose)
        assert (found.hub, found.agency) == ("localhost", "")
    with pytest.raises(ExchangeError, match=r"seal\.certificate-untrusted"):
        trust.agency_of(der)


def test_good_forgery_template_is_accepted_so_that_each_refusal_below_has_one_cause(province: Province):
    assert province.trust().check_certificate(province.forge(), NOW, purpose="seal").agency == AGENCY


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ca": True}, "seal.certificate-untrusted"),
        ({"usage": profiles._usage(authority=True)}, "seal.certificate-untrusted"),
        ({"usage": None}, "seal.certificate-untrusted"),
        ({"purposes": (ExtendedKeyUsageOID.OCSP_SIGNING,)}, "seal.certificate-untrusted"),
        ({"uris": ()}, "seal.certificate-untrusted"),
        ({"uris": ("urn:lienthong:agency:H21.1", "urn:lienthong:agency:H21.2")}, "seal.certificate-untrusted"),
        ({"uris": ("https://example.invalid/H21.16",)}, "seal.certificate-untrusted"),
        ({"key_identifier": b"another key"}, "seal.certificate-untrusted"),
        ({"start": NOW + DAY / 2}, "seal.certificate-not-yet-valid"),
        ({"end": NOW - DAY / 2}, "seal.certificate-expired"),
        (
            {"extra": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True),)},
            "seal.certificate-untrusted",
        ),
        (
            {"extra": ((x509.NameConstraints([x509.DNSName("gialai.gov.vn")], None), True),)},
            "seal.certificate-untrusted",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_leaf_of_our_own_intermediate_with_one_fault_is_refused(province: Province, changes: dict, code: str):
    assert refusal(province, province.forge(**changes)) == code


def test_unknown_extension_that_is_not_critical_is_ignored(province: Province):
    extra = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), False),)
    assert province.trust().check_certificate(province.forge(extra=extra), NOW, purpose="seal").agency == AGENCY


@pytest.mark.parametrize(
    "key",
    [lambda: rsa_key(1024), lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate],
    ids=["RSA-1024", "P-384", "Ed25519"],
)
def test_leaf_with_a_key_outside_the_seal_profile_is_refused(province: Province, key: object):
    assert refusal(province, province.forge(key=key())) == "seal.algorithm"


def test_certificate_signed_with_sha1_is_refused(province: Province):
    """The library does not sign with SHA-1: the identifiers of a genuine certificate are changed instead."""
    sha256_rsa, sha1_rsa = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    der = Forged(issuer=None, issuer_key=rsa_key(2048), key=rsa_key(2048)).der()
    assert der.count(sha256_rsa) == 2
    assert refusal(province, der.replace(sha256_rsa, sha1_rsa)) == "seal.algorithm"


def test_self_signed_certificate_is_refused(province: Province):
    assert refusal(province, Forged(issuer=None, issuer_key=ec_key()).der()) == "seal.certificate-untrusted"


def test_certificate_of_another_provinces_authority_with_our_names_is_refused(province: Province, tmp_path: Path):
    other = Authority.init(tmp_path / "other", province="Gia Lai", at=NOW)
    der = other.issue_agency(request()[1], AGENCY, at=NOW)
    assert refusal(province, der) == "seal.certificate-untrusted"


def test_authority_certificates_are_no_leaves(province: Province):
    assert refusal(province, province.authority.intermediate) == "seal.certificate-untrusted"
    assert refusal(province, province.authority.root) == "seal.certificate-untrusted"


def test_leaf_signed_by_the_root_or_by_a_leaf_is_refused(province: Province):
    by_root = province.forge(issuer=province.root, issuer_key=province.root_key)
    assert refusal(province, by_root) == "seal.certificate-untrusted"
    agency = x509.load_der_x509_certificate(province.agency())
    key = serialization.load_pem_private_key(request()[0], None)
    assert refusal(province, province.forge(issuer=agency, issuer_key=key)) == "seal.certificate-untrusted"


def test_changed_octet_anywhere_in_a_certificate_never_passes_and_never_leaks_a_foreign_error(province: Province):
    der, trust = province.agency(), province.trust()
    for position in range(len(der)):
        damaged = der[:position] + bytes([der[position] ^ 0x01]) + der[position + 1 :]
        with pytest.raises(ExchangeError) as raised:
            trust.check_certificate(damaged, NOW, purpose="seal")
        assert raised.value.kind.branch == "seal"


@pytest.mark.parametrize("damage", [b"", b"\x30\x00", b"not a certificate", bytes(20_000)])
def test_octets_that_are_no_certificate_are_malformed(province: Province, damage: bytes):
    assert refusal(province, damage) == "seal.malformed"
    assert refusal(province, province.agency()[:-1]) == "seal.malformed"


def test_expired_intermediate_ends_every_leaf_below_it(province: Province):
    key = ec_key("old intermediate")
    old = Forged(
        issuer=province.root,
        issuer_key=province.root_key,
        key=key,
        subject=names.subject(common_name="CA cũ"),
        start=NOW - 10 * DAY,
        end=NOW - DAY,
        ca=True,
        usage=profiles._usage(authority=True),
        purposes=None,
        uris=(),
    ).der()
    leaf = province.forge(issuer=x509.load_der_x509_certificate(old), issuer_key=key)
    bundle = TrustBundle.load(province.ca)
    trust = Trust(TrustBundle(roots=bundle.roots, intermediates=(*bundle.intermediates, old), crls=bundle.crls))
    with pytest.raises(ExchangeError, match=r"seal\.certificate-expired"):
        trust.check_certificate(leaf, NOW, purpose="seal")


def test_intermediate_that_leads_to_no_root_is_left_out(province: Province, tmp_path: Path):
    other = Authority.init(tmp_path / "other", province="Kon Tum", at=NOW)
    bundle = TrustBundle.load(province.ca)
    trust = Trust(TrustBundle(roots=bundle.roots, intermediates=(other.intermediate,), crls=bundle.crls))
    with pytest.raises(ExchangeError, match=r"seal\.certificate-untrusted"):
        trust.check_certificate(other.issue_agency(request()[1], AGENCY, at=NOW), NOW, purpose="seal")


def test_root_that_is_no_authority_is_bad_configuration(province: Province):
    with pytest.raises(ConfigError):
        Trust(TrustBundle(roots=(province.agency(),)))
    with pytest.raises(ConfigError):
        Trust(TrustBundle(roots=()))


def test_client_refusals_speak_of_the_caller(province: Province):
    assert refusal(province, province.forge(end=NOW - DAY / 2), "client") == "caller.certificate-expired"
    assert refusal(province, province.forge(start=NOW + DAY / 2), "client") == "caller.certificate-expired"
    assert refusal(province, b"junk", "client") == "caller.unauthenticated"
    assert refusal(province, province.forge(purposes=None), "client") == "caller.unauthenticated"
    assert refusal(province, province.forge(), "client", at=NOW + 30 * DAY) == "caller.certificate-expired"


def test_agency_code_with_unusual_characters_survives_the_certificate(province: Province):
    assert province.trust().agency_of(province.agency("vxp.saas.03_ĐắkĐoa")) == "vxp.saas.03_ĐắkĐoa"


def test_damaged_certificate_in_a_seal_never_leaks_an_error_of_the_library(province: Province):
    """Two kinds of library error once reached the caller as `server.internal`, to be retried for ever."""
    der = province.agency()
    for position in range(der.index(b"Gia Lai"), len(der)):
        damaged = der[:position] + bytes([der[position] ^ 0x04]) + der[position + 1 :]
        with contextlib.suppress(ExchangeError):
            seal.public_key(damaged)
    unsupported = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030106")
    with pytest.raises(ExchangeError, match=r"seal\.algorithm"):
        seal.public_key(der.replace(*unsupported))
    version = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")
    with pytest.raises(ExchangeError, match=r"seal\.malformed"):
        seal.public_key(der.replace(*version))
