"""Where everything of one agent stands under its directory; the only module that knows the names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from runtime import durable

CONFIGURATION_NAME: Final = "edge.toml"


class Places(msgspec.Struct, frozen=True):
    """The paths of one agent. `root` is the directory that `--dir` names."""

    root: Path

    @property
    def configuration(self) -> Path:
        """The TOML file."""
        return self.root / CONFIGURATION_NAME

    @property
    def keys(self) -> Path:
        """Folder of what must stay secret (0700)."""
        return self.root / "keys"

    @property
    def private_key(self) -> Path:
        """PEM, mode 0600; never leaves this machine."""
        return self.keys / "agency.key"

    @property
    def certificate(self) -> Path:
        """PEM of the leaf, then of the intermediate certificates."""
        return self.keys / "agency.crt"

    @property
    def token_hash(self) -> Path:
        """Salted hash of the token of the local system."""
        return self.keys / "local-token.json"

    @property
    def control(self) -> Path:
        """Where the running agent listens, and the secret for its commands."""
        return self.keys / "control.json"

    @property
    def trust(self) -> Path:
        """Folder of the trust bundle."""
        return self.root / "trust"

    @property
    def database(self) -> Path:
        """Outbox, inbox, receipts, checkpoints."""
        return self.root / "data" / "edge.db"

    @property
    def payloads(self) -> Path:
        """Content-addressed attachments."""
        return self.root / "data" / "payloads"

    @property
    def outgoing(self) -> Path:
        """The local system or a clerk drops here what shall be sent."""
        return self.root / "folders" / "outgoing"

    @property
    def incoming(self) -> Path:
        """One folder for every message that arrived."""
        return self.root / "folders" / "incoming"

    @property
    def done(self) -> Path:
        """What was taken over from `outgoing`."""
        return self.root / "folders" / "done"

    @property
    def failed(self) -> Path:
        """What was refused, the reason beside it."""
        return self.root / "folders" / "failed"

    def make(self) -> None:
        """Create the folders that are missing, durably. Raises `OSError`."""
        for folder in (self.payloads, self.trust, self.outgoing, self.incoming, self.done, self.failed):
            durable.make_directory(folder)
        durable.make_directory(self.keys, mode=0o700)
