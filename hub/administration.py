"""What an operator does to the registry and to stuck deliveries, whether the hub is running or not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec import UNSET

from certs import enrolment
from hub.ledger.ledger import Ledger
from hub.ledger.records import Agency, DeliveryRow, to_milliseconds
from hub.registry import Registry
from hub.works import AgencyChange, ChangeAgency, Invite, Release
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
        name: str = "",
        *,
        kind: str | None = None,
        aliases: tuple[str, ...] = (),
        domain: str | None = None,
        endpoint: str | None = None,
        endpoint_token: str | None = None,
        seal_required: bool | None = None,
    ) -> str:
        """Register an agency (or change what is given) and return a fresh one-time code for it.

        None leaves a setting as it is; an empty `endpoint` takes the address away. Aliases are added.

        Raises:
            ExchangeError: `element.range` for a code or alias that cannot be one, `element.mismatch` for an alias that
                already belongs to another agency.
        """
        canonical = agency_codes.canonical(code)
        self._check_codes(canonical, aliases)
        old = agency_codes.old_form(canonical)
        change = AgencyChange(
            name=name or UNSET,
            kind=UNSET if kind is None else "member" if kind == "member" else "state",
            domain=UNSET if domain is None else domain,
            seal_required=UNSET if seal_required is None else seal_required,
            endpoint=UNSET if endpoint is None else endpoint,
            endpoint_token=UNSET if endpoint_token is None else endpoint_token,
            aliases=(*aliases, old) if old else aliases,
        )
        await self._change(ChangeAgency(code=canonical, change=change, what="changed", creates=True))
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
        await self._change_known(code, AgencyChange(state="suspended"), "suspended")

    async def resume(self, code: str) -> None:
        """The agency may act again."""
        await self._change_known(code, AgencyChange(state="active"), "resumed")

    async def set_token(self, code: str, token: str) -> None:
        """Let an agency's own system speak package B with this token; only its hash is kept."""
        await self._change_known(code, AgencyChange(token_hash=token_hash(token)), "token changed")

    async def revoke_token(self, code: str) -> None:
        """The agency's token stops working at once."""
        await self._change_known(code, AgencyChange(token_hash=None), "token revoked")

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

    async def _change_known(self, code: str, change: AgencyChange, what: str) -> None:
        await self._change(ChangeAgency(code=self._known(code).code, change=change, what=what))

    async def _change(self, work: ChangeAgency) -> None:
        """Answers come in the order of the works, so the registry ends with the last of them."""
        self._registry.put(await self._ledger.do(work))
        self._wake(work.code)


def token_hash(token: str) -> bytes:
    """What is kept of a package B token. Tokens are random and long, so one hash is enough."""
    return hashlib.sha256(b"lienthong package B token v1\0" + token.encode()).digest()
