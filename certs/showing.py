"""What `lienthong-certs show` says about a file: certificate, revocation list, trust bundle, receipt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs import keys, log_key, names
from certs.bundle import TrustBundle
from protocol.receipts import Receipt, decode_leaf
from runtime.config import ConfigError

_VIETNAM: Final = timezone(timedelta(hours=7))
_LIMIT: Final = 64 << 20


def describe(path: Path) -> Iterator[str]:
    """Lines for a person. Raises `ConfigError` for what is none of ours, `proof.invalid` for a damaged receipt."""
    if path.is_dir():
        yield from _bundle(TrustBundle.load(path))
        return
    if path.stat().st_size > _LIMIT:
        raise ConfigError(f"Tệp {path} quá lớn.")
    data = path.read_bytes()
    try:
        if data.lstrip().startswith(b"{"):
            yield from _json(data)
        elif b"-----BEGIN CERTIFICATE-----" in data:
            for certificate in x509.load_pem_x509_certificates(data):
                yield from _certificate(certificate)
        elif b"-----BEGIN X509 CRL-----" in data:
            yield from _list(x509.load_pem_x509_crl(data))
        elif data.startswith(b"c2sp.org/tlog-proof@v1\n"):
            yield from _receipt(Receipt.from_text(data.decode("utf-8", errors="replace")))
        else:
            yield from _certificate(x509.load_der_x509_certificate(data))
    except keys.UNREADABLE as error:
        raise ConfigError(
            f"Tệp {path} không phải chứng thư, danh sách thu hồi, gói tin cậy hay giấy biên nhận hợp lệ."
        ) from error


def _json(data: bytes) -> Iterator[str]:
    if log_key.FORMAT.encode() not in data[:200]:
        yield from _bundle(TrustBundle.from_json(data))
        return
    statement = log_key.read_statement(data.decode("utf-8", errors="replace"))
    yield "Xác nhận khóa của sổ bằng chứng (chưa kiểm chứng), ký bởi:"
    yield from _certificate(x509.load_der_x509_certificate(statement.leaf))
    yield from (f"  {line}" for line in statement.text.splitlines())


def _certificate(certificate: x509.Certificate) -> Iterator[str]:
    agency, hub = (names.spoken_for(certificate, prefix) for prefix in (names.AGENCY_PREFIX, names.HUB_PREFIX))
    yield f"Chứng thư: {certificate.subject.rfc4514_string()}"
    if agency:
        yield f"  cơ quan:    {agency}"
    if hub:
        yield f"  trục:       {hub}"
    yield f"  cấp bởi:    {certificate.issuer.rfc4514_string()}"
    yield f"  sê-ri:      {certificate.serial_number:040X}"
    yield f"  hiệu lực:   {_local(certificate.not_valid_before_utc)} đến {_local(certificate.not_valid_after_utc)}"
    yield f"  khóa:       {_key(certificate.public_key())}"
    yield f"  vân tay:    {certificate.fingerprint(hashes.SHA256()).hex()}"


def _key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bit"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    return "loại khác"


def _list(crl: x509.CertificateRevocationList) -> Iterator[str]:
    yield f"Danh sách thu hồi của: {crl.issuer.rfc4514_string()}"
    until = _local(crl.next_update_utc) if crl.next_update_utc else "không ghi"
    yield f"  ký lúc {_local(crl.last_update_utc)}, dùng đến {until}, {len(crl)} chứng thư bị thu hồi"
    for entry in crl:
        yield f"  {entry.serial_number:040X}  từ {_local(entry.revocation_date_utc)}"


def _bundle(bundle: TrustBundle) -> Iterator[str]:
    keys = len(bundle.log_keys)
    yield f"Gói tin cậy: {len(bundle.roots)} gốc, {len(bundle.intermediates)} cấp dưới, {keys} khóa sổ bằng chứng"
    for der in (*bundle.roots, *bundle.intermediates):
        yield from _certificate(x509.load_der_x509_certificate(der))
    for crl in bundle.crls:
        yield from _list(x509.load_pem_x509_crl(crl))


def _receipt(receipt: Receipt) -> Iterator[str]:
    leaf = decode_leaf(receipt.leaf)
    yield f"Giấy biên nhận (chưa kiểm chứng; dùng lệnh verify): mục số {receipt.index}"
    for name in leaf.__struct_fields__:
        value = getattr(leaf, name)
        if value not in ("", (), None, 0):
            yield f"  {name + ':':13}{', '.join(value) if isinstance(value, tuple) else value}"


def _local(moment: datetime) -> str:
    return moment.astimezone(_VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
