"""Joining: nothing is believed before the code's fingerprint matches, the key stays here, repeating is safe."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from edge_stage import PDF, A, B, Province, eventually, now, province

from certs import enrolment
from certs.trust import Trust, TrustBundle
from edge_agent import configuration
from edge_agent import join as joining
from edge_agent.places import Places
from edge_agent.trusting import Beliefs, pinned_root, trusted
from protocol.errors import ExchangeError
from runtime import durable
from runtime.config import ConfigError


async def test_joining_writes_key_certificate_trust_and_a_configuration_that_explains_itself():
    async with province() as gialai:
        edge = await gialai.join(A)
        places = edge.places
        if os.name != "nt":
            assert stat.S_IMODE(places.identity.stat().st_mode) == 0o600
            assert stat.S_IMODE(places.keys.stat().st_mode) == 0o700
        leaf, intermediate, root = x509.load_pem_x509_certificates(places.identity.read_bytes())
        assert (leaf.issuer, intermediate.issuer, root.issuer) == (intermediate.subject, root.subject, root.subject)
        trust = Trust.load(places.trust_bundle)
        assert trust.check_certificate(_der(leaf), now(), purpose="client").agency == A
        assert trust.bundle.log_keys
        loaded = configuration.load(places)
        assert (loaded.agency.code, loaded.agency.name, loaded.hub.url) == (A, "Sở Ví dụ A", gialai.url)
        assert "giây" in places.configuration.read_text("utf-8")


async def test_joining_again_changes_nothing_and_asks_nobody():
    async with province() as gialai:
        edge = await gialai.join(A)
        before = {path: path.read_bytes() for path in edge.places.root.rglob("*") if path.is_file()}
        await gialai.stop_hub()
        joined = await joining.join(edge.places, gialai.url, "used or not", now=now())
        assert joined.again
        assert joined.code == A
        assert {path: path.read_bytes() for path in edge.places.root.rglob("*") if path.is_file()} == before
        await gialai.start_hub()


async def test_a_new_code_renews_key_and_certificate_and_keeps_the_configuration():
    async with province() as gialai:
        edge = await gialai.join(A)
        edited = edge.places.configuration.read_text("utf-8").replace("port = 8765", "port = 0")
        edge.places.configuration.write_text(edited, "utf-8")
        key = edge.places.identity.read_bytes()
        code = await gialai.hub.administration.invite(A)
        await joining.join(edge.places, gialai.url, code, now=now(), anew=True)
        assert edge.places.identity.read_bytes() != key
        assert edge.places.configuration.read_text("utf-8") == edited
        await edge.start()
        await eventually(edge.agent.store.watch.contacts, "the new certificate is accepted")


async def test_a_directory_never_becomes_another_agencys():
    async with province() as gialai:
        edge = await gialai.join(A)
        key = edge.places.identity.read_bytes()
        code = await gialai.hub.administration.add(B, name="Sở Ví dụ B")
        with pytest.raises(ConfigError, match=A):
            await joining.join(edge.places, gialai.url, code, now=now(), anew=True)
        assert edge.places.identity.read_bytes() == key


@pytest.mark.parametrize("damage", ["used", "mistyped", "unknown"])
async def test_a_wrong_code_is_refused_and_leaves_nothing(damage: str):
    async with province() as gialai:
        code = await gialai.hub.administration.add(A, name="Sở Ví dụ A")
        places = Places(gialai.root / "edge")
        if damage == "used":
            await joining.join(Places(gialai.root / "first"), gialai.url, code, now=now())
        if damage == "mistyped":
            code = ("1" if code[0] != "1" else "2") + code[1:]
        if damage == "unknown":
            code = enrolment.make_code(gialai.hub.authority.root)[0]
        with pytest.raises(ExchangeError) as refusal:
            await joining.join(places, gialai.url, code, now=now())
        assert refusal.value.kind.code == "enrolment.code"
        assert not places.root.exists()


async def test_the_secret_is_never_said_to_a_server_with_another_root():
    async with province() as gialai, province() as stranger:
        code = await gialai.hub.administration.add(A, name="Sở Ví dụ A")
        places = Places(gialai.root / "edge")
        with pytest.raises(ExchangeError) as refusal:
            await joining.join(places, stranger.url, code, now=now())
        assert refusal.value.kind.code == "enrolment.hub"
        assert not places.root.exists()
        await joining.join(places, gialai.url, code, now=now())  # the code was not used up


async def test_a_hub_that_is_away_is_said_to_be_away():
    async with province() as gialai:
        code = await gialai.hub.administration.add(A, name="Sở Ví dụ A")
        await gialai.stop_hub()
        with pytest.raises(ExchangeError) as refusal:
            await joining.join(Places(gialai.root / "edge"), gialai.url, code, now=now())
        assert refusal.value.kind.code == "server.unreachable"
        await gialai.start_hub()


class Killed(BaseException):
    """The process ends here; no handler of the program sees it."""


def die_before_rename(monkeypatch: pytest.MonkeyPatch, places: Places, number: int) -> list[str]:
    """The agent's process dies before its rename of this number, counted from 1; returns what was renamed before."""
    renamed: list[str] = []
    publish = durable.publish

    def rename(temporary: Path, final: Path) -> None:
        ours = final.is_relative_to(places.root)  # the hub lives in this process too
        if ours and len(renamed) + 1 == number:
            raise Killed
        publish(temporary, final)
        if ours:
            renamed.append(final.name)

    monkeypatch.setattr(durable, "publish", rename)
    return renamed


async def works(gialai: Province, code: str = A) -> None:
    """The agent of this agency starts as it would after a reboot, and the hub takes a document from it."""
    edge = gialai.edges[code]
    await edge.start()
    edge.drop("a.pdf", PDF)
    await eventually((edge.places.done / "a.pdf").exists, "sent")
    await edge.stop()


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_a_crash_at_any_step_of_a_new_join_leaves_an_agent_that_works(step: int, monkeypatch: pytest.MonkeyPatch):
    """The code is used up by then, so what is there has to do: the old identity, or the new one whole."""
    async with province() as gialai:
        edge = await gialai.join(A)
        await gialai.join(B)
        before = edge.places.identity.read_bytes()
        code = await gialai.hub.administration.invite(A)
        with monkeypatch.context() as patch:
            renamed = die_before_rename(patch, edge.places, step)
            try:
                await joining.join(edge.places, gialai.url, code, now=now(), anew=True)
            except Killed:
                assert step < 3
        assert renamed == ["trust.json", "agency.pem"][: step - 1]
        assert (edge.places.identity.read_bytes() == before) is (step < 3)
        await works(gialai)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
async def test_a_crash_on_the_way_to_another_province_leaves_one_whole_trust(
    step: int, monkeypatch: pytest.MonkeyPatch
):
    """The hub was founded anew, with another root: before the switch the old root alone counts, after it the new."""
    async with province() as old, province() as new:
        edge = await old.join(A)
        roots = old.hub.authority.root, new.hub.authority.root
        code = await new.hub.administration.add(A, name="Sở Ví dụ A")
        with monkeypatch.context() as patch:
            die_before_rename(patch, edge.places, step)
            try:
                await joining.join(edge.places, new.url, code, now=now(), anew=True)
            except Killed:
                assert step < 4
        assert trusted(edge.places).roots == (roots[step > 2],)
        assert Beliefs(edge.places, now).vkeys()


@pytest.mark.parametrize("step", [1, 2, 3, 4])
async def test_a_crash_during_the_first_join_leaves_a_directory_that_can_join(
    step: int, monkeypatch: pytest.MonkeyPatch
):
    async with province() as gialai:
        places = Places(gialai.root / A)
        code = await gialai.hub.administration.add(A, name="Sở Ví dụ A")
        with monkeypatch.context() as patch:
            die_before_rename(patch, places, step)
            try:
                await joining.join(places, gialai.url, code, now=now())
            except Killed:
                assert not places.identity.exists()
        code = await gialai.hub.administration.invite(A)
        assert (await joining.join(places, gialai.url, code, now=now())).again is (step == 4)


def publishing(change: Callable[[TrustBundle], TrustBundle], trust: Callable[[], Awaitable[bytes]]) -> object:
    """The hub's answer to who asks for the bundle, changed."""

    async def published() -> bytes:
        return change(TrustBundle.from_json(await trust())).to_json()

    return published


async def test_a_root_that_the_hub_publishes_later_is_not_trusted_after_a_restart_either():
    async with province() as gialai, province() as stranger:
        edge = await gialai.edge(A)
        foreign, ours = stranger.hub.authority.root, gialai.hub.authority.root

        def with_foreign_root(bundle: TrustBundle) -> TrustBundle:
            intermediates = (*bundle.intermediates, stranger.hub.authority.intermediate)
            return msgspec.structs.replace(bundle, roots=(foreign, ours), intermediates=intermediates)

        edge.agent.link.trust = publishing(with_foreign_root, edge.agent.link.trust)  # type: ignore[method-assign]
        await edge.agent.watchman.round()
        await edge.stop()
        await edge.start()
        assert edge.agent.beliefs.bundle.roots == (ours,)
        assert TrustBundle.load(edge.places.trust_bundle).roots == (ours,)


async def test_a_revocation_and_a_log_key_that_the_hub_hides_again_are_known_after_a_restart():
    async with province() as gialai:
        edge, other = await gialai.edge(A), await gialai.join(B)
        await edge.agent.watchman.round()
        early = await edge.agent.link.trust()
        revoked = x509.load_pem_x509_certificates(other.places.identity.read_bytes())[0].serial_number
        gialai.hub.authority.revoke(revoked, at=now())
        gialai.hub.trust.reload_crl_if_changed()
        await edge.agent.watchman.round()
        known = edge.agent.beliefs.bundle
        assert known.crls != TrustBundle.from_json(early).crls

        def rolled_back(_bundle: TrustBundle) -> TrustBundle:
            return msgspec.structs.replace(TrustBundle.from_json(early), log_keys=())

        edge.agent.link.trust = publishing(rolled_back, edge.agent.link.trust)  # type: ignore[method-assign]
        await edge.agent.watchman.round()
        await edge.stop()
        await edge.start()
        assert edge.agent.beliefs.bundle.crls == known.crls
        assert edge.agent.beliefs.vkeys()


async def test_a_bundle_of_another_root_is_never_taken_at_start():
    async with province() as gialai, province() as stranger:
        edge = await gialai.join(A)
        edge.places.trust_bundle.write_bytes(stranger.hub.trust.bundle.to_json())
        with pytest.raises(ConfigError, match="chứng thư gốc đã ghim"):
            await edge.start()
        both = msgspec.structs.replace(
            gialai.hub.trust.bundle, roots=(stranger.hub.authority.root, gialai.hub.authority.root)
        )
        edge.places.trust_bundle.write_bytes(both.to_json())
        await edge.start()
        assert edge.agent.beliefs.bundle.roots == (gialai.hub.authority.root,) == (pinned_root(edge.places.identity),)


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
