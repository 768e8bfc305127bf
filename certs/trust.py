"""Whether a certificate may be believed now, or could be believed then.

A path to a root is computed once per certificate and kept; validity and revocation are judged at every call. The
revocation list is re-read as soon as its file changes. A list that is damaged, forged, or older than the one held is
not taken: the last good one stays in force, and `problem` says so. When the list in force is past its own
nextUpdate, nothing is believed until a fresh one comes (`server.trust-stale`, temporary).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Final, Literal

import msgspec

from certs import path, revocation
from certs.bundle import TrustBundle
from certs.path import Anchors, Path
from certs.revocation import CrlError, RevocationList
from protocol.errors import (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_REVOKED,
    SEAL_EXPIRED,
    SEAL_NOT_YET_VALID,
    SEAL_REVOKED,
    SEAL_UNTRUSTED,
    TRUST_STALE,
    UNAUTHENTICATED,
    ErrorKind,
    ExchangeError,
)
from runtime.config import ConfigError

Purpose = Literal["seal", "client", "server", "hub"]
"""seal: signs documents · client: calls the hub over TLS · server: answers TLS · hub: signs in the hub's name."""

_CACHE: Final = 4096
"""Certificates whose path is remembered: every agency of a province, several times over."""

_ALLOWED: Final[dict[Purpose, Callable[[Path], bool]]] = {
    "seal": lambda found: found.can_seal and bool(found.agency or found.hub),
    "client": lambda found: found.can_call and bool(found.agency or found.hub),
    "server": lambda found: found.can_serve,
    "hub": lambda found: found.can_seal and bool(found.hub),
}

_CALLER_KINDS: Final[dict[str, ErrorKind]] = {
    SEAL_EXPIRED.code: CERTIFICATE_EXPIRED,
    SEAL_NOT_YET_VALID.code: CERTIFICATE_EXPIRED,
    SEAL_REVOKED.code: CERTIFICATE_REVOKED,
}

__all__ = ["Purpose", "Trust", "TrustBundle"]


class Trust:
    """Trust in a province's roots. `source` is the file or authority folder to watch for new revocation lists.

    The roots are pinned: whatever appears in `source` later, no new root is taken from it.
    Raises `ConfigError` when a root is not usable.
    """

    def __init__(self, bundle: TrustBundle, source: FilePath | None = None) -> None:
        self.problem = ""
        """Why the newest revocation data was not taken; "" when all is well. For the log and `doctor`."""
        self._source = source
        self._watched = None if source is None else source / "crl.pem" if source.is_dir() else source
        self._looked_at = float("-inf")
        self._seen: tuple[int, int, int] | None = None  # so that the first use looks again: no change falls between
        self._lists: dict[bytes, RevocationList] = {}
        self._pems: dict[bytes, bytes] = {}
        self._install(bundle)
        self._take_lists(bundle.crls)

    @classmethod
    def load(cls, source: FilePath) -> Trust:
        """Trust from an authority's folder or a bundle file, watched from now on. Raises `ConfigError`."""
        return cls(TrustBundle.load(source), source)

    @property
    def bundle(self) -> TrustBundle:
        """What is in force now, for others to fetch."""
        return self._bundle

    def check_certificate(
        self, der: bytes, at: datetime, *, purpose: Purpose, historical: bool = False, looked_within: float = 0.0
    ) -> Path:
        """Return what the certificate says, or raise why it is not believed at `at` (aware).

        With `historical`, a certificate revoked after `at` is still good (AC-5-4); otherwise a listed one is out.
        A look at the revocation file that is at most `looked_within` seconds old serves again.
        Raises `seal.malformed`, `.algorithm`, `.certificate-untrusted|expired|not-yet-valid|revoked`,
        `server.trust-stale`; for purpose `client` the `caller.*` counterparts.
        """
        if not looked_within or time.monotonic() - self._looked_at > looked_within:
            self.reload_crl_if_changed()
        try:
            found = self._path(der)
            if not _ALLOWED[purpose](found):
                raise ExchangeError(SEAL_UNTRUSTED, reason=f"not for {purpose}")  # noqa: TRY301 - one exit translates
            _check_time(found, at)
            self._check_revocation(found, at, historical=historical)
        except ExchangeError as error:
            if purpose != "client" or error.kind is TRUST_STALE:
                raise
            kind = _CALLER_KINDS.get(error.kind.code, UNAUTHENTICATED)
            raise ExchangeError(kind, reason=error.kind.code, because=error.details.get("reason")) from error
        return found

    def agency_of(self, der: bytes) -> str:
        """The agency code in the SAN URI of a certificate of ours. Raises `seal.certificate-untrusted` without one."""
        agency = self._path(der).agency
        if not agency:
            raise ExchangeError(SEAL_UNTRUSTED, reason="no agency")
        return agency

    def reload_crl_if_changed(self) -> bool:
        """Look at the watched file (2 µs) and take over what is new and good; `True` when something was taken."""
        if self._watched is None or self._source is None:
            return False
        self._looked_at = time.monotonic()
        seen = self._stat()
        if seen == self._seen:
            return False
        try:
            taken = self.update(TrustBundle.load(self._source))
        except ConfigError as error:
            self.problem = str(error)
            if isinstance(error.__cause__, OSError) and seen is not None:
                return False  # it is there and could not be read now (too many open files): the next call looks again
            taken = False
        self._seen = seen
        return taken

    def update(self, bundle: TrustBundle) -> bool:
        """Take over intermediates, lists and log keys of a newer bundle of our roots; `False`: nothing was good."""
        if not set(bundle.roots) & set(self._bundle.roots):
            self.problem = "bundle of other roots"
            return False
        merged = TrustBundle(
            roots=self._bundle.roots,
            intermediates=tuple(dict.fromkeys((*self._bundle.intermediates, *bundle.intermediates))),
            crls=self._bundle.crls,
            log_keys=tuple(dict.fromkeys((*self._bundle.log_keys, *bundle.log_keys))),
        )
        if merged != self._bundle:
            self._install(merged)
        return self._take_lists(bundle.crls)

    def next_update(self) -> datetime | None:
        """When the first revocation list in force runs out; `None` without any."""
        return min((one.next_update for one in self._lists.values()), default=None)

    def _install(self, bundle: TrustBundle) -> None:
        try:
            self._anchors = Anchors(bundle.roots, bundle.intermediates)
        except ExchangeError as error:
            raise ConfigError(f"Chứng thư gốc trong dữ liệu tin cậy không dùng được ({error}).") from error
        self._bundle = bundle
        anchors = self._anchors
        self._path = lru_cache(_CACHE)(lambda der: path.build(der, anchors))

    def _take_lists(self, crls: Iterable[bytes]) -> bool:
        """Take each list that is signed and newer; whatever else is there becomes the `problem`."""
        problems, taken = [], dict[bytes, tuple[RevocationList, bytes]]()
        for pem in crls:
            try:
                new = revocation.read(pem, (*self._anchors.intermediates, *self._anchors.roots))
                held = taken[new.issuer][0] if new.issuer in taken else self._lists.get(new.issuer)
                if held is not None and new.number < held.number:
                    raise CrlError(f"number {new.number} is below {held.number}")  # noqa: TRY301 - joins the others
                taken[new.issuer] = new, pem
            except CrlError as error:
                problems.append(str(error))
        self.problem = "; ".join(problems)
        self._lists |= {issuer: new for issuer, (new, _) in taken.items()}
        self._pems |= {issuer: pem for issuer, (_, pem) in taken.items()}
        self._bundle = msgspec.structs.replace(self._bundle, crls=tuple(self._pems.values()))
        return bool(taken)

    def _check_revocation(self, found: Path, at: datetime, *, historical: bool) -> None:
        for depth, (issuer, serial) in enumerate(found.issuers):
            listed = self._lists.get(issuer)
            if listed is None:
                if depth == 0:  # the root's list is optional: a new bundle drops a bad intermediate
                    raise ExchangeError(TRUST_STALE, reason="no revocation list")
                continue
            entry = listed.entries.get(serial)
            if entry is not None and not (historical and at < entry.at):
                raise ExchangeError(SEAL_REVOKED, reason=entry.reason, revoked_at=entry.at)
            if listed.next_update < at:
                raise ExchangeError(TRUST_STALE, next_update=listed.next_update)

    def _stat(self) -> tuple[int, int, int] | None:
        if self._watched is None:
            return None
        try:
            status = os.stat(self._watched)  # noqa: PTH116 - half the cost of Path.stat, once per document
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _check_time(found: Path, at: datetime) -> None:
    if at < found.window.start:
        raise ExchangeError(SEAL_NOT_YET_VALID, valid_from=found.window.start)
    if at > found.window.end:
        raise ExchangeError(SEAL_EXPIRED, valid_to=found.window.end)
