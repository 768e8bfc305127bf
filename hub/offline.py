"""Administration from the command line: the running hub does it; when none runs, the ledger is opened for a moment.

Commands that only look take no lock, change nothing and remove nothing: a hub that starts in that moment starts.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import closing
from typing import Any, Final, cast

import msgspec
import pysqlite3

from certs.authority import Authority
from certs.signers import LogSigner
from hub import control
from hub.administration import Administration
from hub.configuration import HubConfiguration
from hub.intake import now_utc
from hub.ledger import statements as sql
from hub.ledger.ledger import FILE_NAME, Ledger
from hub.ledger.records import DeliveryRow, to_milliseconds
from hub.ledger.transaction import read_agencies, read_delivery
from hub.registry import Registry
from protocol import errors
from protocol.checkpoint import LogKey
from protocol.errors import ExchangeError
from runtime import database
from runtime.config import ConfigError
from runtime.lock import HeldError

LOOKING: Final = frozenset({"lines", "dead"})
"""Operations that only read."""
PATIENCE: Final = 10.0
"""Seconds that a change waits for whoever has the ledger; a hub that starts answers itself after that."""


async def administer(configuration: HubConfiguration, operation: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 -- each operation's own
    """The result of one operation of `Administration`, as plain data.

    Raises what the operation raises, and `HeldError` when another process keeps the ledger.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while True:
        try:
            return await control.call(configuration.control, operation, **arguments)
        except ExchangeError as error:
            if error.kind is not errors.UNREACHABLE:
                raise
        if operation in LOOKING:
            return _look(configuration, operation)
        try:
            return await _directly(configuration, operation, arguments)
        except HeldError:
            if loop.time() > end:
                raise
            await asyncio.sleep(0.1)


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


class _Looking:
    """The part of a `Ledger` that `LOOKING` operations use, on a connection that can only read."""

    def __init__(self, connection: database.Connection) -> None:
        self._connection = connection

    def queues(self) -> list[tuple[str, int, int]]:
        return self._connection.execute(sql.QUEUES).fetchall()  # type: ignore[no-any-return] # the library ships no types

    def dead(self, limit: int) -> list[DeliveryRow]:
        return [read_delivery(row) for row in self._connection.execute(sql.DEAD, (limit,))]


def _look(configuration: HubConfiguration, operation: str) -> Any:  # noqa: ANN401 -- as above
    path = configuration.data / FILE_NAME
    if not path.exists():
        return []  # no hub has run here yet
    try:
        with closing(database.connect(path, read_only=True)) as connection:
            registry = Registry(read_agencies(connection), {}, configuration.province)
            ledger = cast("Ledger", _Looking(connection))
            administration = Administration(ledger, registry, b"", now_utc, configuration.invitation_days)
            return msgspec.to_builtins(getattr(administration, operation)())
    except pysqlite3.DatabaseError as error:
        raise ConfigError(f"Không đọc được sổ cái {path} ({error}); chạy lienthong-hub doctor.") from error
