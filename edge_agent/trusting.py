"""What this agent believes: certificates, revocation, the key of the hub's log; refreshed from the hub every minute."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from certs import log_key
from certs.trust import Trust, TrustBundle
from edge_agent.clock import Clock
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.receipts import Leaf, Receipt, verify
from protocol.seal import OpenedSeal
from runtime import durable

BUNDLE_NAME: Final = "trust.json"


class Beliefs:
    """The trust bundle on disk and what follows from it. Raises `ConfigError` when there is no usable bundle."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._file = folder / BUNDLE_NAME
        self._clock = clock
        self._trust = Trust.load(self._file)
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
        """Take over what the hub publishes, durably; True when something changed. Raises `ConfigError`."""
        before = self._trust.bundle, self._trust.next_update()
        self._trust.update(TrustBundle.from_json(published))
        if (self._trust.bundle, self._trust.next_update()) == before:
            return False
        durable.write_file(self._file, published)
        return True

    def vkeys(self) -> tuple[str, ...]:
        """Keys of the hub's log that a hub certificate vouches for (C2SP verifier key lines)."""
        for statement in self._trust.bundle.log_keys:
            if statement not in self._vkeys:
                self._vkeys[statement] = log_key.verify_statement(statement, self._trust, self._clock())
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


def check_acceptance(leaf: Leaf, *, digest: str, sender: str) -> None:
    """The receipt is about this very message. Raises `proof.invalid`."""
    if leaf.type not in {"accepted", "status", "recall"}:
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.type")
    if leaf.digest != digest:
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.digest")
    if not agency_codes.same(leaf.sender, sender):
        raise ExchangeError(errors.PROOF_INVALID, element="leaf.sender")
