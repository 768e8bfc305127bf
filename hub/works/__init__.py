"""Works: what the ledger's writer does in a batch, one class for each thing that can happen to the hub's state."""

from __future__ import annotations

from hub.works.delivering import Confirm, Postpone, Release
from hub.works.intake import Accept, Recorded, identity_of
from hub.works.refusing import Refuse
from hub.works.registering import Enrol, Invite, PutAgency
from hub.works.reporting import Report

__all__ = [
    "Accept",
    "Confirm",
    "Enrol",
    "Invite",
    "Postpone",
    "PutAgency",
    "Recorded",
    "Refuse",
    "Release",
    "Report",
    "identity_of",
]
