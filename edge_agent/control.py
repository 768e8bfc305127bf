"""What commands ask of the running agent, which alone writes its database: a local address and a secret file."""

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

RELEASE: Final = "/control/release"
CLEAR: Final = "/control/clear"
SECRET_OCTETS: Final = 32
TIMEOUT: Final = 15.0
READINESS_LIMIT: Final = 1000
"""Octets."""
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy of the environment is not asked for what runs on this machine."""


class Release(msgspec.Struct, frozen=True):
    """Hand a refused message over again."""

    number: int
    route: Route = "soap"


class Clear(msgspec.Struct, frozen=True):
    """A person has seen to this alarm."""

    kind: str


class Access(msgspec.Struct, frozen=True):
    """Where the agent listens, and the secret that proves that a command may write its files."""

    address: str
    secret: str


class Control:
    """The agent's side."""

    def __init__(
        self,
        places: Places,
        release: Callable[[int, Route], Awaitable[bool]],
        clear: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`release` and `clear` answer whether there was something to do."""
        self._file = places.control
        self._release = release
        self._clear = clear
        self._secret = secrets.token_hex(SECRET_OCTETS)

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post(RELEASE, self._handle)
        app.router.add_post(CLEAR, self._handle)

    def announce(self, host: str, port: int) -> None:
        """Tell commands of this machine where to ask; only the owner of the files can read it."""
        name = f"[{host}]" if ":" in host else host
        access = Access(f"http://{name}:{port}", self._secret)
        durable.write_file(self._file, msgspec.json.encode(access), durable.PRIVATE_MODE)

    async def _handle(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            return web.Response(status=HTTPStatus.FORBIDDEN)
        try:
            done = await self._do(request.path, await request.read())
        except msgspec.MsgspecError:
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        return web.Response(status=HTTPStatus.NO_CONTENT if done else HTTPStatus.NOT_FOUND)

    async def _do(self, path: str, body: bytes) -> bool:
        if path == RELEASE:
            release = msgspec.json.decode(body, type=Release)
            return await self._release(release.number, release.route)
        return await self._clear(msgspec.json.decode(body, type=Clear).kind)


def ask_release(places: Places, number: int, route: Route) -> None:
    """Hand over again. Raises `document.not-found`, or `server.unreachable` when no agent runs here."""
    _ask(places, RELEASE, Release(number, route))


def ask_clear(places: Places, kind: str) -> None:
    """End an alarm. Raises `document.not-found` when it is not up, or `server.unreachable`."""
    _ask(places, CLEAR, Clear(kind))


def ask_ready(places: Places) -> str | None:
    """What keeps the agent of this directory from taking documents: "" nothing, None that no agent runs."""
    try:
        access = msgspec.json.decode(places.control.read_bytes(), type=Access)
        with _DIRECT.open(f"{access.address}/readyz", timeout=TIMEOUT):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return error.read(READINESS_LIMIT).decode(errors="replace").strip()
    except (OSError, msgspec.MsgspecError):
        return None


def _ask(places: Places, path: str, question: msgspec.Struct) -> None:
    try:
        access = msgspec.json.decode(places.control.read_bytes(), type=Access)
        request = urllib.request.Request(  # noqa: S310 -- the address is our own file's, on this machine
            access.address + path,
            data=msgspec.json.encode(question),
            headers={"Authorization": f"Bearer {access.secret}"},
        )
        with _DIRECT.open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        error.close()
        kind = errors.DOCUMENT_NOT_FOUND if error.code == HTTPStatus.NOT_FOUND else errors.FORBIDDEN
        raise ExchangeError(kind, status=error.code) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ExchangeError(errors.UNREACHABLE, cause=type(error).__name__) from error
