"""What commands ask of the running agent, which alone writes its database: one local address, one secret file."""

from __future__ import annotations

import hmac
import secrets
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from edge_agent.places import Places
from edge_agent.records import Route
from protocol import errors
from protocol.errors import ExchangeError
from runtime import durable

PATH: Final = "/control/release"
SECRET_OCTETS: Final = 32
TIMEOUT: Final = 15.0


class Release(msgspec.Struct, frozen=True):
    """Hand a refused message over again."""

    number: int
    route: Route = "soap"


class Access(msgspec.Struct, frozen=True):
    """Where the agent listens, and the secret that proves that a command may write its files."""

    address: str
    secret: str


class Control:
    """The agent's side."""

    def __init__(self, places: Places, release: Callable[[int, Route], Awaitable[bool]]) -> None:
        self._file = places.control
        self._release = release
        self._secret = secrets.token_hex(SECRET_OCTETS)

    def mount(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post(PATH, self._handle)

    def announce(self, host: str, port: int) -> None:
        """Tell commands of this machine where to ask; only the owner of the files can read it."""
        access = Access(f"http://{host}:{port}", self._secret)
        durable.write_file(self._file, msgspec.json.encode(access), durable.PRIVATE_MODE)

    async def _handle(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            return web.Response(status=HTTPStatus.FORBIDDEN)
        try:
            asked = msgspec.json.decode(await request.read(), type=Release)
        except msgspec.MsgspecError:
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        released = await self._release(asked.number, asked.route)
        return web.Response(status=HTTPStatus.NO_CONTENT if released else HTTPStatus.NOT_FOUND)


def ask_release(places: Places, number: int, route: Route) -> None:
    """The command's side. Raises `document.not-found`, or `server.unreachable` when no agent runs here."""
    try:
        access = msgspec.json.decode(places.control.read_bytes(), type=Access)
        request = urllib.request.Request(  # noqa: S310 -- the address is our own file's, on this machine
            access.address + PATH,
            data=msgspec.json.encode(Release(number, route)),
            headers={"Authorization": f"Bearer {access.secret}"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 -- as above
            return
    except urllib.error.HTTPError as error:
        kind = errors.DOCUMENT_NOT_FOUND if error.code == HTTPStatus.NOT_FOUND else errors.FORBIDDEN
        raise ExchangeError(kind, status=error.code) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ExchangeError(errors.UNREACHABLE, cause=type(error).__name__) from error
