"""Administration from the command line: the running hub does it; when none runs, the ledger is opened for a moment."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from certs.authority import Authority
from certs.signers import LogSigner
from hub import control
from hub.administration import Administration
from hub.configuration import HubConfiguration
from hub.intake import now_utc
from hub.ledger.ledger import Ledger
from hub.ledger.records import to_milliseconds
from hub.registry import Registry
from protocol import errors
from protocol.checkpoint import LogKey
from protocol.errors import ExchangeError


async def administer(configuration: HubConfiguration, operation: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 -- each operation's own
    """The result of one operation of `Administration`, as plain data. Raises what the operation raises."""
    try:
        return await control.call(configuration.control, operation, **arguments)
    except ExchangeError as error:
        if error.kind is not errors.UNREACHABLE:
            raise
    return await _directly(configuration, operation, arguments)


async def _directly(configuration: HubConfiguration, operation: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 -- as above
    signer = LogSigner(configuration.log_key)
    key = LogKey(configuration.name, signer.public, signer.sign)
    ledger = Ledger(configuration.data, key, lambda: to_milliseconds(now_utc()))
    try:
        registry = Registry(ledger.agencies(), ledger.certificates(), configuration.province)
        root = Authority(configuration.authority).root
        administration = Administration(ledger, registry, root, now_utc, configuration.invitation_days)
        result = getattr(administration, operation)(**arguments)
        return msgspec.to_builtins(await result if inspect.isawaitable(result) else result)
    finally:
        await ledger.close()
