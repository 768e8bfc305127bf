"""The agencies as every request needs them: in memory, by code, old code, alias and certificate.

Whoever changes an agency writes it to the ledger first and then here, so a suspension is in force for the very next
request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.ledger.records import Agency
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.model import Organization


class Registry:
    """Who takes part (AC-1.1-1). `province` is the province's own code, the first group of its agencies' codes."""

    def __init__(self, agencies: Iterable[Agency], certificates: Mapping[bytes, str], province: str) -> None:
        self._agencies: dict[str, Agency] = {}
        self._aliases: dict[str, str] = {}
        self._certificates = dict(certificates)
        self.province = agency_codes.canonical(province)
        for agency in agencies:
            self.put(agency)

    def put(self, agency: Agency) -> None:
        """Add or replace an agency."""
        self._agencies[agency.code] = agency
        for alias in agency.aliases:
            self._aliases[agency_codes.canonical(alias)] = agency.code

    def add_certificate(self, fingerprint: bytes, agency: str) -> None:
        """This certificate speaks for the agency."""
        self._certificates[fingerprint] = agency

    def all(self) -> list[Agency]:
        """Every agency, by code."""
        return sorted(self._agencies.values(), key=lambda agency: agency.code)

    def find(self, code: str) -> Agency | None:
        """The agency that goes by this code, in any of its forms."""
        agency = self._agencies.get(code)
        if agency is not None:
            return agency
        canonical = agency_codes.canonical(code)
        return self._agencies.get(canonical) or self._agencies.get(self._aliases.get(canonical, ""))

    def of_certificate(self, fingerprint: bytes) -> str | None:
        """Canonical code of the agency that owns this certificate."""
        return self._certificates.get(fingerprint)

    def speaker(self, code: str, now: int) -> Agency:
        """The agency as one that may act now.

        Raises:
            ExchangeError: `caller.not-registered`, `caller.suspended`.
        """
        agency = self.find(code)
        if agency is None or not _in_time(agency, now):
            raise ExchangeError(errors.NOT_REGISTERED, agency=code)
        if agency.state == "suspended":
            raise ExchangeError(errors.SUSPENDED, agency=code)
        return agency

    def recipient(self, code: str, now: int, element: str) -> Agency:
        """The agency as one that can be written to (AC-1.1-2); one that has not joined yet finds it on arrival.

        Raises:
            ExchangeError: `recipient.unknown`, `recipient.suspended`, `recipient.foreign`; names `element`.
        """
        agency = self.find(code)
        if agency is None or not _in_time(agency, now):
            home = agency_codes.canonical(code).split(".", 1)[0] == self.province
            raise ExchangeError(errors.RECIPIENT_UNKNOWN if home else errors.RECIPIENT_FOREIGN, element=element)
        if agency.state == "suspended":
            raise ExchangeError(errors.RECIPIENT_SUSPENDED, element=element)
        return agency

    def organizations(self) -> list[Organization]:
        """The directory that agencies see."""
        return [
            Organization(organ_id=agency.code, organ_name=agency.name, website=agency.domain)
            for agency in self.all()
            if agency.state != "suspended" and agency.valid_to is None
        ]


def _in_time(agency: Agency, now: int) -> bool:
    return agency.valid_from <= now and (agency.valid_to is None or now < agency.valid_to)
