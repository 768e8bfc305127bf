"""What the agent does not believe: altered messages, foreign receipts, a log with two histories."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from edge_stage import PDF, A, B, C, Edge, Province, eventually, now, octets, province
from lxml import etree

from certs import enrolment, keys
from certs.authority import Authority
from certs.signers import FileSigner
from edge_agent import control
from edge_agent.uplink import Fetched
from protocol import errors
from protocol.checkpoint import LogKey, sign_checkpoint
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Caller
from protocol.seal import canonical, open_seal, seal

ATTACHMENT = octets(50_000)


class Altered:
    """A fetched message with one thing changed on its way."""

    def __init__(self, fetched: Fetched, kind: str) -> None:
        self._fetched = fetched
        self._kind = kind
        self.receipt = fetched.receipt
        self.envelope = fetched.envelope
        if kind == "header":
            octets_ = canonical(fetched.envelope).replace("thử nghiệm".encode(), "thử nghiêm".encode())
            self.envelope = etree.fromstring(octets_)
        if kind == "receipt":
            self.receipt = self.receipt.replace("index 0", "index 1", 1) + "x"
        if kind == "no seal":
            octets_ = canonical(fetched.envelope)
            start, end = octets_.index(b"<ds:Signature"), octets_.index(b"</ds:Signature>") + len(b"</ds:Signature>")
            self.envelope = etree.fromstring(octets_[:start] + octets_[end:])

    async def attachments(self) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        async for content_id, data in self._fetched.attachments():
            whole = b"".join([chunk async for chunk in data])
            match self._kind:
                case "one bit":
                    yield content_id, _chunks(whole[:-1] + bytes([whole[-1] ^ 1]))
                case "cut":
                    yield content_id, _chunks(whole[:-1])
                case "missing":
                    continue
                case "doubled":
                    yield content_id, _chunks(whole)
                    yield content_id, _chunks(whole)
                case "extra":
                    yield content_id, _chunks(whole)
                    yield "f9", _chunks(b"more")
                case _:
                    yield content_id, _chunks(whole)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


def alter(edge: Edge, kind: str, only: Callable[[int], bool] = lambda _number: True) -> None:
    fetch = edge.agent.link.fetch

    @asynccontextmanager
    async def altered(number: int) -> AsyncIterator[Fetched | Altered]:
        async with fetch(number) as fetched:
            yield Altered(fetched, kind) if only(number) else fetched

    edge.agent.link.fetch = altered  # type: ignore[method-assign]


def payload_files(edge: Edge) -> list[Path]:
    return [path for path in edge.places.payloads.rglob("*") if path.is_file()]


ALTERATIONS = {
    "header": "seal.invalid",
    "no seal": "seal.missing",
    "receipt": "proof.invalid",
    "one bit": "attachment.digest",
    "cut": "attachment.digest",
    "missing": "attachment.missing",
    "doubled": "attachment.doubled",
    "extra": "attachment.extra",
}


@pytest.mark.parametrize("kind", ALTERATIONS)
async def test_ac_5_2_an_altered_document_is_not_registered_and_blocks_nobody(kind: str):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        alter(b, kind, only=lambda number: number == 1)
        a.drop("a.pdf", ATTACHMENT)
        await eventually(b.agent.store.inbox.held, "held")
        (held,) = b.agent.store.inbox.held()
        assert held.error_code == ALTERATIONS[kind]
        (alarm,) = await eventually(b.agent.store.watch.alarms, "the alarm")
        assert alarm.kind == "held-1"
        assert payload_files(b) == []
        a.drop("b.pdf", PDF, CodeNumber="124")
        await eventually(b.incoming, "the next one passes", patience=30)
        assert [row.document_id for row in b.agent.store.inbox.latest(9)] == ["H21.16,2026/11/20,124/SVDA-VP"]
        assert await gialai.hub.exchange.pending(_caller(B), limit=9), "the altered one still waits at the hub"


def issued(folder: Path, authority: Authority, *, since: timedelta, days: int = 30) -> FileSigner:
    """A certificate for A."""
    key, request = enrolment.make_request("x")
    certificate = authority.issue_agency(request, A, at=now() - since, days=days)
    folder.mkdir()
    keys.write_key(folder / "key", key)
    (folder / "pem").write_bytes(authority.chain_pem(certificate))
    return FileSigner(folder / "key", folder / "pem")


def expired(gialai: Province, folder: Path) -> FileSigner:
    return issued(folder, Authority(gialai.hub_config.authority), since=timedelta(days=3), days=1)


def not_yet_valid(gialai: Province, folder: Path) -> FileSigner:
    return issued(folder, Authority(gialai.hub_config.authority), since=-timedelta(days=1))


def revoked(gialai: Province, folder: Path) -> FileSigner:
    signer = issued(folder, Authority(gialai.hub_config.authority), since=timedelta(days=1))
    serial = x509.load_der_x509_certificate(signer.certificate).serial_number
    Authority(gialai.hub_config.authority).revoke(serial, at=now(), reason="keyCompromise")
    return signer


def of_another_province(gialai: Province, folder: Path) -> FileSigner:
    """The same names, another root."""
    authority = Authority.init(gialai.root / "other-ca", province="Gia Lai", at=now() - timedelta(days=2))
    return issued(folder, authority, since=timedelta(days=1))


HANDS: dict[str, tuple[Callable[[Province, Path], FileSigner], str]] = {
    "revoked": (revoked, "seal.certificate-revoked"),
    "expired": (expired, "seal.certificate-expired"),
    "not yet valid": (not_yet_valid, "seal.certificate-not-yet-valid"),
    "another province's": (of_another_province, "seal.certificate-untrusted"),
    "another agency's": (
        lambda gialai, _: gialai.edges[C].agent._signer,  # type: ignore[return-value] # a FileSigner
        "seal.other-agency",
    ),
}


def seal_again(edge: Edge, signer: FileSigner, only: int) -> None:
    """One message comes under another hand: what is signed, and so its digest and its receipt, stay as they are."""
    fetch = edge.agent.link.fetch

    @asynccontextmanager
    async def resealed(number: int) -> AsyncIterator[Fetched]:
        async with fetch(number) as fetched:
            if number == only:
                fetched.envelope = etree.fromstring(seal(open_seal(fetched.envelope).signed, signer))
            yield fetched

    edge.agent.link.fetch = resealed  # type: ignore[method-assign]


@pytest.mark.parametrize("hand", HANDS)
async def test_ac_5_2_a_document_under_a_refused_certificate_is_held_and_blocks_nobody(hand: str):
    async with province() as gialai:
        a, b, _ = await gialai.edge(A), await gialai.edge(B), await gialai.edge(C)
        make, code = HANDS[hand]
        seal_again(b, make(gialai, gialai.root / "hand"), only=1)
        await b.agent.watchman.round()
        await b.agent.watchman.round()  # the hub looked at its list of revocations when it was asked before
        a.drop("a.pdf", ATTACHMENT, Priority=3)
        await eventually(b.agent.store.inbox.held, "held")
        a.drop("b.pdf", PDF, CodeNumber="124")
        await eventually(b.incoming, "the next one passes")
        (held,) = b.agent.store.inbox.held()
        assert (held.hub_number, held.error_code) == (1, code)
        assert [row.document_id for row in b.agent.store.inbox.latest(9)] == ["H21.16,2026/11/20,124/SVDA-VP"]
        assert {alarm.kind for alarm in b.agent.store.watch.alarms()} == {"held-1"}, "nothing is said of this agency"
        events = b.agent.store.read("SELECT detail FROM events WHERE event = 'raised'")
        assert events == [("held-1",)]
        assert len(payload_files(b)) == 1


async def test_ac_5_2_without_a_fresh_list_of_revocations_everything_waits_and_a_person_is_told():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        check = b.agent.beliefs.check_sealer

        def stale(*_: object) -> None:
            raise ExchangeError(errors.TRUST_STALE)

        b.agent.beliefs.check_sealer = stale  # type: ignore[method-assign]
        a.drop("a.pdf", PDF)
        (alarm,) = await eventually(b.agent.store.watch.alarms, "the alarm")
        assert alarm.kind == "revocation"
        assert b.agent.store.inbox.held() == []
        assert b.agent.store.inbox.count("document") == 0
        b.agent.beliefs.check_sealer = check  # type: ignore[method-assign]
        await eventually(b.incoming, "arrival with a fresh list")
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")


async def test_a_suspended_agency_stops_polling_and_says_so_until_it_is_back():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        await gialai.hub.administration.suspend(B)
        await eventually(lambda: {alarm.kind for alarm in b.agent.store.watch.alarms()} == {"agency"}, "the alarm")
        await gialai.hub.administration.resume(B)
        a.drop("a.pdf", PDF)
        await eventually(b.incoming, "arrival")
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")
        assert b.agent.store.inbox.held() == []


async def test_a_held_message_is_tried_again_and_arrives_when_it_is_right():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        alter(b, "one bit")
        a.drop("a.pdf", ATTACHMENT)
        await eventually(b.agent.store.inbox.held, "held")
        await b.stop()
        await b.start(clock=lambda: now() + timedelta(minutes=3))
        (package,) = await eventually(lambda: b.arrived("van-ban.edxml"), "arrival at the second try")
        assert (package.parent / "a.pdf").read_bytes() == ATTACHMENT
        assert b.agent.store.inbox.held() == []
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")


async def test_a_receipt_for_other_octets_does_not_end_a_document():
    async with province() as gialai:
        a = await gialai.edge(A)
        await gialai.join(B)
        a.drop("a.pdf", PDF)
        await eventually((a.places.done / "a.pdf").exists, "the first is sent")
        first = a.agent.store.outbox.receipt(1)
        send = a.agent.link.send

        async def liar(*arguments: object) -> Accepted:
            accepted = await send(*arguments)  # type: ignore[arg-type]
            return Accepted(number=accepted.number, document_id=accepted.document_id, receipt=first)

        a.agent.link.send = liar  # type: ignore[method-assign]
        a.drop("b.pdf", PDF, CodeNumber="124")
        await eventually(lambda: [x for x in a.agent.store.watch.alarms() if x.kind == "receipt"], "the alarm")
        assert a.agent.store.outbox.latest(1)[0].state == "CHO_GUI"


async def test_two_histories_of_one_size_raise_an_alarm_that_stays():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("a.pdf", PDF)
        await eventually(b.incoming, "some history")
        await a.agent.watchman.round()
        log = gialai.hub.ledger.log
        forger = gialai.hub.ledger.log._key
        assert isinstance(forger, LogKey)
        forged = sign_checkpoint(forger, log.size, hashlib.sha256(b"another history").digest())

        async def other_view() -> str:
            return forged

        a.agent.link.checkpoint = other_view  # type: ignore[method-assign]
        await a.agent.watchman.round()
        assert [alarm.kind for alarm in a.agent.store.watch.alarms()] == ["log-forked"]
        del a.agent.link.checkpoint
        await a.agent.watchman.round()
        assert [alarm.kind for alarm in a.agent.store.watch.alarms()] == ["log-forked"]
        await asyncio.to_thread(control.ask_clear, a.places, "log-forked")
        assert a.agent.store.watch.alarms() == []
        with pytest.raises(ExchangeError):
            await asyncio.to_thread(control.ask_clear, a.places, "log-forked")


async def test_a_history_that_was_rewritten_has_no_proof():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("a.pdf", PDF)
        await eventually(b.incoming, "some history")
        await a.agent.watchman.round()
        forged = sign_checkpoint(gialai.hub.ledger.log._key, gialai.hub.ledger.log.size + 5, bytes(32))

        async def rewritten() -> str:
            return forged

        async def proof(_start: int, _end: int) -> list[bytes]:
            return [bytes(32)] * 3

        a.agent.link.checkpoint, a.agent.link.consistency = rewritten, proof  # type: ignore[method-assign]
        await a.agent.watchman.round()
        assert [alarm.kind for alarm in a.agent.store.watch.alarms()] == ["log-forked"]


async def test_a_clock_that_is_wrong_by_a_day_is_told_and_nothing_is_lost():
    async with province() as gialai:
        await gialai.join(B)
        a = await gialai.join(A)
        await a.start(clock=lambda: now() + timedelta(days=1))
        a.drop("a.pdf", PDF)
        await eventually(lambda: [x for x in a.agent.store.watch.alarms() if x.kind == "clock"], "the alarm")
        await eventually(lambda: a.agent.store.outbox.latest(1), "in the outbox")
        await eventually(lambda: a.agent.store.outbox.latest(1)[0].error_code == "server.clock", "the hub's answer")
        assert a.agent.store.outbox.latest(1)[0].state == "CHO_GUI"
        await a.stop()
        await a.start()
        await eventually((a.places.done / "a.pdf").exists, "sent with the right clock")
        await eventually(lambda: not a.agent.store.watch.alarms(), "the alarm is over")


def _caller(code: str) -> Caller:
    return Caller(agency=code, proof="mutual-tls")
