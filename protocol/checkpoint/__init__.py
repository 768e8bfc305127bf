"""Checkpoints of the evidence log: C2SP tlog-checkpoint signed notes, Ed25519, and witnesses' cosignatures."""

from __future__ import annotations

from protocol.checkpoint.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from protocol.checkpoint.cosignatures import Cosignature, add_cosignature, cosign
from protocol.checkpoint.keys import KeyKind, LogKey, Sign, VerifierKey, WitnessKey

__all__ = [
    "Checkpoint",
    "Cosignature",
    "KeyKind",
    "LogKey",
    "Sign",
    "VerifierKey",
    "WitnessKey",
    "add_cosignature",
    "cosign",
    "read_checkpoint",
    "sign_checkpoint",
]
