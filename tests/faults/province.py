"""A small province for the fault scenarios: a hub as `lienthong-hub init` makes it, and agencies that joined."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509

from certs import enrolment, keys, log_key, tls
from certs.signers import FileSigner
from hub.configuration import FILE_NAME, HubConfiguration
from hub.installation import initialise
from hub.ledger.records import to_milliseconds
from hub.service import Hub, serve
from hub.works import Enrol
from runtime import config, logs, service

NAME = "truc.gialai.test"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Member:
    """An agency that has joined: where its key and certificate are."""

    code: str
    key: Path
    certificate: Path
    root: bytes

    @property
    def signer(self) -> FileSigner:
        """What it seals with."""
        return FileSigner(self.key, self.certificate)

    @property
    def tls(self) -> ssl.SSLContext:
        """What it calls the hub with."""
        return tls.client_context([self.root], self.certificate, self.key)


@dataclass(frozen=True)
class Province:
    """The hub's public side: its members and the key of its evidence log."""

    members: dict[str, Member]
    vkey: str
    trust: bytes


async def found(folder: Path, keep: Path, codes: Sequence[str]) -> Province:
    """Makes the hub in `folder` and joins the agencies; their keys go to `keep`."""
    now = datetime.now(UTC)
    initialise(folder, province="H21", province_name="Gia Lai", name=NAME, hosts=(HOST, "localhost"), port=0, at=now)
    hub = Hub(load(folder))
    try:
        members = {code: await _join(hub, keep, code) for code in codes}
        vkey = log_key.verify_statement(hub.statement, hub.trust, now)
        return Province(members, vkey, hub.trust.bundle.to_json())
    finally:
        await hub.stop()


async def _join(hub: Hub, keep: Path, code: str) -> Member:
    now = datetime.now(UTC)
    invitation = await hub.administration.add(code, f"Cơ quan {code}")
    code_hash = bytes.fromhex(enrolment.code_hash(enrolment.parse_code(invitation)[0]))
    pem, request = enrolment.make_request(code)
    der = hub.authority.issue_agency(request, code, at=now, name=f"Cơ quan {code}")
    certificate = x509.load_der_x509_certificate(der)
    agency = hub.registry.find(code)
    assert agency
    work = Enrol(
        code_hash=code_hash,
        code=agency.code,
        fingerprint=hashlib.sha256(der).digest(),
        serial=f"{certificate.serial_number:x}",
        not_after=to_milliseconds(certificate.not_valid_after_utc),
    )
    await hub.ledger.do(work)
    member = Member(code, keep / f"{code}.key", keep / f"{code}.pem", hub.authority.root)
    keys.write_key(member.key, pem)
    member.certificate.write_bytes(hub.authority.chain_pem(der))
    return member


def load(folder: Path, port: int = 0) -> HubConfiguration:
    """The hub's configuration, listening on `port`."""
    loaded = config.load(folder / FILE_NAME, HubConfiguration)
    return msgspec.structs.replace(loaded, port=port, operator_port=0)


def run_hub(root: str, port: int) -> None:
    """The program under test: `lienthong-hub serve`."""
    logs.configure("info", json=True)
    configuration = load(Path(root), port)
    service.run(lambda drain: serve(configuration, drain), loop_factory=asyncio.new_event_loop)
