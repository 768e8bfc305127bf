from __future__ import annotations

import os
from pathlib import Path

import pytest
from certs_province import AGENCY, DAY, NOW, Province, request, rsa_key, serial_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from certs import authority, enrolment, keys
from certs.authority import Authority
from protocol.errors import ExchangeError
from runtime.config import ConfigError


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def constraint(certificate: x509.Certificate) -> tuple[bool, int | None]:
    found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert found.critical
    return found.value.ca, found.value.path_length


def test_root_and_intermediate_have_path_lengths_and_only_the_usages_of_an_authority(province: Province):
    assert constraint(province.root) == (True, 1)
    assert constraint(province.intermediate) == (True, 0)
    for one in (province.root, province.intermediate):
        usage = one.extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    province.intermediate.verify_directly_issued_by(province.root)


def test_private_keys_are_files_that_only_the_owner_reads(province: Province):
    modes = {path.name: path.stat().st_mode & 0o777 for path in province.ca.glob("*.key")}
    assert modes == {"root.key": 0o600, "intermediate.key": 0o600}


def test_second_init_never_overwrites(province: Province):
    before = (province.ca / "root.key").read_bytes()
    with pytest.raises(ConfigError):
        Authority.init(province.ca, province="Gia Lai", at=NOW)
    assert (province.ca / "root.key").read_bytes() == before


@pytest.mark.parametrize("kind", ["p-256", "rsa-3072"])
def test_authorities_of_every_kind_issue_believable_certificates(tmp_path: Path, kind: keys.KeyKind):
    Authority.init(tmp_path / "ca", province="Gia Lai", at=NOW, root_kind=kind, intermediate_kind=kind)
    province = Province(tmp_path)
    assert province.trust().check_certificate(province.agency(), NOW, purpose="seal").agency == AGENCY


def test_vietnamese_names_stand_in_the_certificate_composed(province: Province):
    decomposed = "Sở Thông tin và Truyền thông".encode().decode()
    der = province.agency(name="Sơ\u0309 Nội vụ")
    organization = load(der).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    assert organization == "Sở Nội vụ"
    assert load(province.agency(name=decomposed)).subject.rfc4514_string().startswith(f"CN={AGENCY}")
    assert province.authority.province == "Gia Lai"


def test_names_come_from_the_authority_and_not_from_the_request(province: Province):
    _, asking = enrolment.make_request("H21.99")
    der = province.authority.issue_agency(asking, AGENCY, at=NOW)
    assert province.trust().agency_of(der) == AGENCY
    assert b"H21.99" not in der


def test_serials_are_random_and_of_twenty_octets(province: Province):
    serials = {serial_of(province.agency()) for _ in range(20)}
    assert len(serials) == 20
    assert max(serials).bit_length() > 150
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_leaf_never_outlives_its_issuer_and_works_on_a_slow_clock(province: Province):
    der = province.agency(days=365 * 40)
    assert load(der).not_valid_after_utc == province.intermediate.not_valid_after_utc
    assert province.trust().check_certificate(der, NOW - DAY / 48, purpose="seal").agency == AGENCY


def test_host_names_and_addresses_stand_in_the_certificate(province: Province):
    der = province.agency(hosts=("qlvbdhstttt.gialai.gov.vn", "10.1.2.3", "2001:db8::1"))
    san = load(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["qlvbdhstttt.gialai.gov.vn"]
    assert [str(ip) for ip in san.get_values_for_type(x509.IPAddress)] == ["10.1.2.3", "2001:db8::1"]
    assert province.trust().check_certificate(der, NOW, purpose="server").agency == AGENCY


@pytest.mark.parametrize("host", ["", "a b", "evil\n.vn", "*.gialai.gov.vn", "a..b", "-"])
def test_host_that_is_none_is_refused(province: Province, host: str):
    with pytest.raises(ConfigError):
        province.agency(hosts=(host,))


def test_hub_without_a_host_is_refused(province: Province):
    with pytest.raises(ConfigError):
        province.authority.issue_hub(request()[1], (), at=NOW)


def test_name_over_64_octets_is_refused(province: Province):
    with pytest.raises(ConfigError):
        province.agency("ế" * 22)


def test_every_issued_certificate_is_on_record(province: Province):
    der = province.agency()
    assert [serial_of(der)] == [one.serial_number for one in province.authority.issued()]


def weak_request() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(rsa_key(1024), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("damage", ["weak", "empty", "huge", "signature", "truncated"])
def test_bad_request_is_refused_and_leaves_no_certificate(province: Province, damage: str):
    good = request()[1]
    bad = {
        "weak": weak_request(),
        "empty": b"",
        "huge": bytes(100_000),
        "signature": good[:-1] + bytes([good[-1] ^ 1]),
        "truncated": good[:-5],
    }[damage]
    with pytest.raises(ExchangeError) as raised:
        province.authority.issue_agency(bad, AGENCY, at=NOW)
    assert raised.value.kind.code == "enrolment.request"
    assert list(province.authority.issued()) == []


def test_changed_octet_anywhere_in_a_request_never_leaks_a_foreign_error():
    good = request()[1]
    for position in range(len(good)):
        with pytest.raises(ExchangeError) as raised:
            enrolment.check_request(good[:position] + bytes([good[position] ^ 0x02]) + good[position + 1 :])
        assert raised.value.kind.code == "enrolment.request"


def test_folder_without_an_authority_or_with_a_wrong_key_is_bad_configuration(province: Province, tmp_path: Path):
    with pytest.raises(ConfigError):
        Authority(tmp_path / "nothing")
    keys.write_key(province.ca / "intermediate.key", request()[0])
    with pytest.raises(ConfigError):
        Authority(province.ca).crl(at=NOW)


def test_key_that_others_may_read_is_not_used(province: Province):
    (province.ca / "intermediate.key").chmod(0o640)
    with pytest.raises(ConfigError, match="0640"):
        Authority(province.ca).issue_agency(request()[1], AGENCY, at=NOW)


def test_missing_root_key_is_normal_life(province: Province):
    (province.ca / "root.key").unlink()
    assert province.trust().agency_of(province.agency()) == AGENCY


def test_full_disk_leaves_the_old_list_in_force(province: Province, monkeypatch: pytest.MonkeyPatch):
    der = province.agency()
    before = (province.ca / "crl.pem").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(authority.durable, "fsync_file", full)
    with pytest.raises(OSError, match="No space"):
        province.authority.revoke(serial_of(der), at=NOW)
    assert (province.ca / "crl.pem").read_bytes() == before
    assert sorted(path.name for path in (province.ca / "revoked").iterdir()) == []
