"""The control socket: how `lienthong-hub` talks to the hub that is running, so that one process writes the ledger.

A Unix socket with mode 0600 in the hub's folder; whoever may open it may administer the hub. Requests name an operation
of `Administration` and its arguments in JSON.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from hub.administration import Administration
from protocol import errors
from protocol.errors import ExchangeError

OPERATIONS: Final = frozenset(
    {"add", "invite", "suspend", "resume", "set_token", "revoke_token", "lines", "dead", "release"}
)


class ControlRequest(msgspec.Struct, frozen=True):
    """One call."""

    operation: str
    arguments: dict[str, Any] = {}


class ControlAnswer(msgspec.Struct, frozen=True):
    """Its result, or the error code with the element it names."""

    result: Any = None
    error: str = ""
    element: str = ""


async def serve(administration: Administration, path: Path) -> web.AppRunner:
    """Listen on the socket; an old one left by a killed hub is replaced."""

    async def handle(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ControlRequest)
        answer = await _call(administration, asked)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    path.unlink(missing_ok=True)  # noqa: ASYNC240 -- once, at start
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return runner


async def _call(administration: Administration, asked: ControlRequest) -> ControlAnswer:
    try:
        if asked.operation not in OPERATIONS:
            raise ExchangeError(errors.UNKNOWN_OPERATION, element=asked.operation)  # noqa: TRY301 -- one exit renders
        result = getattr(administration, asked.operation)(**asked.arguments)
        return ControlAnswer(result=await result if inspect.isawaitable(result) else result)
    except ExchangeError as error:
        return ControlAnswer(error=error.kind.code, element=error.element)


async def call(path: Path, operation: str, **arguments: object) -> Any:  # noqa: ANN401 -- the operation's own result
    """Call the running hub. Raises `server.unreachable` when none runs, and what the operation raises."""
    body = msgspec.json.encode(ControlRequest(operation, arguments))
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.post("http://hub/", data=body) as response,
        ):
            answer = msgspec.json.decode(await response.read(), type=ControlAnswer)
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise ExchangeError(errors.UNREACHABLE) from error
    if answer.error:
        raise ExchangeError(errors.kind_of(answer.error), element=answer.element)
    return answer.result
