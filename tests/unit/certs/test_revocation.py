from __future__ import annotations

import resource
import threading
from datetime import datetime
from pathlib import Path

import pytest
from certs_province import AGENCY, DAY, NOW, Province, ec_key, request, serial_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certs import names, revocation
from certs.authority import Authority
from certs.bundle import TrustBundle
from certs.revocation import CrlError, Revocation
from certs.trust import Trust
from protocol.errors import ExchangeError
from runtime.config import ConfigError

_USERS_ONLY = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


def code_of(trust: Trust, der: bytes, at: datetime = NOW, **options: bool) -> str:
    try:
        trust.check_certificate(der, at, purpose="seal", **options)
    except ExchangeError as error:
        return error.kind.code
    return "good"


def test_revocation_by_another_process_is_obeyed_at_the_next_check(province: Province):
    der, trust = province.agency(), province.trust()
    assert code_of(trust, der) == "good"
    assert Authority(province.ca).revoke(serial_of(der), at=NOW, reason="keyCompromise") is True
    assert code_of(trust, der) == "seal.certificate-revoked"
    with pytest.raises(ExchangeError, match=r"caller\.certificate-revoked"):
        trust.check_certificate(der, NOW, purpose="client")


def test_revocation_stays_when_the_clock_goes_back(province: Province):
    der, trust = province.agency(), province.trust()
    province.authority.revoke(serial_of(der), at=NOW)
    assert code_of(trust, der, NOW - DAY / 48) == "seal.certificate-revoked"


def test_ac_5_4_sealed_before_revocation_still_verifies_and_after_it_does_not(province: Province):
    der = province.agency()
    province.authority.revoke(serial_of(der), at=NOW + DAY)
    trust = province.trust()
    assert code_of(trust, der, NOW, historical=True) == "good"
    assert code_of(trust, der, NOW + DAY, historical=True) == "seal.certificate-revoked"


def test_ac_5_4_sealed_before_expiry_still_verifies_years_later(province: Province):
    der = province.agency(days=30)
    province.authority.crl(at=NOW + 900 * DAY)
    trust = province.trust()
    assert code_of(trust, der, NOW + 29 * DAY, historical=True) == "good"
    assert code_of(trust, der, NOW + 900 * DAY) == "seal.certificate-expired"


def test_forged_list_is_not_taken_and_is_reported(province: Province):
    der, trust = province.agency(), province.trust()
    province.authority.revoke(serial_of(der), at=NOW)
    assert code_of(trust, der) == "seal.certificate-revoked"
    forged = revocation.build(province.intermediate, ec_key("thief"), (), number=2**60, at=NOW)
    (province.ca / "crl.pem").write_bytes(forged)
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert "not signed" in trust.problem


@pytest.mark.parametrize(
    "damage", [b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", None, "truncated"]
)
def test_unreadable_list_keeps_the_last_good_one_and_is_reported(province: Province, damage: bytes | str | None):
    der, trust = province.agency(), province.trust()
    province.authority.revoke(serial_of(der), at=NOW)
    assert code_of(trust, der) == "seal.certificate-revoked"
    path = province.ca / "crl.pem"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-40] if isinstance(damage, str) else damage)
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert trust.problem
    province.authority.crl(at=NOW + DAY)
    assert code_of(trust, der, NOW + DAY) == "seal.certificate-revoked"
    assert trust.problem == ""


def test_list_that_could_not_be_read_for_a_moment_is_read_at_the_next_check(province: Province):
    """Too many open files when the revocation came: it must not wait for the next change of the list."""
    der, trust = province.agency(), province.trust()
    assert code_of(trust, der) == "good"
    province.authority.revoke(serial_of(der), at=NOW)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert code_of(trust, der) == "good"
        assert trust.problem != ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert trust.problem == ""


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_two_lists_of_one_issuer_in_a_bundle_the_newer_is_taken(province: Province, newest_first: bool):
    der, bundle = province.agency(), TrustBundle.load(province.ca)
    trust = Trust(bundle)
    province.authority.revoke(serial_of(der), at=NOW)
    newer = TrustBundle.load(province.ca).crls
    both = (*newer, *bundle.crls) if newest_first else (*bundle.crls, *newer)
    trust.update(TrustBundle(roots=bundle.roots, crls=both))
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert trust.bundle.crls == newer


def test_older_list_is_not_taken_back(province: Province):
    der, trust = province.agency(), province.trust()
    before = (province.ca / "crl.pem").read_bytes()
    province.authority.revoke(serial_of(der), at=NOW)
    assert code_of(trust, der) == "seal.certificate-revoked"
    (province.ca / "crl.pem").write_bytes(before)
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert "below" in trust.problem


def test_list_past_its_next_update_fails_closed_until_a_fresh_one_comes(province: Province):
    der, trust = province.agency(), province.trust()
    late = NOW + revocation.CRL_DAYS * DAY + DAY
    assert code_of(trust, der, late) == "server.trust-stale"
    with pytest.raises(ExchangeError) as raised:
        trust.check_certificate(der, late, purpose="client")
    assert raised.value.kind.temporary
    province.authority.crl(at=late)
    assert code_of(trust, der, late) == "good"


def test_without_any_list_nothing_is_believed(province: Province):
    bundle = TrustBundle.load(province.ca)
    trust = Trust(TrustBundle(roots=bundle.roots, intermediates=bundle.intermediates))
    assert code_of(trust, province.agency()) == "server.trust-stale"
    assert trust.next_update() is None


def test_damaged_list_at_start_is_bad_configuration(province: Province):
    (province.ca / "crl.pem").write_bytes(b"damaged")
    with pytest.raises(ConfigError):
        province.trust()


def test_list_signed_by_an_agency_for_its_issuer_is_refused(province: Province):
    key = serialization.load_pem_private_key(request()[0], None)
    forged = revocation.build(province.intermediate, key, (), number=1, at=NOW)
    agency = x509.load_der_x509_certificate(province.agency())
    with pytest.raises(CrlError):
        revocation.read(forged, [province.intermediate, agency])


@pytest.mark.parametrize(
    "extra",
    [
        (x509.DeltaCRLIndicator(1), True),
        (_USERS_ONLY, True),
    ],
)
def test_partial_lists_are_refused(province: Province, extra: tuple):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(province.intermediate.subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
        .add_extension(x509.CRLNumber(9), critical=False)
        .add_extension(extra[0], critical=extra[1])
    )
    crl = builder.sign(province.intermediate_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CrlError):
        revocation.read(crl, [province.intermediate])


def test_list_without_a_number_is_refused(province: Province):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(province.intermediate.subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
    )
    crl = builder.sign(province.intermediate_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CrlError):
        revocation.read(crl, [province.intermediate])


def test_changed_octet_anywhere_in_a_list_is_refused(province: Province):
    entry = Revocation(serial=77, at=NOW, reason="superseded")
    pem = revocation.build(province.intermediate, province.intermediate_key, [entry], number=5, at=NOW)
    der = x509.load_pem_x509_crl(pem).public_bytes(serialization.Encoding.DER)
    assert revocation.read(der, [province.intermediate]).entries == {77: entry}
    for position in range(len(der)):
        with pytest.raises(CrlError):
            revocation.read(
                der[:position] + bytes([der[position] ^ 0x04]) + der[position + 1 :], [province.intermediate]
            )


def test_root_list_takes_an_intermediate_out(province: Province):
    der, bundle = province.agency(), TrustBundle.load(province.ca)
    entry = Revocation(serial=province.intermediate.serial_number, at=NOW)
    root_list = revocation.build(province.root, province.root_key, [entry], number=1, at=NOW)
    trust = Trust(bundle)
    assert code_of(trust, der) == "good"
    assert trust.update(TrustBundle(roots=bundle.roots, crls=(root_list,)))
    assert code_of(trust, der) == "seal.certificate-revoked"


def test_bundle_file_of_an_edge_is_watched_too(province: Province):
    der = province.agency()
    path = province.folder / "trust.json"
    path.write_bytes(TrustBundle.load(province.ca).to_json())
    trust = Trust.load(path)
    assert code_of(trust, der) == "good"
    province.authority.revoke(serial_of(der), at=NOW)
    path.write_bytes(TrustBundle.load(province.ca).to_json())
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert TrustBundle.load(province.ca).crls == trust.bundle.crls


def test_roots_are_pinned_whatever_the_watched_file_says_later(province: Province, tmp_path: Path):
    thief = Authority.init(tmp_path / "thief", province="Gia Lai", at=NOW)
    stolen = thief.issue_agency(request()[1], AGENCY, at=NOW)
    path = province.folder / "trust.json"
    path.write_bytes(TrustBundle.load(province.ca).to_json())
    trust = Trust.load(path)
    path.write_bytes(TrustBundle.load(tmp_path / "thief").to_json())
    assert code_of(trust, stolen) == "seal.certificate-untrusted"
    assert code_of(trust, province.agency()) == "good"
    assert "roots" in trust.problem
    mixed = TrustBundle.load(tmp_path / "thief")
    ours = TrustBundle.load(province.ca)
    path.write_bytes(
        TrustBundle(
            roots=(*ours.roots, *mixed.roots), intermediates=mixed.intermediates, crls=(*ours.crls, *mixed.crls)
        ).to_json()
    )
    assert code_of(trust, stolen) == "seal.certificate-untrusted"


def test_two_writers_lose_no_revocation(province: Province):
    serials = [serial_of(province.agency()) for _ in range(8)]

    def work(mine: list[int]) -> None:
        authority = Authority(province.ca)
        for serial in mine:
            authority.revoke(serial, at=NOW)

    threads = [threading.Thread(target=work, args=(serials[half::2],)) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    crl = revocation.read((province.ca / "crl.pem").read_bytes(), [province.intermediate])
    assert crl.entries.keys() == set(serials)


def test_list_is_rebuilt_from_the_records_after_damage_and_trusted_as_newer(province: Province):
    der, other = province.agency(), province.agency()
    trust = province.trust()
    province.authority.revoke(serial_of(der), at=NOW)
    assert code_of(trust, der) == "seal.certificate-revoked"
    (province.ca / "crl.pem").write_bytes(b"")
    assert province.authority.renew_crl(at=NOW + DAY / 24) is True
    assert code_of(trust, other) == "good"
    assert code_of(trust, der) == "seal.certificate-revoked"
    assert trust.problem == ""


def test_record_without_its_list_entry_is_healed_by_the_next_renewal(province: Province):
    """The process died between the two writes of `revoke`."""
    der = province.agency()
    empty = (province.ca / "crl.pem").read_bytes()
    province.authority.revoke(serial_of(der), at=NOW)
    (province.ca / "crl.pem").write_bytes(empty)
    assert province.authority.renew_crl(at=NOW) is True
    assert code_of(province.trust(), der) == "seal.certificate-revoked"


def test_lost_record_forgives_nobody(province: Province):
    der = province.agency()
    province.authority.revoke(serial_of(der), at=NOW)
    next((province.ca / "revoked").iterdir()).unlink()
    province.authority.crl(at=NOW)
    assert code_of(province.trust(), der) == "seal.certificate-revoked"


def test_damaged_record_stops_the_authority_and_not_the_revocation(province: Province):
    der = province.agency()
    province.authority.revoke(serial_of(der), at=NOW)
    next((province.ca / "revoked").iterdir()).write_bytes(b"{")
    with pytest.raises(ConfigError):
        province.authority.crl(at=NOW)
    assert code_of(province.trust(), der) == "seal.certificate-revoked"


def test_renewal_writes_once_a_day_and_when_the_clock_went_back(province: Province):
    assert province.authority.renew_crl(at=NOW + DAY / 2) is False
    assert province.authority.renew_crl(at=NOW + DAY) is True
    assert province.authority.renew_crl(at=NOW + DAY) is False
    assert province.authority.renew_crl(at=NOW - DAY) is True


def test_repeated_revocation_changes_nothing_and_unknown_ones_are_refused(province: Province):
    der = province.agency()
    assert province.authority.revoke(serial_of(der), at=NOW, reason="superseded") is True
    assert province.authority.revoke(serial_of(der), at=NOW + DAY, reason="keyCompromise") is False
    crl = revocation.read((province.ca / "crl.pem").read_bytes(), [province.intermediate])
    assert crl.entries[serial_of(der)] == Revocation(serial=serial_of(der), at=NOW, reason="superseded")
    with pytest.raises(ConfigError):
        province.authority.revoke(1, at=NOW)
    with pytest.raises(ConfigError):
        province.authority.revoke(serial_of(province.agency()), at=NOW, reason="certificateHold")


def test_ordinary_name_of_an_issuer_is_compared_exactly():
    assert names.subject(common_name="A").public_bytes() != names.subject(common_name="a").public_bytes()
