from __future__ import annotations

from pathlib import Path

import pytest
from certs_province import Province, request, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from certs import keys
from certs.signers import FileSigner, LogSigner, der_ecdsa
from protocol.signing import Signer
from runtime.config import ConfigError


def test_ecdsa_signature_is_64_raw_octets_that_verify(province: Province):
    signer: Signer = province.signer(province.agency(), "a")
    signature = signer.sign(b"data")
    assert (signer.algorithm, len(signature)) == ("ecdsa-sha256", 64)
    key = x509.load_der_x509_certificate(signer.certificate).public_key()
    key.verify(der_ecdsa(signature), b"data", ec.ECDSA(hashes.SHA256()))


def test_rsa_signature_is_pkcs1_that_verifies(province: Province):
    signer = province.signer(province.agency(kind="rsa-2048"), "a", "rsa-2048")
    assert signer.algorithm == "rsa-sha256"
    key = x509.load_der_x509_certificate(signer.certificate).public_key()
    key.verify(signer.sign(b"data"), b"data", padding.PKCS1v15(), hashes.SHA256())


def test_chain_is_the_intermediate_without_leaf_and_root(province: Province):
    der = province.agency()
    signer = province.signer(der, "a")
    assert signer.certificate == der
    assert signer.chain == (province.authority.intermediate,)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_key_file_open_to_others_is_refused_by_name_and_mode(province: Province, mode: int):
    key, pem = province.files(province.agency(), "a")
    key.chmod(mode)
    with pytest.raises(ConfigError, match=f"a.key.*{mode:04o}.*chmod 600"):
        FileSigner(key, pem)


@pytest.mark.parametrize("damage", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_damaged_key_or_certificate_is_bad_configuration(province: Province, damage: bytes):
    key, pem = province.files(province.agency(), "a")
    good = key.read_bytes()
    for path in (key, pem):
        path.write_bytes(damage)
        with pytest.raises(ConfigError):
            FileSigner(key, pem)
        key.write_bytes(good)


def test_missing_files_are_bad_configuration(tmp_path: Path):
    with pytest.raises(ConfigError):
        FileSigner(tmp_path / "no.key", tmp_path / "no.pem")


def test_key_of_another_certificate_is_refused(province: Province):
    key, _ = province.files(province.agency(), "a")
    _, pem = province.files(province.agency(kind="rsa-2048"), "b", "rsa-2048")
    with pytest.raises(ConfigError, match="không phải của"):
        FileSigner(key, pem)


def test_encrypted_key_is_refused_with_the_reason(province: Province):
    key, pem = province.files(province.agency(), "a")
    private = serialization.load_pem_private_key(request()[0], None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    with pytest.raises(ConfigError, match="mật khẩu"):
        FileSigner(key, pem)


@pytest.mark.parametrize(
    "key", [lambda: rsa_key(1024), ed25519.Ed25519PrivateKey.generate], ids=["RSA-1024", "Ed25519"]
)
def test_key_that_may_not_seal_is_refused(province: Province, key: object):
    path, pem = province.files(province.agency(), "a")
    private = key()
    path.write_bytes(keys.to_pem(private))
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        pem.write_text(
            x509.load_der_x509_certificate(province.forge(key=private))
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )
    with pytest.raises(ConfigError):
        FileSigner(path, pem)


def test_log_signer_keeps_its_key_in_a_private_file_and_never_overwrites_it(tmp_path: Path):
    path = tmp_path / "log.key"
    signer = LogSigner.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    public = ed25519.Ed25519PublicKey.from_public_bytes(signer.public)
    public.verify(LogSigner(path).sign(b"checkpoint"), b"checkpoint")
    with pytest.raises(ConfigError):
        LogSigner.create(path)


def test_log_signer_refuses_a_key_of_another_kind(tmp_path: Path):
    keys.write_key(tmp_path / "log.key", request()[0])
    with pytest.raises(ConfigError, match="Ed25519"):
        LogSigner(tmp_path / "log.key")
