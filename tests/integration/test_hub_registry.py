"""Changes of the registry through a real hub: what is not named stays, and what is asked at once adds up (AC-1.1-1)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from certs import enrolment, tls
from hub.ledger.records import Agency
from protocol import errors
from protocol.errors import ExchangeError
from tests.support.running_hub import RunningHub

CODE = "H21.23"


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        yield running


def known(hub: RunningHub, code: str = CODE) -> Agency:
    """The agency as the registry has it, which is as the ledger has it."""
    agency = hub.hub.registry.find(code)
    assert agency is not None
    (stored,) = [one for one in hub.hub.ledger.agencies() if one.code == agency.code]
    assert {**_fields(stored), "aliases": sorted(stored.aliases)} == {
        **_fields(agency),
        "aliases": sorted(agency.aliases),
    }
    return agency


def _fields(agency: Agency) -> dict[str, object]:
    return {name: getattr(agency, name) for name in agency.__struct_fields__}


async def test_adding_an_agency_again_changes_what_is_named_only(hub: RunningHub) -> None:
    """`agency add` for a new invitation took `--seal-required` away and made a member a state agency."""
    administration = hub.hub.administration
    await administration.add(
        CODE,
        "Công ty B",
        kind="member",
        aliases=("B-CU",),
        domain="b.example",
        endpoint="http://127.0.0.1:9/",
        endpoint_token="/nowhere",
        seal_required=True,
    )
    await administration.set_token(CODE, "mã")
    before = known(hub)
    await administration.add(CODE)
    assert known(hub) == before
    assert (before.kind, before.seal_required, before.domain) == ("member", True, "b.example")
    await administration.add(CODE, "Sở B", kind="state", seal_required=False, endpoint="", aliases=("B-MOI",))
    after = known(hub)
    assert (after.name, after.kind, after.seal_required, after.endpoint) == ("Sở B", "state", False, "")
    assert {"B-CU", "B-MOI", "000.00.23.H21"} <= set(after.aliases)
    assert (after.domain, after.token_hash, after.state) == ("b.example", before.token_hash, "active")


async def test_changes_asked_at_once_add_up(hub: RunningHub) -> None:
    """A suspension was undone by the token that was set in the same moment; both had succeeded."""
    administration = hub.hub.administration
    async with await hub.agency(CODE):
        pass
    await asyncio.gather(
        administration.set_token(CODE, "một"),
        administration.suspend(CODE),
        administration.set_token(CODE, "hai"),
        administration.add(CODE, domain="b.example"),
        administration.add(CODE, seal_required=True),
    )
    agency = known(hub)
    assert (agency.state, agency.domain, agency.seal_required) == ("suspended", "b.example", True)
    assert agency.token_hash is not None


async def test_suspension_and_resumption_leave_who_never_joined_invited(hub: RunningHub) -> None:
    administration = hub.hub.administration
    await administration.add(CODE, "Sở B")
    await administration.suspend(CODE)
    await administration.resume(CODE)
    assert known(hub).state == "invited"
    await administration.suspend(CODE)
    await administration.set_token(CODE, "mã")
    assert known(hub).state == "suspended"
    await administration.resume(CODE)
    assert known(hub).state == "active"


async def test_two_agencies_never_get_the_same_alias_however_quickly_it_is_asked(hub: RunningHub) -> None:
    add = hub.hub.administration.add
    results = await asyncio.gather(
        add("H21.31", "Sở C", aliases=("CHUNG",)), add("H21.32", "Sở D", aliases=("CHUNG",)), return_exceptions=True
    )
    refusals = [one for one in results if isinstance(one, ExchangeError)]
    assert [one.kind for one in refusals] == [errors.ELEMENT_MISMATCH]
    assert hub.hub.registry.find("CHUNG") == hub.hub.registry.find("H21.31")
    assert hub.hub.registry.find("H21.32") is None


async def join(hub: RunningHub, invitation: str, *, pieces: int = 1) -> tuple[int, dict[str, object]]:
    """What the hub answers to a join whose body comes in this many pieces."""
    _, request = enrolment.make_request("agency")
    body = json.dumps({"code": invitation, "csr": base64.b64encode(request).decode()}).encode()
    size = -(-len(body) // pieces)

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]
            await asyncio.sleep(0.05)

    connector = aiohttp.TCPConnector(ssl=tls.first_contact_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"{hub.url}/enrol/join", data=slowly()) as response,
    ):
        return response.status, await response.json()


async def test_join_request_that_comes_in_pieces_is_read_to_its_end(hub: RunningHub) -> None:
    status, answer = await join(hub, await hub.hub.administration.add(CODE, "Sở B"), pieces=3)
    assert (status, known(hub).state) == (200, "active"), answer


async def test_join_request_without_end_is_refused(hub: RunningHub) -> None:
    invitation = await hub.hub.administration.add(CODE, "Sở B")
    status, answer = await join(hub, invitation + " " * (64 << 10))
    assert (status, answer["code"]) == (400, "enrolment.request")
    assert known(hub).state == "invited"


async def test_suspension_in_front_of_a_join_is_not_taken_back(hub: RunningHub) -> None:
    """The certificate was registered on the agency as it had been when the request came: active again."""
    invitation = await hub.hub.administration.add(CODE, "Sở B")
    real = hub.hub.ledger.do

    async def suspended_first(work: object) -> object:
        hub.hub.ledger.do = real  # type: ignore[method-assign]
        await hub.hub.administration.suspend(CODE)
        return await real(work)  # type: ignore[arg-type]

    hub.hub.ledger.do = suspended_first  # type: ignore[method-assign,assignment]
    status, answer = await join(hub, invitation)
    assert (status, answer["code"]) == (403, "caller.suspended")
    assert known(hub).state == "suspended"
    await hub.hub.administration.resume(CODE)
    assert (await join(hub, invitation))[0] == 200
