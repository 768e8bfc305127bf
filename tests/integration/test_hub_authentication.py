"""Who may do what: without a certificate, with another CA's or agency's, revoked, suspended; codes to join; replays."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from cryptography import x509
from yarl import URL

from certs import enrolment, keys, tls
from certs.authority import Authority
from protocol import errors, native, soap
from protocol.errors import ErrorKind, ExchangeError
from protocol.soap import SoapVersion
from tests.support.agency import AgencyClient, Attached, multipart
from tests.support.refusals import CONTENT, Stage, events, half_stored, held, stage
from tests.support.running_hub import RunningHub

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = Attached("f1", f"%PDF-1.7 {CONTENT}".encode())
BIG = Attached("f2", hashlib.shake_256(b"big").digest(1 << 20))
DIGEST = hashlib.sha256(BIG.data).hexdigest()


class Clock:
    """The hub's clock: the machine's, moved by `by`."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


CLOCK = Clock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("hub"), now=CLOCK) as ready:
        yield ready


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(at: Stage, request: pytest.FixtureRequest) -> AsyncIterator[AgencyClient]:
    """A third agency, fresh for the test, with nothing to do with the mail of the two."""
    code = f"H21.{500 + STRANGERS.setdefault(request.node.name, len(STRANGERS))}"
    async with await at.hub.agency(code) as agency:
        yield agency


STRANGERS: dict[str, int] = {}


def naked(at: Stage, context: ssl.SSLContext) -> AgencyClient:
    """The sender's client on another TLS context."""
    client = AgencyClient(at.hub.url, "H21.16", at.hub.folder / "agencies/H21.16", at.sender.trust)
    client.context = context
    return client


async def upload(client: AgencyClient, data: bytes = BIG.data, start: int = 0) -> None:
    headers = {"Upload-Offset": str(start), "Upload-Length": str(len(BIG.data))}
    url = f"{client.url}/lienthong/v1/payloads/{DIGEST}"
    async with client.session.patch(url, data=io.BytesIO(data), headers=headers) as response:
        _raise(response)


async def offset(client: AgencyClient) -> int:
    async with client.session.head(f"{client.url}/lienthong/v1/payloads/{DIGEST}") as response:
        _raise(response)
        return int(response.headers["Upload-Offset"])


def _raise(response: aiohttp.ClientResponse) -> None:
    if "Lienthong-Error" in response.headers:
        raise ExchangeError(errors.kind_of(response.headers["Lienthong-Error"]))


OPERATIONS: dict[str, Callable[[AgencyClient], Awaitable[object]]] = {
    "SendDocument": lambda it: it.send(it.sealed(it.document(["H21.23"], "1"))),
    "ReportStatus": lambda it: it.report(it.sealed(it.status(3, "H21.16,2026/11/20,1/VD-VP", "H21.16"))),
    "GetPending": lambda it: it.pending(),
    "GetDocument": lambda it: it.fetch(1),
    "ConfirmReceived": lambda it: it.confirm(1),
    "GetTraces": lambda it: it.call(native.write_get_traces()),
    "GetOrganizations": lambda it: it.call(native.write_get_organizations()),
    "GetCheckpoint": lambda it: it.call(native.write_get_checkpoint()),
    "GetConsistency": lambda it: it.call(native.write_get_consistency(1, 2)),
    "upload": upload,
    "upload offset": offset,
}


async def all_refused(at: Stage, client: AgencyClient, kind: ErrorKind, claimed: str) -> None:
    """Every operation, with an audit line and nothing stored; not even evidence, so nobody can fill it unproved.

    The line names nobody as proved, and says whom the certificate names and where it came from.
    """
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    for name, operation in OPERATIONS.items():
        at.lines.clear()
        with pytest.raises(ExchangeError) as caught:
            await operation(client)
        assert caught.value.kind is kind, name
        (line,) = [line for line in at.lines if line["event"] == "refused"]
        said = (line["code"], line["agency"], line["claimed"], line["remote"])
        assert said == (kind.code, "", claimed, "127.0.0.1"), name
    assert (held(at.hub), at.hub.hub.ledger.log.size) == (before, leaves)


# who has no certificate of ours


async def test_without_a_certificate_nothing_is_possible(at: Stage):
    async with naked(at, tls.client_context(at.sender.trust.roots)) as client:
        await all_refused(at, client, errors.UNAUTHENTICATED, "")


async def test_certificate_of_another_ca_does_not_get_through_the_handshake(at: Stage, tmp_path: Path):
    """The same names below another root, and a certificate that signed itself."""
    other = Authority.init(tmp_path / "ca", province="Gia Lai", at=datetime.now(UTC))
    key, request = enrolment.make_request("H21.16")
    keys.write_key(tmp_path / "key", key)
    issued = other.issue_agency(request, "H21.16", at=datetime.now(UTC))
    (tmp_path / "pem").write_bytes(other.chain_pem(issued))
    before = held(at.hub)
    context = tls.client_context(at.sender.trust.roots, tmp_path / "pem", tmp_path / "key")
    async with naked(at, context) as client:
        for operation in OPERATIONS.values():
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await operation(client)
    assert held(at.hub) == before


async def test_certificate_that_the_registry_never_saw_is_nobody(at: Stage, tmp_path: Path):
    """Issued by the province's own CA, in the name of an agency, but not by joining."""
    authority = Authority(at.hub.hub.configuration.authority)
    key, request = enrolment.make_request("H21.16")
    keys.write_key(tmp_path / "key", key)
    (tmp_path / "pem").write_bytes(authority.chain_pem(authority.issue_agency(request, "H21.16", at=datetime.now(UTC))))
    async with naked(at, tls.client_context(at.sender.trust.roots, tmp_path / "pem", tmp_path / "key")) as client:
        await all_refused(at, client, errors.NOT_REGISTERED, "H21.16")


async def test_tls_1_2_is_refused(at: Stage):
    context = tls.client_context(
        at.sender.trust.roots,
        at.hub.folder / "agencies/H21.16/agency.pem",
        at.hub.folder / "agencies/H21.16/agency.key",
        minimum=ssl.TLSVersion.TLSv1_2,
    )
    async with naked(at, context) as client:
        await client.pending()  # as good as any client while it may speak 1.3
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with naked(at, context) as client:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await client.pending()


async def test_plain_http_gets_no_answer(at: Stage):
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(at.hub.url).port)
    writer.write(b"POST /lienthong/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()


# A as B


async def test_ac_8_2c_5_send_in_the_name_of_another(at: Stage, stranger: AgencyClient):
    """With the other's code and its own seal, and with the other's own true seal."""
    document = at.sender.document(["H21.23"], "51", [FILE], subject=f"V/v {CONTENT}")
    before = held(at.hub)
    for envelope, kind in (
        (stranger.sealed(document), errors.NOT_THE_SENDER),
        (at.sender.sealed(document), errors.SEAL_OTHER_AGENCY),
    ):
        leaves = at.hub.hub.ledger.log.size
        with pytest.raises(ExchangeError) as caught:
            await stranger.send(envelope, [FILE])
        assert caught.value.kind is kind
        assert [(leaf.type, leaf.agency) for leaf in events(at.hub, leaves)] == [("refused", stranger.code)]
    assert held(at.hub) == before


async def test_ac_8_2c_5_report_in_the_name_of_another(at: Stage, stranger: AgencyClient):
    accepted = await at.sender.send(at.sealed(at.unsealed()))
    status = at.recipient.status(3, accepted.document_id, "H21.16")
    own = stranger.status(3, accepted.document_id, "H21.16")
    recall = at.sender.status(13, accepted.document_id, "H21.16")
    before = held(at.hub)
    for envelope, kind in (
        (stranger.sealed(status), errors.NOT_THE_SENDER),
        (at.recipient.sealed(status), errors.SEAL_OTHER_AGENCY),
        (stranger.sealed(own), errors.DOCUMENT_NOT_FOUND),
        (stranger.sealed(recall), errors.NOT_THE_SENDER),
        (at.sender.sealed(recall), errors.SEAL_OTHER_AGENCY),
    ):
        with pytest.raises(ExchangeError) as caught:
            await stranger.report(envelope)
        assert caught.value.kind is kind
    assert held(at.hub) == before
    assert accepted.number in {one.number for one in await at.recipient.pending(limit=1000)}


async def test_ac_8_2c_5_mail_of_another_is_not_listed_read_confirmed_or_guessed(at: Stage, stranger: AgencyClient):
    """Numbers run on, so they are guessed at once; a number of another is answered as one that does not exist."""
    accepted = await at.sender.send(at.sealed(at.unsealed([FILE])), [FILE])
    await at.recipient.confirm(accepted.number)
    waiting = await at.sender.send(at.sealed(at.unsealed([FILE])), [FILE])
    assert await stranger.pending() == ()
    answers = set()
    for number in (accepted.number, accepted.number + 1, waiting.number, 10**9):
        with pytest.raises(ExchangeError) as caught:
            await stranger.fetch(number)
        answers.add((caught.value.kind.code, caught.value.element.replace(str(number), "?"), caught.value.sentence))
        assert [one.outcome for one in await stranger.confirm(number)] == ["unknown"]
    assert len(answers) == 1
    assert waiting.number in {one.number for one in await at.recipient.pending(limit=1000)}
    traces = native.read_traces(await stranger.call(native.write_get_traces()))
    assert list(traces) == []
    with pytest.raises(ExchangeError) as caught:
        await stranger.call(native.write_get_traces(accepted.document_id))
    assert caught.value.kind is errors.DOCUMENT_NOT_FOUND


async def test_sender_does_not_read_the_recipients_mailbox(at: Stage):
    """Both know the document; the mailbox is the recipient's alone, and the notice the sender's."""
    accepted = await at.sender.send(at.sealed(at.unsealed([FILE])), [FILE])
    with pytest.raises(ExchangeError) as caught:
        await at.sender.fetch(accepted.number)
    assert caught.value.kind is errors.DOCUMENT_NOT_FOUND
    assert (await at.sender.confirm(accepted.number))[0].outcome == "unknown"
    await at.recipient.confirm(accepted.number)
    notice = (await at.sender.pending(limit=1000))[-1]
    assert (await at.recipient.confirm(notice.number))[0].outcome == "unknown"
    assert notice.number in {one.number for one in await at.sender.pending(limit=1000)}


async def test_ac_8_2c_5_upload_of_another_is_neither_seen_nor_used(at: Stage, stranger: AgencyClient):
    """Knowing the digest of a file is not having it: not while it waits, and not when it is stored."""
    await upload(at.sender)
    assert await offset(at.sender) == len(BIG.data)
    assert await offset(stranger) == 0
    document = stranger.document([stranger.code, "H21.23"], "1", [BIG])
    for _ in range(2):
        with pytest.raises(ExchangeError) as caught:
            await stranger.send(stranger.sealed(document))
        assert caught.value.kind is errors.ATTACHMENT_MISSING
        await at.sender.send(at.sealed(at.unsealed([BIG])))
    assert half_stored(at.hub) == []


async def test_ac_8_2c_5_directory_and_checkpoint_say_nothing_of_anybodys_mail(at: Stage, stranger: AgencyClient):
    await at.sender.send(at.sealed(at.unsealed([FILE])), [FILE])
    organizations = native.read_organizations(await stranger.call(native.write_get_organizations()))
    assert {"H21.16", "H21.23", stranger.code} <= {one.organ_id for one in organizations}
    checkpoint = native.read_checkpoint(await stranger.call(native.write_get_checkpoint()))
    assert CONTENT not in checkpoint
    assert "H21" not in checkpoint


# revoked, suspended


def serial(agency: AgencyClient) -> int:
    return x509.load_der_x509_certificate(agency.signer.certificate).serial_number


async def test_ac_8_2c_4_revoked_certificate_is_refused_at_once_on_an_open_connection(
    at: Stage, stranger: AgencyClient
):
    """The connection was opened, and used, before: it is each request that is judged."""
    url = URL(stranger.url)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", url.port, ssl=stranger.context, server_hostname="localhost"
    )
    assert soap.read_fault(await asked(reader, writer)) is None
    accepted = await at.sender.send(at.sealed(at.unsealed(to=(stranger.code,))))
    Authority(at.hub.hub.configuration.authority).revoke(serial(stranger), at=datetime.now(UTC))
    fault = soap.read_fault(await asked(reader, writer))
    assert fault is not None
    assert fault.kind is errors.CERTIFICATE_REVOKED
    writer.close()
    await all_refused(at, stranger, errors.CERTIFICATE_REVOKED, stranger.code)
    assert at.hub.hub.ledger.find_delivery(accepted.number, stranger.code).state == "waiting"


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> soap.SoapRequest:
    """GetPending on a connection by hand, and its answer."""
    body = soap.write_envelope(SoapVersion.V12, native.write_get_pending(1))
    head = "POST /lienthong/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/soap+xml\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(answer.partition("content-length:")[2].split()[0])
    return soap.read_envelope(await reader.readexactly(length))


async def test_agency_with_a_revoked_certificate_joins_again_and_finds_its_mail(at: Stage, stranger: AgencyClient):
    """A lost machine: the old certificate is dead, the new one finds what waited."""
    accepted = await at.sender.send(at.sealed(at.unsealed([FILE], to=(stranger.code,))), [FILE])
    Authority(at.hub.hub.configuration.authority).revoke(serial(stranger), at=datetime.now(UTC))
    invitation = await at.hub.hub.administration.invite(stranger.code)
    folder = at.hub.folder / "agencies" / f"{stranger.code}-again"
    async with await AgencyClient.join(at.hub.url, invitation, folder) as again:
        assert (await again.fetch(accepted.number)).parts == {"f1": FILE.data}
        with pytest.raises(ExchangeError) as caught:
            await again.send(stranger.sealed(stranger.document(["H21.23"], "9")))
        assert caught.value.kind is errors.SEAL_REVOKED


async def test_suspended_agency_is_refused_at_once_and_finds_its_mail_when_it_returns(
    at: Stage, stranger: AgencyClient
):
    await stranger.pending()
    accepted = await at.sender.send(at.sealed(at.unsealed(to=(stranger.code,))))
    await at.hub.hub.administration.suspend(stranger.code)
    await all_refused(at, stranger, errors.SUSPENDED, stranger.code)
    await at.hub.hub.administration.resume(stranger.code)
    assert [one.number for one in await stranger.pending()] == [accepted.number]


async def test_long_poll_of_an_agency_that_is_suspended_meanwhile_brings_nothing(at: Stage, stranger: AgencyClient):
    """The wait ends with what is there for one who may have it: nothing comes after the suspension."""
    waiting = asyncio.create_task(stranger.pending(wait=5))
    while not at.hub.hub.dispatch._waiting.get(stranger.code):
        await asyncio.sleep(0.005)
    await at.hub.hub.administration.suspend(stranger.code)
    with pytest.raises(ExchangeError) as caught:
        await at.sender.send(at.sealed(at.unsealed(to=(stranger.code,))))
    assert caught.value.kind is errors.RECIPIENT_SUSPENDED
    assert await waiting == ()


# one-time codes


async def join(hub: RunningHub, code: str, request: bytes | None = None) -> str:
    """The error code of an attempt to join, "" when it succeeded."""
    csr = request if request is not None else enrolment.make_request("x")[1]
    body = msgspec.json.encode({"code": code, "csr": base64.b64encode(csr).decode()})
    return await post_join(hub, body)


async def post_join(hub: RunningHub, body: bytes) -> str:
    context = tls.client_context(hub.hub.trust.bundle.roots)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(f"{hub.url}/enrol/join", data=body) as response,
    ):
        answer: dict[str, Any] = await response.json()
        assert (response.status == 200) == ("code" not in answer)
        return str(answer.get("code", ""))


@pytest.fixture
async def code(at: Stage, request: pytest.FixtureRequest) -> str:
    agency = f"H21.{700 + STRANGERS.setdefault(request.node.name, len(STRANGERS))}"
    return await at.hub.hub.administration.add(agency, "Cơ quan")


async def test_one_time_code_works_once(at: Stage, code: str):
    assert await join(at.hub, code) == ""
    before = held(at.hub)
    for _ in range(3):
        assert await join(at.hub, code) == "enrolment.code"
    assert held(at.hub) == before


async def test_two_who_use_the_same_code_at_once_do_not_both_get_in(at: Stage, code: str):
    answers = await asyncio.gather(*(join(at.hub, code) for _ in range(5)))
    assert sorted(answers) == ["", *["enrolment.code"] * 4]


async def test_expired_code(at: Stage, code: str):
    CLOCK.by = timedelta(days=8)
    assert await join(at.hub, code) == "enrolment.code"
    CLOCK.by = timedelta()
    assert await join(at.hub, code) == ""


async def test_code_of_nobody(at: Stage):
    made, _ = enrolment.make_code(at.hub.hub.authority.root)
    assert await join(at.hub, made) == "enrolment.code"


async def test_code_as_people_type_it(at: Stage, code: str):
    """A wrong letter, a missing one, two swapped: refused. Lower case, blanks, O for 0: understood."""
    before = held(at.hub)
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    swapped = next(code[:n] + code[n + 1] + code[n] + code[n + 2 :] for n in range(4) if code[n] != code[n + 1])
    for text in (wrong, swapped, code[:-1], code + "A", "", "x" * 10_000):
        assert await join(at.hub, text) == "enrolment.code"
    assert held(at.hub) == before
    assert await join(at.hub, code.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == ""


async def test_code_of_a_suspended_agency(at: Stage, code: str):
    agency = next(one.code for one in at.hub.hub.administration.lines() if one.state == "invited")
    invitation = await at.hub.hub.administration.invite(agency)
    await at.hub.hub.administration.suspend(agency)
    assert await join(at.hub, invitation) == "caller.suspended"
    assert code


@pytest.mark.parametrize(
    "body",
    [b"", b"not JSON", b"[]", b'{"code": 1, "csr": "x"}', b'{"code": "x", "csr": "*"}', b"\0" * 100_000],
    ids=["nothing", "text", "a list", "a number", "not base64", "too much"],
)
async def test_request_to_join_that_is_none(at: Stage, body: bytes):
    assert await post_join(at.hub, body) == "enrolment.request"


async def test_weak_or_stolen_key_does_not_use_the_code_up(at: Stage, code: str):
    """A request that proves nothing is refused, and the code is good for the next attempt."""
    good = enrolment.make_request("x")[1]
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    for request in (b"", b"x", damaged):
        assert await join(at.hub, code, request) == "enrolment.request"
    assert await join(at.hub, code, good) == ""


# replays


async def test_ac_8_2c_6_replayed_request_has_no_effect(at: Stage):
    """The very octets again, by the sender: the same receipt, one delivery."""
    envelope = at.sealed(at.unsealed([FILE]))
    body, content_type = multipart(soap.write_envelope(SoapVersion.V12, native.write_send(envelope)), [FILE])
    answers = []
    for _ in range(3):
        async with at.sender.session.post(
            f"{at.hub.url}/lienthong/v1", data=io.BytesIO(body), headers={"Content-Type": content_type}
        ) as response:
            answers.append(native.read_accepted(soap.read_envelope(await response.read()).body))
    assert {(one.number, one.receipt) for one in answers} == {(answers[0].number, answers[0].receipt)}
    assert [one.repeated for one in answers] == [False, True, True]
    number = answers[0].number
    assert [one.number for one in await at.recipient.pending(limit=1000)].count(number) == 1
    assert (await at.recipient.confirm(number))[0].outcome == "delivered"
    again = await at.sender.send(envelope, [FILE])
    assert again.repeated
    assert number not in {one.number for one in await at.recipient.pending(limit=1000)}


async def test_ac_8_2c_6_replayed_at_once_by_many_is_one_document(at: Stage):
    envelope = at.sealed(at.unsealed([FILE, BIG]))
    before = held(at.hub).rows["messages"]
    answers = await asyncio.gather(*(at.sender.send(envelope, [FILE, BIG]) for _ in range(8)))
    assert len({(one.number, one.receipt) for one in answers}) == 1
    assert [one.repeated for one in answers].count(False) == 1
    assert held(at.hub).rows["messages"] == before + 1
    assert half_stored(at.hub) == []


async def test_ac_8_2c_6_replayed_by_another_is_refused(at: Stage, stranger: AgencyClient):
    envelope = at.sealed(at.unsealed())
    await at.sender.send(envelope)
    before = held(at.hub)
    with pytest.raises(ExchangeError) as caught:
        await stranger.send(envelope)
    assert caught.value.kind is errors.SEAL_OTHER_AGENCY
    assert held(at.hub) == before


async def test_ac_8_2c_6_confirmations_and_statuses_in_any_order_change_nothing_twice(at: Stage):
    """Replayed and reordered reports move nothing backwards."""
    accepted = await at.sender.send(at.sealed(at.unsealed()))
    reports = [at.recipient.sealed(at.recipient.status(one, accepted.document_id, "H21.16")) for one in (5, 3, 6)]
    await at.recipient.confirm(accepted.number)
    first = [(await at.recipient.report(one)).number for one in reports]
    again = [await at.recipient.report(one) for one in reversed(reports)]
    assert [one.number for one in again] == first[::-1]
    assert all(one.repeated for one in again)
    handling = at.hub.hub.ledger.find_delivery(accepted.number, "H21.23")
    assert handling is not None
    state = handling.handling
    await at.recipient.confirm(accepted.number)
    after = at.hub.hub.ledger.find_delivery(accepted.number, "H21.23")
    assert after is not None
    assert after.handling == state
