from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certs_province import Province, request

from certs import tls
from certs.authority import Authority
from certs.bundle import TrustBundle
from runtime.config import ConfigError


@pytest.fixture
def live(tmp_path: Path) -> Province:
    """A province of today: TLS asks the machine's own clock."""
    Authority.init(tmp_path / "ca", province="Gia Lai", at=datetime.now(UTC))
    return Province(tmp_path)


def certificate(live: Province, name: str) -> tuple[Path, Path]:
    now = datetime.now(UTC)
    issue = live.authority.issue_hub if name == "hub" else live.authority.issue_agency
    der = issue(request()[1], ("localhost",) if name == "hub" else "H21.16", at=now)
    key, pem = live.files(der, name)
    return pem, key


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> tuple[str | None, bytes | None]:
    """One handshake and one octet over a socket pair; the version, and the client certificate that the server saw."""
    left, right = socket.socketpair()
    left.settimeout(10)
    right.settimeout(10)
    seen: list[tuple[str | None, bytes | None]] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as connection:
                seen.append((connection.version(), connection.getpeercert(binary_form=True)))
                connection.sendall(b"!")
        except OSError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=name) as connection:
            assert connection.recv(1) == b"!"
    finally:
        right.close()
        thread.join()
    return seen[0]


def test_hub_and_edge_speak_tls_1_3_with_both_certificates(live: Province):
    trust = TrustBundle.load(live.ca)
    server = tls.server_context(*certificate(live, "hub"), trust)
    pem, key = certificate(live, "edge")
    version, seen = shake(server, tls.client_context(trust.roots, pem, key))
    assert version == "TLSv1.3"
    assert seen is not None
    assert live.trust().agency_of(seen) == "H21.16"


def test_enrolment_comes_without_a_certificate_unless_one_is_required(live: Province):
    trust = TrustBundle.load(live.ca)
    hub = certificate(live, "hub")
    assert shake(tls.server_context(*hub, trust), tls.client_context(trust.roots)) == ("TLSv1.3", None)
    with pytest.raises(OSError, match=r"(?i)certificate.required|closed|reset|EOF"):
        shake(tls.server_context(*hub, trust, client_certificates="required"), tls.client_context(trust.roots))


def test_ac_3_1_3_tls_1_2_is_refused_unless_it_is_allowed_and_then_has_forward_secrecy(live: Province):
    trust = TrustBundle.load(live.ca)
    hub = certificate(live, "hub")
    old = tls.client_context(trust.roots, minimum=ssl.TLSVersion.TLSv1_2)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match=r"(?i)protocol.version|EOF|closed|reset"):
        shake(tls.server_context(*hub, trust), old)
    tolerant = tls.server_context(*hub, trust, minimum=ssl.TLSVersion.TLSv1_2)
    assert shake(tolerant, old)[0] == "TLSv1.2"
    names = [cipher["name"] for cipher in tolerant.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert names
    assert all(name.startswith("ECDHE") and ("GCM" in name or "CHACHA20" in name) for name in names)


def test_hub_of_another_province_is_not_spoken_to(live: Province, tmp_path: Path):
    Authority.init(tmp_path / "thief" / "ca", province="Gia Lai", at=datetime.now(UTC))
    thief = Province(tmp_path / "thief")
    server = tls.server_context(*certificate(thief, "hub"), TrustBundle.load(thief.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, tls.client_context(TrustBundle.load(live.ca).roots))
    assert shake(server, tls.first_contact_context())[0] == "TLSv1.3"


def test_client_certificate_of_another_province_is_refused_in_the_handshake(live: Province, tmp_path: Path):
    Authority.init(tmp_path / "thief" / "ca", province="Gia Lai", at=datetime.now(UTC))
    pem, key = certificate(Province(tmp_path / "thief"), "edge")
    trust = TrustBundle.load(live.ca)
    with pytest.raises(OSError, match=r"(?i)unknown.ca|closed|reset|EOF"):
        shake(tls.server_context(*certificate(live, "hub"), trust), tls.client_context(trust.roots, pem, key))


def test_server_under_another_name_and_an_agency_posing_as_the_hub_are_refused(live: Province):
    trust = TrustBundle.load(live.ca)
    client = tls.client_context(trust.roots)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname"):
        shake(tls.server_context(*certificate(live, "hub"), trust), client, name="truc.gialai.gov.vn")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.server_context(*certificate(live, "edge"), trust), client)


def test_open_key_file_and_damaged_certificate_are_bad_configuration(live: Province):
    trust = TrustBundle.load(live.ca)
    pem, key = certificate(live, "hub")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="0644"):
        tls.server_context(pem, key, trust)
    key.chmod(0o600)
    pem.write_text("junk")
    with pytest.raises(ConfigError):
        tls.server_context(pem, key, trust)
    with pytest.raises(ConfigError):
        tls.client_context((b"junk",))
