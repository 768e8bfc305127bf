"""Who speaks: the agency whose certificate opened the TLS connection, asked anew at every request.

The handshake proved possession of the key; whether the certificate is still believed and the agency may still act is
decided per request, so revocation and suspension are in force at once, also on connections that are already open.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from datetime import datetime
from weakref import WeakKeyDictionary

from aiohttp import web

from certs.trust import Trust
from hub.ledger.records import to_milliseconds
from hub.registry import Registry
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller


class _Peer:
    """What a connection showed at its handshake."""

    __slots__ = ("agency", "der", "fingerprint")

    def __init__(self, der: bytes, fingerprint: bytes, agency: str) -> None:
        self.der = der
        self.fingerprint = fingerprint
        self.agency = agency


class MutualTls:
    """Proves callers by their client certificate."""

    def __init__(self, trust: Trust, registry: Registry, now: Callable[[], datetime]) -> None:
        self._trust = trust
        self._registry = registry
        self._now = now
        self._peers: WeakKeyDictionary[ssl.SSLObject, _Peer] = WeakKeyDictionary()

    def __call__(self, request: web.Request) -> Caller:
        """The caller.

        Raises:
            ExchangeError: `caller.unauthenticated`, `caller.certificate-revoked`, `caller.certificate-expired`,
                `caller.not-registered`, `caller.suspended`.
        """
        peer = self._peer(request)
        now = self._now()
        self._trust.check_certificate(peer.der, now, purpose="client")
        agency = self._registry.speaker(peer.agency, to_milliseconds(now))
        return Caller(agency=agency.code, proof="mutual-tls", certificate=peer.fingerprint.hex())

    def claimed(self, request: web.Request) -> str:
        """The agency that the certificate names, whether or not it is believed; "" for none. For the audit only."""
        channel = request.get_extra_info("ssl_object")
        der = channel.getpeercert(binary_form=True) if isinstance(channel, ssl.SSLObject) else None
        if not der:
            return ""
        registered = self._registry.of_certificate(hashlib.sha256(der).digest())
        if registered is not None:
            return registered
        try:
            return self._trust.agency_of(der)
        except ExchangeError:
            return ""

    def _peer(self, request: web.Request) -> _Peer:
        channel = request.get_extra_info("ssl_object")
        if not isinstance(channel, ssl.SSLObject):
            raise ExchangeError(errors.UNAUTHENTICATED)
        known = self._peers.get(channel)
        if known is not None:
            return known
        der = channel.getpeercert(binary_form=True)
        if not der:
            raise ExchangeError(errors.UNAUTHENTICATED)
        fingerprint = hashlib.sha256(der).digest()
        agency = self._registry.of_certificate(fingerprint)
        if agency is None:
            raise ExchangeError(errors.NOT_REGISTERED, fingerprint=fingerprint.hex())
        peer = self._peers[channel] = _Peer(der, fingerprint, agency)
        return peer


def check_clock(request: web.Request, now: datetime, tolerance: float) -> None:
    """Compare the peer's clock (`Date`, RFC 9110 §6.6.1) with ours; `tolerance` is seconds.

    A document that is dated by a wrong clock cannot be put right later, so it is refused before it is taken.

    Raises:
        ExchangeError: `server.clock` when the clocks differ by more; a peer that sends no Date is not judged.
    """
    stated = request.headers.get("Date")
    if stated is None:
        return
    try:
        theirs = datetime.strptime(stated, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=now.tzinfo)
    except ValueError:
        return
    if abs((theirs - now).total_seconds()) > tolerance:
        raise ExchangeError(errors.CLOCK, element="Date", theirs=theirs.isoformat(), ours=now.isoformat())
