"""What this agent believes: certificates, revocation, the key of the hub's log; refreshed from the hub every minute."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization

from certs import log_key
from certs.signers import read_certificates
from certs.trust import Trust, TrustBundle
from edge_agent.clock import Clock
from edge_agent.places import Places
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.receipts import Leaf, Receipt, verify
from protocol.seal import OpenedSeal
from runtime import durable
from runtime.config import ConfigError


class Beliefs:
    """The trust bundle on disk and what follows from it. Raises `ConfigError` when there is no usable bundle.

    The one root is the one that the joining code named; it stands in the identity, not in the bundle, so neither what
    the hub publishes nor what lies in the bundle's file adds another.
    """

    def __init__(self, places: Places, clock: Clock) -> None:
        self._file = places.trust_bundle
        self._clock = clock
        self._written = TrustBundle.load(self._file)
        self._trust = Trust(narrowed(self._written, pinned_root(places.identity)), self._file)
        self._vkeys: dict[str, str] = {}

    @property
    def bundle(self) -> TrustBundle:
        """What is in force."""
        return self._trust.bundle

    @property
    def problem(self) -> str:
        """Why the newest revocation data was not taken; "" when all is well."""
        return self._trust.problem

    def revocation_until(self) -> datetime | None:
        """When the revocation list in force runs out."""
        return self._trust.next_update()

    def refresh(self, published: bytes) -> bool:
        """Take over what the hub publishes, durably; True when something changed. Raises `ConfigError`.

        What is in force goes to the disk, not what was published: a restart must not bring in what was refused, nor
        forget a key of the log or a revocation that the hub no longer shows.
        """
        self._trust.update(TrustBundle.from_json(published))
        if self._trust.bundle == self._written:
            return False
        durable.write_file(self._file, self._trust.bundle.to_json())
        self._written = self._trust.bundle
        return True

    def vkeys(self) -> tuple[str, ...]:
        """Keys of the hub's log that a hub certificate vouches for (C2SP verifier key lines).

        A statement that nobody vouches for gives no key and takes none away. Raises `server.trust-stale`.
        """
        for statement in self._trust.bundle.log_keys:
            if statement not in self._vkeys:
                try:
                    self._vkeys[statement] = log_key.verify_statement(statement, self._trust, self._clock())
                except ExchangeError as error:
                    if error.kind.temporary:
                        raise
        return tuple(dict.fromkeys(self._vkeys.values()))

    def check_receipt(self, text: str) -> Leaf:
        """The event that a receipt proves. Raises `proof.invalid`."""
        return verify(Receipt.from_text(text), self.vkeys())

    def check_sealer(self, opened: OpenedSeal, sender: str, at: datetime) -> None:
        """The seal is the sender's own, or the hub's for a sender that cannot seal; judged at `at` (AC-5-4).

        Raises the `seal.certificate-*` errors and `seal.other-agency`.
        """
        path = self._trust.check_certificate(opened.certificate, at, purpose="seal", historical=True)
        if not path.hub and not agency_codes.same(path.agency, sender):
            raise ExchangeError(errors.SEAL_OTHER_AGENCY, certificate=path.fingerprint)


def pinned_root(identity: Path) -> bytes:
    """DER of the root that was pinned at join, the last certificate of the identity. Raises `ConfigError`."""
    root = read_certificates(identity)[-1]
    if root.issuer != root.subject:
        raise ConfigError(f"{identity} thiếu chứng thư gốc đã ghim. Xin mã tham gia mới rồi chạy join … --anew.")
    return root.public_bytes(serialization.Encoding.DER)


def narrowed(bundle: TrustBundle, root: bytes) -> TrustBundle:
    """The bundle with this root alone. Raises `ConfigError` when it is a bundle of other roots."""
    if root not in bundle.roots:
        raise ConfigError(
            "Dữ liệu tin cậy không phải của trục mà cơ quan đã tham gia (khác chứng thư gốc đã ghim)."
            " Khôi phục trust/trust.json, hoặc xin mã tham gia mới rồi chạy join … --anew."
        )
    return msgspec.structs.replace(bundle, roots=(root,))


def trusted(places: Places) -> TrustBundle:
    """What this agent believes, for whoever verifies what it holds. Raises `ConfigError`."""
    return narrowed(TrustBundle.load(places.trust_bundle), pinned_root(places.identity))


def check_acceptance(leaf: Leaf, *, digest: str, sender: str) -> None:
    """The receipt is about this very message. Raises `proof.invalid`."""
    if leaf.type not in {"accepted", "status", "recall"}:
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.type")
    if leaf.digest != digest:
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.digest")
    if not agency_codes.same(leaf.sender, sender):
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.sender")
