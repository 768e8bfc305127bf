"""Joining: nothing is believed before the code's fingerprint matches, the key stays here, repeating is safe."""

from __future__ import annotations

import os
import stat

import pytest
from cryptography import x509
from edge_stage import A, B, eventually, now, province

from certs import enrolment
from certs.trust import Trust
from edge_agent import configuration
from edge_agent import join as joining
from edge_agent.places import Places
from protocol.errors import ExchangeError
from runtime.config import ConfigError


async def test_joining_writes_key_certificate_trust_and_a_configuration_that_explains_itself():
    async with province() as gialai:
        edge = await gialai.join(A)
        places = edge.places
        if os.name != "nt":
            assert stat.S_IMODE(places.private_key.stat().st_mode) == 0o600
            assert stat.S_IMODE(places.keys.stat().st_mode) == 0o700
        leaf, intermediate = x509.load_pem_x509_certificates(places.certificate.read_bytes())
        assert leaf.issuer == intermediate.subject
        trust = Trust.load(places.trust / "trust.json")
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
        key = edge.places.private_key.read_bytes()
        code = await gialai.hub.administration.invite(A)
        await joining.join(edge.places, gialai.url, code, now=now(), anew=True)
        assert edge.places.private_key.read_bytes() != key
        assert edge.places.configuration.read_text("utf-8") == edited
        await edge.start()
        await eventually(edge.agent.store.watch.contacts, "the new certificate is accepted")


async def test_a_directory_never_becomes_another_agencys():
    async with province() as gialai:
        edge = await gialai.join(A)
        key = edge.places.private_key.read_bytes()
        code = await gialai.hub.administration.add(B, name="Sở Ví dụ B")
        with pytest.raises(ConfigError, match=A):
            await joining.join(edge.places, gialai.url, code, now=now(), anew=True)
        assert edge.places.private_key.read_bytes() == key


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


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
