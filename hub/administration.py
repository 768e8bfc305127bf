"""What an operator does to the registry and to stuck deliveries, whether the hub is running or not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from certs import enrolment
from hub.ledger.ledger import Ledger
from hub.ledger.records import Agency, DeliveryRow, to_milliseconds
from hub.registry import Registry
from hub.works import Invite, PutAgency, Release
from protocol import agency_codes, errors
from protocol.errors import ExchangeError

LISTED = 500


class AgencyLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `agency list`."""

    code: str
    name: str
    state: str
    kind: str
    waiting: int
    oldest: int | None
    """Acceptance time of the oldest waiting message, milliseconds UTC."""
    endpoint: str


class Administration:
    """Operations of `lienthong-hub`."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        root: bytes,
        now: Callable[[], datetime],
        invitation_days: int,
        wake: Callable[[str], None] = lambda _agency: None,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._root = root
        self._now = now
        self._days = invitation_days
        self._wake = wake

    async def add(
        self,
        code: str,
        name: str,
        *,
        kind: str = "state",
        aliases: tuple[str, ...] = (),
        domain: str = "",
        endpoint: str = "",
        endpoint_token: str = "",
        seal_required: bool = False,
    ) -> str:
        """Register an agency (or change what is given) and return a fresh one-time code for it.

        Raises:
            ExchangeError: `element.range` for a code or alias that cannot be one, `element.mismatch` for an alias that
                already belongs to another agency.
        """
        canonical = agency_codes.canonical(code)
        self._check_codes(canonical, aliases)
        known = self._registry.find(canonical)
        old = agency_codes.old_form(canonical)
        every = {*aliases, *((old,) if old else ()), *(known.aliases if known else ())}
        record = Agency(
            code=canonical,
            name=name or (known.name if known else canonical),
            kind="member" if kind == "member" else "state",
            state=known.state if known else "invited",
            domain=domain or (known.domain if known else ""),
            seal_required=seal_required,
            token_hash=known.token_hash if known else None,
            endpoint=endpoint or (known.endpoint if known else ""),
            endpoint_token=endpoint_token or (known.endpoint_token if known else ""),
            valid_from=known.valid_from if known else to_milliseconds(self._now()),
            aliases=tuple(sorted(every)),
        )
        await self._put(record, "changed" if known else "added")
        return await self.invite(canonical)

    async def invite(self, code: str) -> str:
        """A fresh one-time code for a registered agency."""
        agency = self._known(code)
        text, code_hash = enrolment.make_code(self._root)
        expires = to_milliseconds(self._now() + timedelta(days=self._days))
        await self._ledger.do(Invite(code_hash=bytes.fromhex(code_hash), invited=agency.code, expires_at=expires))
        return text

    async def suspend(self, code: str) -> None:
        """The agency can do nothing from its next request on; what waits for it stays."""
        await self._put(msgspec.structs.replace(self._known(code), state="suspended"), "suspended")

    async def resume(self, code: str) -> None:
        """The agency may act again."""
        agency = self._known(code)
        joined = agency.code in set(self._ledger.certificates().values()) or agency.token_hash is not None
        await self._put(msgspec.structs.replace(agency, state="active" if joined else "invited"), "resumed")

    async def set_token(self, code: str, token: str) -> None:
        """Let an agency's own system speak package B with this token; only its hash is kept."""
        agency = self._known(code)
        state = "active" if agency.state == "invited" else agency.state
        hashed = token_hash(token)
        await self._put(msgspec.structs.replace(agency, token_hash=hashed, state=state), "token changed")

    async def revoke_token(self, code: str) -> None:
        """The agency's token stops working at once."""
        await self._put(msgspec.structs.replace(self._known(code), token_hash=None), "token revoked")

    def lines(self) -> list[AgencyLine]:
        """Every agency with its queue."""
        queues = {recipient: (count, oldest) for recipient, count, oldest in self._ledger.queues()}
        return [
            AgencyLine(
                code=agency.code,
                name=agency.name,
                state=agency.state,
                kind=agency.kind,
                waiting=queues.get(agency.code, (0, 0))[0],
                oldest=queues[agency.code][1] if agency.code in queues else None,
                endpoint=agency.endpoint,
            )
            for agency in self._registry.all()
        ]

    def dead(self) -> list[DeliveryRow]:
        """Deliveries that need a person."""
        return self._ledger.dead(LISTED)

    async def release(self, message: int, code: str) -> None:
        """Try a dead delivery again. Raises `document.not-found`."""
        agency = self._known(code)
        await self._ledger.do(Release(agency=agency.code, message=message))
        self._wake(agency.code)

    def _known(self, code: str) -> Agency:
        agency = self._registry.find(code)
        if agency is None:
            raise ExchangeError(errors.RECIPIENT_UNKNOWN, element=code)
        return agency

    def _check_codes(self, canonical: str, aliases: tuple[str, ...]) -> None:
        for code in (canonical, *aliases):
            if not agency_codes.is_plausible(code) or "/" in code or "\\" in code:
                raise ExchangeError(errors.ELEMENT_RANGE, element=code)
            owner = self._registry.find(code)
            if owner is not None and owner.code != canonical:
                raise ExchangeError(errors.ELEMENT_MISMATCH, element=code)

    async def _put(self, record: Agency, change: str) -> None:
        self._registry.put(await self._ledger.do(PutAgency(record=record, change=change)))
        self._wake(record.code)


def token_hash(token: str) -> bytes:
    """What is kept of a package B token. Tokens are random and long, so one hash is enough."""
    return hashlib.sha256(b"lienthong package B token v1\0" + token.encode()).digest()
