"""The province's certificate authority: a folder with root, intermediate, revocation list and what was issued.

Layout (the folder is the argument of every command)::

    root.pem  root.key                  the root; its key is used once and belongs offline afterwards
    intermediate.pem  intermediate.key  signs agencies, the hub and the revocation list
    crl.pem                             revocation list, signed by the intermediate; rewritten atomically
    issued/SERIAL.pem                   every certificate that was ever issued
    revoked/SERIAL.json                 every revocation: the list can be rebuilt from these
    log/NAME.json                       statements about the keys of the evidence log
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs import enrolment, keys, log_key, names, profiles, revocation
from certs.revocation import CrlError, Revocation
from certs.signers import read_certificates
from runtime import durable
from runtime.config import ConfigError

ROOT_YEARS: Final = 20
INTERMEDIATE_YEARS: Final = 10
LEAF_DAYS: Final = 730
RENEW_CRL_AFTER: Final = timedelta(days=1)
_DER: Final = serialization.Encoding.DER
_PEM: Final = serialization.Encoding.PEM


class Authority:
    """The authority in `directory`. Raises `ConfigError` when there is none, or its files are damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root = read_certificates(directory / "root.pem")[0]
        self._intermediate = read_certificates(directory / "intermediate.pem")[0]
        self._key: keys.PrivateKey | None = None

    @classmethod
    def init(
        cls,
        directory: Path,
        *,
        province: str,
        at: datetime,
        root_kind: keys.KeyKind = "p-384",
        intermediate_kind: keys.KeyKind = "p-256",
    ) -> Authority:
        """Make root, intermediate and an empty revocation list in a folder that has none. Raises `ConfigError`."""
        if (directory / "root.pem").exists() or (directory / "intermediate.pem").exists():
            raise ConfigError(f"Thư mục {directory} đã có CA; không ghi đè.")
        for folder in (directory, directory / "issued", directory / "revoked"):
            durable.make_directory(folder, 0o700)
        root_key, key = keys.make_key(root_kind), keys.make_key(intermediate_kind)
        root_name = names.subject(common_name=f"Liên thông {province} - CA gốc", province=province)
        name = names.subject(common_name=f"Liên thông {province} - CA cấp dưới", province=province)
        root = profiles.authority_certificate(
            name=root_name, key=root_key.public_key(), issuer=None, issuer_key=root_key, at=at, years=ROOT_YEARS
        )
        intermediate = profiles.authority_certificate(
            name=name, key=key.public_key(), issuer=root, issuer_key=root_key, at=at, years=INTERMEDIATE_YEARS
        )
        keys.write_key(directory / "root.key", keys.to_pem(root_key))
        keys.write_key(directory / "intermediate.key", keys.to_pem(key))
        crl = revocation.build(intermediate, key, (), number=_crl_number(0, at), at=at)
        durable.write_file(directory / "crl.pem", crl)
        durable.write_file(directory / "intermediate.pem", intermediate.public_bytes(_PEM))
        durable.write_file(directory / "root.pem", root.public_bytes(_PEM))  # last: now it is an authority
        return cls(directory)

    @property
    def province(self) -> str:
        """The province in the root's name."""
        return names.province(self._root.subject)

    @property
    def root(self) -> bytes:
        """DER of the root certificate."""
        return self._root.public_bytes(_DER)

    @property
    def intermediate(self) -> bytes:
        """DER of the intermediate certificate."""
        return self._intermediate.public_bytes(_DER)

    @property
    def crl_path(self) -> Path:
        """The file of the revocation list, for `certs.trust.Trust` to watch."""
        return self.directory / "crl.pem"

    def issue_agency(
        self,
        request: bytes,
        agency: str,
        *,
        at: datetime,
        name: str = "",
        hosts: Sequence[str] = (),
        days: int = LEAF_DAYS,
    ) -> bytes:
        """A certificate (DER) for the key in a PKCS #10 request (DER); every name in it comes from the arguments.

        Raises `enrolment.request` for a bad request, `ConfigError` for bad names.
        """
        key = enrolment.check_request(request)
        subject = names.subject(common_name=agency, organization=name, province=self.province)
        return self._issue(
            profiles.Leaf(subject=subject, uri=names.agency_uri(agency), hosts=hosts, server=bool(hosts)), key, at, days
        )

    def issue_hub(self, request: bytes, hosts: Sequence[str], *, at: datetime, days: int = LEAF_DAYS) -> bytes:
        """A certificate (DER) for the hub; `hosts`: the DNS names and IP addresses that edges call."""
        if not hosts:
            raise ConfigError("Chứng thư của trục cần ít nhất một tên máy hoặc địa chỉ IP.")
        key = enrolment.check_request(request)
        subject = names.subject(common_name=hosts[0], organization="Trục liên thông", province=self.province)
        return self._issue(
            profiles.Leaf(subject=subject, uri=names.hub_uri(hosts[0]), hosts=hosts, server=True), key, at, days
        )

    def chain_pem(self, certificate: bytes) -> bytes:
        """A certificate (DER) with the intermediate behind it, as PEM: the file that a `FileSigner` and TLS read."""
        leaf = x509.load_der_x509_certificate(certificate)
        return leaf.public_bytes(_PEM) + self._intermediate.public_bytes(_PEM)

    def revoke(self, serial: int, *, at: datetime, reason: str = "unspecified") -> bool:
        """Put a certificate on the revocation list, durably and at once; `False` when it was there already.

        Raises `ConfigError` for a serial that was never issued here, or an unknown reason.
        """
        if not (self.directory / "issued" / f"{_hex(serial)}.pem").exists():
            raise ConfigError(f"Không có chứng thư số sê-ri {_hex(serial)} do CA này cấp.")
        if reason not in revocation.REASONS:
            raise ConfigError(f"Lý do thu hồi không hợp lệ: {reason}. Các lý do: {', '.join(revocation.REASONS)}.")
        with self._locked():
            entries = self._revocations()
            if serial in entries:
                self._write_crl(entries, at)  # a crash between the record and the list is healed here
                return False
            entries[serial] = Revocation(serial=serial, at=at.replace(microsecond=0), reason=reason)
            record = self.directory / "revoked" / f"{_hex(serial)}.json"
            durable.write_file(record, msgspec.json.encode(_Record.of(entries[serial])))
            self._write_crl(entries, at)
        return True

    def crl(self, *, at: datetime) -> bytes:
        """Write a fresh revocation list and return it (PEM)."""
        with self._locked():
            return self._write_crl(self._revocations(), at)

    def renew_crl(self, *, at: datetime) -> bool:
        """Write a fresh list when the present one is a day old, damaged, or misses a recorded revocation.

        The hub calls this at start and every few minutes; `True` when it wrote.
        """
        with self._locked():
            entries = self._revocations()
            current = self._current_crl()
            young = current is not None and at - RENEW_CRL_AFTER < current.this_update <= at
            if young and current is not None and current.entries.keys() == entries.keys():
                return False
            self._write_crl(entries, at)
        return True

    def add_log_key(self, statement: str) -> None:
        """Keep a statement about a key of the evidence log (`certs.log_key`) for everyone who loads this folder.

        Idempotent: the hub may call it at every start. Raises `proof.invalid` for what is no statement.
        """
        container = log_key.read_statement(statement)
        name = hashlib.sha256(container.leaf + container.text.encode()).hexdigest()[:16]
        path = self.directory / "log" / f"{name}.json"
        if not path.exists():  # the same said again, with another signature, adds nothing
            durable.make_directory(path.parent)
            durable.write_file(path, statement.encode())

    def issued(self) -> Iterator[x509.Certificate]:
        """Every certificate that was issued, in no order."""
        for path in sorted((self.directory / "issued").glob("*.pem")):
            yield read_certificates(path)[0]

    def _issue(self, leaf: profiles.Leaf, key: keys.PublicKey, at: datetime, days: int) -> bytes:
        certificate = profiles.leaf_certificate(
            leaf, key, issuer=self._intermediate, issuer_key=self._private_key(), at=at, days=days
        )
        path = self.directory / "issued" / f"{_hex(certificate.serial_number)}.pem"
        durable.write_file(path, certificate.public_bytes(_PEM))  # on record before anyone holds it
        return certificate.public_bytes(_DER)

    def _private_key(self) -> keys.PrivateKey:
        if self._key is None:
            key = keys.read_key(self.directory / "intermediate.key")
            if key.public_key() != self._intermediate.public_key():
                raise ConfigError(f"intermediate.key trong {self.directory} không phải của intermediate.pem.")
            self._key = key
        return self._key

    def _revocations(self) -> dict[int, Revocation]:
        """Records and list together: losing one of the two forgives nobody."""
        current = self._current_crl()
        entries = dict(current.entries) if current else {}
        for path in (self.directory / "revoked").glob("*.json"):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=_Record).revocation()
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                raise ConfigError(f"Tệp thu hồi {path} bị hỏng; khôi phục từ bản sao lưu.") from error
            entries.setdefault(record.serial, record)
        return entries

    def _current_crl(self) -> revocation.RevocationList | None:
        try:
            return revocation.read(self.crl_path.read_bytes(), [self._intermediate])
        except (OSError, CrlError):
            return None

    def _write_crl(self, entries: dict[int, Revocation], at: datetime) -> bytes:
        current = self._current_crl()
        number = _crl_number(current.number if current else 0, at)
        pem = revocation.build(self._intermediate, self._private_key(), entries.values(), number=number, at=at)
        durable.write_file(self.crl_path, pem)
        return pem

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer of the list at a time, across processes (a running hub, a person at the command line)."""
        descriptor = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)  # lets go of the lock, also when the process dies


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """`revoked/SERIAL.json`; a serial has 160 bits, more than a JSON number carries."""

    serial: str
    at: datetime
    reason: str

    @staticmethod
    def of(entry: Revocation) -> _Record:
        return _Record(serial=_hex(entry.serial), at=entry.at, reason=entry.reason)

    def revocation(self) -> Revocation:
        return Revocation(serial=int(self.serial, 16), at=self.at, reason=self.reason)


def _hex(serial: int) -> str:
    return f"{serial:040X}"


def _crl_number(last: int, at: datetime) -> int:
    """Always above the last one; from the clock, so that a list rebuilt after damage is not taken for an old one."""
    return max(last + 1, int(at.timestamp() * 1000))


if os.name == "nt":  # pragma: no cover - Windows
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]  # exists on Windows only
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
