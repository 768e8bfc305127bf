"""Changes of the registry: agencies, one-time codes, certificates. Each is an event of the evidence log.

Law of this file: a work carries what is to change, and changes the agency as the works before it left it. So no change
takes another one back, however many wait for the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from hub.ledger.records import Agency, AgencyState, Placement, from_milliseconds
from hub.ledger.transaction import Transaction
from hub.ledger.writer import REGISTRY
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.receipts import Leaf, format_time


def _event(transaction: Transaction, agency: str, detail: str) -> None:
    moment = format_time(from_milliseconds(transaction.now))
    transaction.event(Leaf(type="registry", time=moment, agency=agency, detail=detail), message=None, agency=agency)


class AgencyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes different; what is not set stays. `aliases` are added to those that the agency has.

    `state` is what an operator decides: `active` means the agency may act again, which leaves one that never joined
    invited; a token that is given makes an invited agency active.
    """

    name: str | UnsetType = UNSET
    kind: Literal["state", "member"] | UnsetType = UNSET
    state: Literal["active", "suspended"] | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    seal_required: bool | UnsetType = UNSET
    token_hash: bytes | UnsetType | None = UNSET
    endpoint: str | UnsetType = UNSET
    endpoint_token: str | UnsetType = UNSET
    aliases: tuple[str, ...] = ()


class ChangeAgency(msgspec.Struct, frozen=True, kw_only=True):
    """Add or change the agency `code` (canonical); `what` says which of these, for the log (`suspended`, ...)."""

    code: str
    change: AgencyChange
    what: str
    creates: bool = False
    """Whether an agency that is not there yet is added; the event is `added` then."""
    agency: str = REGISTRY
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Agency:  # noqa: ARG002 -- none asked
        """The agency as it is now.

        Raises:
            ExchangeError: `recipient.unknown` for an agency that is not there and not to be added, `element.mismatch`
                for a code that another agency goes by.
        """
        known = transaction.find_agency(self.code)
        if known is None and not self.creates:
            raise ExchangeError(errors.RECIPIENT_UNKNOWN, element=self.code)
        self._check_codes(transaction)
        before = known or Agency(code=self.code, name=self.code, valid_from=transaction.now)
        after = _changed(before, self.change, joined=_has_joined(transaction, before, self.change))
        transaction.put_agency(after)
        if after.endpoint != before.endpoint:
            transaction.try_now(after.code)  # what the old address did not take need not wait for the new one
        _event(transaction, self.code, self.what if known else "added")
        return after

    def _check_codes(self, transaction: Transaction) -> None:
        for code in (self.code, *self.change.aliases):
            for form in (code, agency_codes.canonical(code)):
                if transaction.owners_of(form) - {self.code}:
                    raise ExchangeError(errors.ELEMENT_MISMATCH, element=code)


def _has_joined(transaction: Transaction, agency: Agency, change: AgencyChange) -> bool:
    token = agency.token_hash if change.token_hash is UNSET else change.token_hash
    return token is not None or transaction.has_certificate(agency.code)


def _changed(agency: Agency, change: AgencyChange, *, joined: bool) -> Agency:
    fields = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    state: AgencyState = agency.state
    if change.state == "suspended":
        state = "suspended"
    elif change.state == "active" or (state == "invited" and change.token_hash):
        state = "active" if joined else "invited"
    fields |= {"state": state, "aliases": tuple(sorted({*agency.aliases, *change.aliases}))}
    return msgspec.structs.replace(agency, **fields)


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
    """Use up a one-time code and register the certificate that was issued on it to the agency `code` (canonical)."""

    code_hash: bytes
    code: str
    fingerprint: bytes
    serial: str
    not_after: int
    agency: str = REGISTRY
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Agency:  # noqa: ARG002 -- none asked
        """Returns the agency, active.

        Raises:
            ExchangeError: `enrolment.code` when the code is unknown, used or expired, `caller.not-registered`,
                `caller.suspended`.
        """
        found = transaction.find_invitation(self.code_hash)
        if found is None or found[2] is not None or found[1] < transaction.now or found[0] != self.code:
            raise ExchangeError(errors.ENROLMENT_CODE)
        known = transaction.find_agency(self.code)
        if known is None:
            raise ExchangeError(errors.NOT_REGISTERED, agency=self.code)
        if known.state == "suspended":
            raise ExchangeError(errors.SUSPENDED, agency=self.code)
        transaction.use_invitation(self.code_hash)
        active = msgspec.structs.replace(known, state="active")
        transaction.put_agency(active)
        transaction.put_certificate(self.fingerprint, active.code, self.serial, self.not_after)
        _event(transaction, active.code, f"certificate {self.serial}")
        return active
