"""`GET ?wsdl` and `GET ?xsd=NAME` beside a SOAP address: the descriptions, with the address that the client used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from protocol.errors import ExchangeError
from protocol.wsdl import WsdlName, schema, wsdl

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def describe(package: WsdlName) -> Handler:
    """The GET handler of the path where `package` is served; keys of the query are read in any case (`?WSDL`)."""

    async def handle(request: web.Request) -> web.Response:
        address = str(request.url.with_query(None))
        query = {key.lower(): value for key, value in request.query.items()}
        if "wsdl" in query:
            return _xml(wsdl(package, address))
        if "xsd" in query:
            try:
                return _xml(schema(query["xsd"], address))
            except ExchangeError:
                return web.Response(status=404, text="Không có lược đồ này.\n")
        return web.Response(text=f"Dịch vụ SOAP. Mô tả: {address}?wsdl\n")

    return handle


def _xml(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": "text/xml; charset=utf-8"})
