"""Enrolment: a one-time code and an address become key, certificate, trust and configuration of an agent.

Nothing is believed before the root certificate of the server matches the fingerprint inside the code, and the secret in
the code is said only to a server that this root vouches for. The private key is made here and never leaves.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

import aiohttp
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs import enrolment, keys, tls
from certs.bundle import pem_file
from certs.trust import Trust, TrustBundle
from edge_agent import configuration
from edge_agent.places import Places
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from runtime import durable
from runtime.config import ConfigError

ANSWER_LIMIT: Final = 64 << 20
TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=15)


class Joined(msgspec.Struct, frozen=True):
    """What joining gave. `again`: everything was here before and nothing was changed."""

    code: str
    name: str
    again: bool = False


class _Agency(msgspec.Struct, frozen=True):
    code: str
    name: str = ""


class _Answer(msgspec.Struct, frozen=True):
    """What the hub gives for a code."""

    certificate: tuple[str, ...]
    agency: _Agency
    trust: msgspec.Raw
    log: str


class _Refusal(msgspec.Struct, frozen=True):
    code: str = ""


async def join(places: Places, url: str, code: str, *, now: datetime, anew: bool = False) -> Joined:
    """Enrol this directory. Safe to repeat: a directory that has joined is left as it is unless `anew`.

    Raises:
        ExchangeError: `enrolment.code`, `enrolment.hub`, `server.unreachable`, what the hub answers.
        ConfigError: this directory belongs to another agency, or its files are damaged.
    """
    if places.configuration.exists() and places.identity.exists() and not anew:
        known = configuration.load(places).agency
        return Joined(known.code, known.name, again=True)
    _, prefix = enrolment.parse_code(code)
    bundle = _narrowed(TrustBundle.from_json(await _fetch_trust(url)), prefix)
    request_key, request = enrolment.make_request("lienthong-edge")
    answer = await _ask(url, bundle, code, request)
    _check(answer, bundle, request_key, now)
    _check_same_agency(places, answer)
    _keep(places, url, answer, bundle, request_key)
    return Joined(answer.agency.code, answer.agency.name)


async def _fetch_trust(url: str) -> bytes:
    """The bundle over a connection that nothing vouches for; it is public, and judged by the code."""
    status, data = await _call("GET", f"{url.rstrip('/')}/enrol/trust", tls.first_contact_context(), None)
    if status != 200:  # noqa: PLR2004 -- HTTP OK
        raise ExchangeError(errors.ENROLMENT_HUB, status=status)
    return data


def _narrowed(bundle: TrustBundle, prefix: bytes) -> TrustBundle:
    """The bundle with the one root that the code names. Raises `enrolment.hub`."""
    root = next((root for root in bundle.roots if enrolment.root_matches(root, prefix)), None)
    if root is None:
        raise ExchangeError(errors.ENROLMENT_HUB, reason="root")
    return TrustBundle(roots=(root,), intermediates=bundle.intermediates, crls=bundle.crls, log_keys=bundle.log_keys)


async def _ask(url: str, bundle: TrustBundle, code: str, request: bytes) -> _Answer:
    body = msgspec.json.encode({"code": code, "csr": base64.b64encode(request).decode()})
    status, data = await _call("POST", f"{url.rstrip('/')}/enrol/join", tls.client_context(bundle.roots), body)
    try:
        if status == 200:  # noqa: PLR2004 -- HTTP OK
            return msgspec.json.decode(data, type=_Answer)
        refusal = msgspec.json.decode(data, type=_Refusal)
    except msgspec.MsgspecError as error:
        raise ExchangeError(errors.BAD_ANSWER, status=status) from error
    raise ExchangeError(errors.kind_of(refusal.code), status=status)


async def _call(method: str, url: str, context: object, body: bytes | None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(ssl=context)) as session,  # type: ignore[arg-type] # an SSLContext
            session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await _bounded(response)
    except aiohttp.ClientConnectorCertificateError as error:
        raise ExchangeError(errors.ENROLMENT_HUB, reason="certificate") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ExchangeError(errors.UNREACHABLE, reason=type(error).__name__) from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > ANSWER_LIMIT:
            raise ExchangeError(errors.BAD_ANSWER, reason="answer too large")
    return bytes(data)


def _check(answer: _Answer, bundle: TrustBundle, key: bytes, now: datetime) -> None:
    """The certificate is ours: our key, the province's signature, the agency that the answer names."""
    leaf = x509.load_pem_x509_certificate(answer.certificate[0].encode())
    private = serialization.load_pem_private_key(key, password=None)
    path = Trust(bundle).check_certificate(leaf.public_bytes(serialization.Encoding.DER), now, purpose="seal")
    if leaf.public_key() != private.public_key() or not agency_codes.same(path.agency, answer.agency.code):
        raise ExchangeError(errors.BAD_ANSWER, reason="certificate of another key or agency")


def _check_same_agency(places: Places, answer: _Answer) -> None:
    """A directory belongs to one agency for ever: its archive is that agency's."""
    if not places.configuration.exists():
        return
    known = configuration.load(places).agency.code
    if not agency_codes.same(known, answer.agency.code):
        raise ConfigError(f"Thư mục này là của cơ quan {known}; mã tham gia là của {answer.agency.code}.")


def _keep(places: Places, url: str, answer: _Answer, bundle: TrustBundle, key: bytes) -> None:
    """Everything durable, the identity last: its one rename makes this directory an agent, or the agent another one.

    Until then the old identity works: the bundle that is written first serves both.
    """
    places.make()
    both, after = _bundles(places, _whole(answer, bundle))
    durable.write_file(places.trust_bundle, both.to_json())
    if not places.configuration.exists():
        agency = configuration.Agency(code=answer.agency.code, name=answer.agency.name)
        durable.write_file(places.configuration, configuration.initial(agency, url.rstrip("/")).encode())
    certificates = "".join((*answer.certificate, pem_file(bundle.roots)))
    keys.write_key(places.identity, key + certificates.encode())
    if after != both:
        durable.write_file(places.trust_bundle, after.to_json())


def _whole(answer: _Answer, bundle: TrustBundle) -> TrustBundle:
    """What the hub gave, under the one root that the code named."""
    published = TrustBundle.from_json(bytes(answer.trust))
    return TrustBundle(
        roots=bundle.roots,
        intermediates=tuple(dict.fromkeys((*bundle.intermediates, *published.intermediates))),
        crls=published.crls or bundle.crls,
        log_keys=tuple(dict.fromkeys((*published.log_keys, answer.log))),
    )


def _bundles(places: Places, new: TrustBundle) -> tuple[TrustBundle, TrustBundle]:
    """The bundle that serves the identity of before and the one to come, and the bundle of the one to come."""
    try:
        old = TrustBundle.load(places.trust_bundle)
    except ConfigError:  # a first join, or a damaged file
        return new, new
    if set(old.roots) & set(new.roots):  # a refresh like any other: nothing that is known is forgotten
        trust = Trust(msgspec.structs.replace(old, roots=new.roots))
        trust.update(new)
        return trust.bundle, trust.bundle
    both = TrustBundle(
        roots=(*old.roots, *new.roots),
        intermediates=(*old.intermediates, *new.intermediates),
        crls=(*old.crls, *new.crls),
        log_keys=(*old.log_keys, *new.log_keys),
    )
    return both, new
