"""Where everything of one agent stands under its directory; the only module that knows the names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from runtime import durable

CONFIGURATION_NAME: Final = "edge.toml"
SHARED_FOLDER: Final = 0o770
"""Less the umask: the usual 022 lets the group read, 007 lets it write too."""


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
    def identity(self) -> Path:
        """PEM, mode 0600: the private key, which never leaves this machine, then leaf, intermediates, pinned root.

        One file, so that a new identity takes the place of the old one by one rename.
        """
        return self.keys / "agency.pem"

    @property
    def token_hash(self) -> Path:
        """Salted hash of the token of the local system."""
        return self.keys / "local-token.json"

    @property
    def control(self) -> Path:
        """Where the running agent listens, and the secret for its commands."""
        return self.keys / "control.json"

    @property
    def trust_bundle(self) -> Path:
        """What is believed about certificates; no secret."""
        return self.root / "trust" / "trust.json"

    @property
    def data(self) -> Path:
        """Folder of all letters and of what is known about them (0700)."""
        return self.root / "data"

    @property
    def database(self) -> Path:
        """Outbox, inbox, receipts, checkpoints."""
        return self.data / "edge.db"

    @property
    def payloads(self) -> Path:
        """Content-addressed attachments."""
        return self.data / "payloads"

    @property
    def organizations(self) -> Path:
        """The province's agencies as the hub last named them."""
        return self.data / "organizations.json"

    @property
    def forks(self) -> Path:
        """What proves that the hub's log has two histories; made when that is seen."""
        return self.data / "evidence"

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
        """Create the folders that are missing, durably. Raises `OSError`.

        Letters are nobody's but the agent's, apart from `folders/`, which it shares with its own group: the local
        system works there under an account of its own.
        """
        durable.make_directory(self.trust_bundle.parent)
        for private in (self.keys, self.data, self.payloads):
            durable.make_directory(private, durable.PRIVATE_FOLDER)
        durable.make_directory(self.outgoing.parent, SHARED_FOLDER)
        for shared in (self.outgoing, self.incoming, self.done, self.failed):
            durable.make_directory(shared, SHARED_FOLDER)
