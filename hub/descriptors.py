"""How many files and connections the hub may hold open: each agency that waits for mail holds one."""

from __future__ import annotations

import resource
from typing import Final

ENOUGH: Final = 4096
"""A thousand agencies with a connection or two each, and what the ledger holds open."""


def raise_limit() -> int:
    """Lift the soft limit to the hard one; the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def highest() -> int:
    """What `serve` will have: the hard limit of this session."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
