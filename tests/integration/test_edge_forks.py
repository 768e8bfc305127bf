"""A log with two histories leaves evidence that an inspector checks without this machine: both signed notes."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from edge_stage import PDF, A, B, Edge, Province, eventually, now, province

from certs import log_key
from certs.trust import Trust, TrustBundle
from edge_agent import control
from edge_agent.doctor import examine
from edge_agent.forks import FIRST, PROOF, SECOND, TRUST, contradicts
from protocol.checkpoint import read_checkpoint, sign_checkpoint


def answering(value: object) -> Callable[..., Awaitable[object]]:
    async def answer(*_: object) -> object:
        return value

    return answer


async def with_history(gialai: Province) -> Edge:
    a, b = await gialai.edge(A), await gialai.edge(B)
    a.drop("a.pdf", PDF)
    await eventually(b.incoming, "some history")
    await a.agent.watchman.round()
    return a


async def shows(gialai: Province, edge: Edge, *, further: int, proof: list[bytes]) -> Path:
    """The hub signs a tree of another history, `further` leaves larger; what the agent kept of it."""
    forged = sign_checkpoint(
        gialai.hub.ledger.log._key, gialai.hub.ledger.log.size + further, hashlib.sha256(b"another history").digest()
    )
    edge.agent.link.checkpoint = answering(forged)  # type: ignore[method-assign]
    edge.agent.link.consistency = answering(proof)  # type: ignore[method-assign]
    await edge.agent.watchman.round()
    (kept,) = edge.places.forks.iterdir()
    assert forged in {(kept / FIRST).read_text(), (kept / SECOND).read_text()}
    return kept


def keys_of(bundle: Path) -> tuple[str, ...]:
    """What an inspector computes from the bundle alone."""
    trust = Trust(TrustBundle.from_json(bundle.read_bytes()))
    return tuple(log_key.verify_statement(one, trust, now()) for one in trust.bundle.log_keys)


@pytest.mark.parametrize(("further", "proof"), [(0, []), (5, [bytes(32)] * 3)], ids=["same size", "rewritten"])
async def test_both_signed_notes_are_kept_and_prove_the_contradiction_offline(further: int, proof: list[bytes]):
    async with province() as gialai:
        edge = await with_history(gialai)
        kept = await shows(gialai, edge, further=further, proof=proof)
        assert [alarm.kind for alarm in edge.agent.store.watch.alarms()] == ["log-forked"]
        keys = keys_of(kept / TRUST)
        roots = {read_checkpoint((kept / name).read_text("utf-8"), keys).root for name in (FIRST, SECOND)}
        assert len(roots) == 2
        assert contradicts(kept, keys)
        assert len((kept / PROOF).read_bytes().splitlines()) == len(proof)
        assert "thanh tra" in (kept / "DOC-TRUOC.txt").read_text("utf-8")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700
        await edge.agent.watchman.round()  # seen again, it is the same
        assert list(edge.places.forks.iterdir()) == [kept]


async def test_the_doctor_shows_the_evidence_after_the_alarm_was_cleared_and_is_not_fooled_by_other_files():
    async with province() as gialai:
        edge = await with_history(gialai)
        kept = await shows(gialai, edge, further=0, proof=[])
        await asyncio.to_thread(control.ask_clear, edge.places, "log-forked")
        findings = {one.subject: one for one in await asyncio.to_thread(examine, edge.places, edge.config)}
        assert not findings["Sổ bằng chứng"].good
        assert str(kept) in findings["Sổ bằng chứng"].sentence
        note = (kept / SECOND).read_text("utf-8")
        (kept / SECOND).write_text(note.replace("\n", "x\n", 1), "utf-8")  # no longer what the hub signed
        findings = {one.subject: one for one in await asyncio.to_thread(examine, edge.places, edge.config)}
        assert findings["Sổ bằng chứng"].good


async def test_an_honest_log_that_grows_leaves_nothing():
    async with province() as gialai:
        edge = await with_history(gialai)
        edge.drop("b.pdf", PDF, CodeNumber="124")
        await eventually((edge.places.done / "b.pdf").exists, "the log grows")
        await edge.agent.watchman.round()
        assert not edge.places.forks.exists()
        assert edge.agent.store.watch.unproved_checkpoints() == []
