"""The `Signer` seam: where a private key lives is nobody's business but the signer's (file today, PKCS#11 tomorrow)."""

from __future__ import annotations

from typing import Literal, Protocol

SignatureAlgorithm = Literal["rsa-sha256", "ecdsa-sha256"]
"""RSASSA-PKCS1-v1_5 with SHA-256 (2048 bits or more), or ECDSA P-256 with SHA-256."""


class Signer(Protocol):
    """Signs octets with a key whose X.509 certificate it carries."""

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The algorithm that `sign` uses."""
        ...

    @property
    def certificate(self) -> bytes:
        """DER of the leaf certificate."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER of the intermediate certificates above the leaf, nearest first; without the root."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Signature over `data`: raw RSA, or for ECDSA the 64 octets r‖s of XML Signature 1.1 §6.4.3."""
        ...
