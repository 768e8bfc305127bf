"""TLS contexts. Hub and edge speak TLS 1.3 with certificates of the province; third parties may be allowed 1.2.

The handshake checks the chain; agency, purpose and revocation are checked by `certs.trust` per request, so that a
revocation also ends connections that are already open.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from certs import bundle as bundles
from certs import keys
from certs.bundle import TrustBundle
from runtime.config import ConfigError

ClientCertificates = Literal["optional", "required", "none"]
_VERIFY_MODES = {"optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED, "none": ssl.CERT_NONE}


def server_context(
    certificate: Path,
    key: Path,
    trust: TrustBundle,
    *,
    client_certificates: ClientCertificates = "optional",
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """For a server: `certificate` holds leaf and intermediates (PEM), `key` has mode 0600.

    `optional`: enrolment comes without a certificate; one that is shown must chain to a root of `trust`.
    Raises `ConfigError`.
    """
    context = _strict(ssl.PROTOCOL_TLS_SERVER, minimum)
    _identify(context, certificate, key)
    context.verify_mode = _VERIFY_MODES[client_certificates]
    if client_certificates != "none":
        _pin(context, (*trust.roots, *trust.intermediates))
    return context


def client_context(
    roots: Sequence[bytes],
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """For a client that trusts these roots (DER) and no others, and the server's name in its SAN; own key optional.

    Raises `ConfigError`.
    """
    context = _strict(ssl.PROTOCOL_TLS_CLIENT, minimum)
    _pin(context, roots)
    if certificate is not None and key is not None:
        _identify(context, certificate, key)
    return context


def first_contact_context() -> ssl.SSLContext:
    """For one purpose: fetching the trust bundle, which is public, before any root is known.

    Nothing may be believed or said over it: the caller compares the fetched root with the fingerprint in the one-time
    code (`certs.enrolment.root_matches`) and connects again with `client_context`.
    """
    context = _strict(ssl.PROTOCOL_TLS_CLIENT, ssl.TLSVersion.TLSv1_3)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _strict(protocol: int, minimum: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = minimum
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if minimum < ssl.TLSVersion.TLSv1_3:
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # of TLS 1.2 only what has forward secrecy and AEAD
    return context


def _pin(context: ssl.SSLContext, certificates: Sequence[bytes]) -> None:
    try:
        context.load_verify_locations(cadata=bundles.pem_file(certificates))
    except (ssl.SSLError, *keys.UNREADABLE) as error:
        raise ConfigError("Chứng thư gốc dùng cho TLS không đọc được.") from error


def _identify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    keys.read_private_file(key)  # the same rule for the mode of the file, whoever reads it
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except FileNotFoundError as error:
        raise ConfigError(f"Không có tệp chứng thư {certificate} hoặc khóa {key}.") from error
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(f"Chứng thư {certificate} và khóa {key} không dùng được cho TLS.") from error


def _no_password() -> str:
    """Never ask at the terminal: a service has none."""
    return ""
