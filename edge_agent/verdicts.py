"""What a failure of the hub's answer is about: the line, the agency as such, or (everything else) the message."""

from __future__ import annotations

from typing import Final

from protocol import errors

HUB: Final = frozenset({errors.BUSY, errors.STOPPING, errors.DISK_FULL, errors.CLOCK, errors.TRUST_STALE})
"""The hub's own words about itself, which say nothing about the message."""
CERTIFICATE: Final = frozenset(
    {errors.SEAL_EXPIRED, errors.SEAL_NOT_YET_VALID, errors.SEAL_REVOKED, errors.SEAL_UNTRUSTED}
)
"""The certificate behind a seal is refused."""
AGENCY: Final = CERTIFICATE | {
    errors.UNAUTHENTICATED,
    errors.CERTIFICATE_REVOKED,
    errors.CERTIFICATE_EXPIRED,
    errors.NOT_REGISTERED,
    errors.SUSPENDED,
}
"""Refusals of the agency: a person puts them right, and then everything goes out."""
