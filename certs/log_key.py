"""Who vouches for the key of the evidence log: a small text, signed with the hub's X.509 key.

Checkpoints are signed with a bare Ed25519 key. The statement binds that key to the province: its text names origin and
verifier key, its signature is one that `openssl dgst -sha256 -verify` reads, and the certificates stand beside it.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certs import bundle, keys
from certs.path import to_der
from certs.signers import der_ecdsa
from certs.trust import Trust
from protocol.checkpoint import KeyKind, VerifierKey
from protocol.errors import PROOF_INVALID, ExchangeError
from protocol.signing import Signer

FORMAT: Final = "lienthong-log-key-1"
_HEAD: Final = "lienthong log key 1"
_ELEMENT: Final = "xác nhận khóa của sổ bằng chứng"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON container.

    `signature` is base64 of the raw RSA signature, or of ECDSA-Sig-Value in DER; `certificates` are PEM, leaf first.
    """

    format: str
    text: str
    signature: str
    certificates: tuple[str, ...]

    @property
    def leaf(self) -> bytes:
        """DER of the hub certificate that signed."""
        return to_der(x509.load_pem_x509_certificate(self.certificates[0].encode()))


def make_statement(signer: Signer, origin: str, vkey: str) -> str:
    """The statement (JSON) that `vkey` (C2SP signed-note verifier key) signs the checkpoints of log `origin`.

    Raises `proof.invalid` when `vkey` is not a key of that origin.
    """
    text = f"{_HEAD}\norigin: {origin}\nvkey: {vkey}\n"
    _read_text(text)
    signature = signer.sign(text.encode())
    if signer.algorithm == "ecdsa-sha256":
        signature = der_ecdsa(signature)
    statement = Statement(
        format=FORMAT,
        text=text,
        signature=base64.b64encode(signature).decode(),
        certificates=tuple(map(bundle.pem, (signer.certificate, *signer.chain))),
    )
    return msgspec.json.format(msgspec.json.encode(statement), indent=1).decode()


def verify_statement(statement: str, trust: Trust, at: datetime) -> str:
    """The verifier key, when a hub certificate that was good at `at` vouches for it.

    Raises `proof.invalid` for a damaged or forged statement, `seal.*` when the certificate is not believed.
    """
    container = read_statement(statement)
    found = trust.check_certificate(container.leaf, at, purpose="hub", historical=True)
    try:
        _verify(found.public_key, base64.b64decode(container.signature, validate=True), container.text.encode())
    except (ValueError, InvalidSignature) as error:
        raise ExchangeError(PROOF_INVALID, element=_ELEMENT, reason="signature") from error
    return _read_text(container.text)


def read_statement(statement: str) -> Statement:
    """The container, unverified. Raises `proof.invalid`."""
    try:
        container = msgspec.json.decode(statement, type=Statement)
        readable = container.format == FORMAT and bool(container.leaf)
    except (*keys.UNREADABLE, IndexError, msgspec.MsgspecError) as error:
        raise ExchangeError(PROOF_INVALID, element=_ELEMENT, reason="form") from error
    if not readable:
        raise ExchangeError(PROOF_INVALID, element=_ELEMENT, reason="format")
    return container


def _read_text(text: str) -> str:
    """The verifier key in a statement's text; the text is accepted in exactly one form."""
    lines = text.split("\n")
    origin, vkey = (line.partition(": ")[2] for line in (*lines, "", "")[1:3])
    key = VerifierKey.parse(vkey)
    if text != f"{_HEAD}\norigin: {origin}\nvkey: {vkey}\n" or key.name != origin or key.kind is not KeyKind.LOG:
        raise ExchangeError(PROOF_INVALID, element=_ELEMENT, reason="text")
    return vkey


def _verify(key: keys.PublicKey, signature: bytes, data: bytes) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
