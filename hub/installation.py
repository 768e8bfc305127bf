"""`lienthong-hub init`: one folder with everything a hub needs, made in one go and never overwritten."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from certs import enrolment, keys
from certs.authority import Authority
from certs.signers import LogSigner
from hub.configuration import FILE_NAME, HubConfiguration
from runtime import config, durable
from runtime.config import ConfigError


def initialise(
    folder: Path, *, province: str, province_name: str, name: str, hosts: tuple[str, ...], port: int, at: datetime
) -> HubConfiguration:
    """Make CA (unless one is there), hub certificate, log key and `hub.toml`. Raises `ConfigError`."""
    path = folder / FILE_NAME
    if path.exists():
        raise ConfigError(f"Thư mục {folder} đã là một trục ({FILE_NAME}); không ghi đè.")
    durable.make_directory(folder, 0o700)
    shown = HubConfiguration(
        province=province,
        name=name,
        port=port,
        public_url=f"https://{hosts[0]}:{port}",
        operator_port=port + 37 if port else 0,
    )
    authority_folder = folder / shown.authority
    if not (authority_folder / "root.pem").exists():
        Authority.init(authority_folder, province=province_name, at=at)
    authority = Authority(authority_folder)
    key, request = enrolment.make_request(name)
    keys.write_key(folder / shown.key, key)
    certificate = authority.issue_hub(request, hosts, at=at)
    durable.write_file(folder / shown.certificate, authority.chain_pem(certificate))
    if not (folder / shown.log_key).exists():
        LogSigner.create(folder / shown.log_key)
    durable.write_file(path, config.show(HubConfiguration, shown).encode())  # last: now it is a hub
    return config.load(path, HubConfiguration)
