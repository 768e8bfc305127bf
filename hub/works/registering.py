"""Changes of the registry: agencies, one-time codes, certificates. Each is an event of the evidence log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.ledger.records import Agency, Placement, from_milliseconds
from hub.ledger.transaction import Transaction
from protocol import errors
from protocol.errors import ExchangeError
from protocol.receipts import Leaf, format_time

REGISTRY = "registry"
"""The fairness key of works that no agency asked for."""


def _event(transaction: Transaction, agency: str, detail: str) -> None:
    moment = format_time(from_milliseconds(transaction.now))
    transaction.event(Leaf(type="registry", time=moment, agency=agency, detail=detail), message=None, agency=agency)


class PutAgency(msgspec.Struct, frozen=True, kw_only=True):
    """Add or change an agency; `change` says what, for the log (`added`, `suspended`, `resumed`, `endpoint`…)."""

    record: Agency
    change: str
    agency: str = REGISTRY
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Agency:  # noqa: ARG002 -- none asked
        """Write it; returns the record."""
        transaction.put_agency(self.record)
        _event(transaction, self.record.code, self.change)
        return self.record


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time code (its hash) with which the agency can join until `expires_at` (milliseconds UTC)."""

    code_hash: bytes
    invited: str
    expires_at: int
    agency: str = REGISTRY
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:  # noqa: ARG002 -- none asked
        """Write it."""
        transaction.put_invitation(self.code_hash, self.invited, self.expires_at)
        _event(transaction, self.invited, "invited")


class Enrol(msgspec.Struct, frozen=True, kw_only=True):
    """Use up a one-time code and register the certificate that was issued on it."""

    code_hash: bytes
    record: Agency
    fingerprint: bytes
    serial: str
    not_after: int
    agency: str = REGISTRY
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Agency:  # noqa: ARG002 -- none asked
        """Returns the agency, active. Raises `enrolment.code` when the code is unknown, used or expired."""
        found = transaction.find_invitation(self.code_hash)
        if found is None or found[2] is not None or found[1] < transaction.now or found[0] != self.record.code:
            raise ExchangeError(errors.ENROLMENT_CODE)
        transaction.use_invitation(self.code_hash)
        active = msgspec.structs.replace(self.record, state="active")
        transaction.put_agency(active)
        transaction.put_certificate(self.fingerprint, active.code, self.serial, self.not_after)
        _event(transaction, active.code, f"certificate {self.serial}")
        return active
