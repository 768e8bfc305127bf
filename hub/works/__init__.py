"""Works: what the ledger's writer does in a batch, one class for each thing that can happen to the hub's state."""

from __future__ import annotations

from hub.works.delivering import Attempt, Confirm, Postpone, Release
from hub.works.intake import Accept, Recorded, identity_of
from hub.works.refusing import Refuse
from hub.works.registering import AgencyChange, ChangeAgency, Enrol, Invite
from hub.works.reporting import Report

__all__ = [
    "Accept",
    "AgencyChange",
    "Attempt",
    "ChangeAgency",
    "Confirm",
    "Enrol",
    "Invite",
    "Postpone",
    "Recorded",
    "Refuse",
    "Release",
    "Report",
    "identity_of",
]
