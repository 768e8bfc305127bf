"""What a failure is about: the line, the hub, this agency as such, or (everything else) the message.

The vocabulary keeps two verdicts apart that sound alike: `caller.*` is about the agency that speaks, `seal.*` about the
certificate behind one message's seal. Only what this agency sealed itself makes the second one its own affair.
"""

from __future__ import annotations

from typing import Final

from protocol import errors

LINE: Final = frozenset({errors.UNREACHABLE, errors.BAD_ANSWER})
"""The line broke, or something else than the hub answered: for this message, or for all."""
HUB: Final = frozenset({errors.BUSY, errors.STOPPING, errors.DISK_FULL, errors.CLOCK, errors.TRUST_STALE})
"""The hub's own words about itself, which say nothing about the message."""
CALLER: Final = frozenset(
    {
        errors.UNAUTHENTICATED,
        errors.CERTIFICATE_REVOKED,
        errors.CERTIFICATE_EXPIRED,
        errors.NOT_REGISTERED,
        errors.SUSPENDED,
    }
)
"""The hub refuses this agency, whatever it asks: a person puts that right."""
CERTIFICATE: Final = frozenset(
    {errors.SEAL_EXPIRED, errors.SEAL_NOT_YET_VALID, errors.SEAL_REVOKED, errors.SEAL_UNTRUSTED}
)
"""The certificate behind a seal is refused."""
AGENCY: Final = CERTIFICATE | CALLER
"""Refusals of the agency when it sends: the seal is its own then. A person puts them right, and everything goes out."""
