"""A full queue refuses at the door, and only the agency that fills it (AC-12.1-2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.custody import IN_FLIGHT
from protocol import errors, native, soap
from protocol.errors import ExchangeError
from protocol.soap import SoapVersion
from tests.support.agency import AgencyClient, Attached, multipart
from tests.support.running_hub import RunningHub


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        yield running


class Held:
    """A message whose last octets do not come before `finish`."""

    def __init__(self, sender: AgencyClient, number: int) -> None:
        file = Attached("f1", b"%PDF-1.7 held")
        document = sender.document(["H21.24"], str(number), [file])
        root = soap.write_envelope(SoapVersion.V12, native.write_send(sender.sealed(document)))
        self._data, self._type = multipart(root, [file])
        self._sender = sender
        self._finish = asyncio.Event()

    async def _octets(self) -> AsyncIterator[bytes]:
        yield self._data[:-10]
        await self._finish.wait()
        yield self._data[-10:]

    def finish(self) -> None:
        self._finish.set()

    async def send(self) -> errors.ErrorKind | None:
        """What the hub refuses it with, None when it was accepted."""
        async with self._sender.session.post(
            f"{self._sender.url}/lienthong/v1", data=self._octets(), headers={"Content-Type": self._type}
        ) as response:
            fault = soap.read_fault(soap.read_envelope(await response.read()))
            return None if fault is None else fault.kind


async def test_ac_12_1_2_the_flooding_agency_hears_busy_while_anothers_document_goes_through(hub: RunningHub) -> None:
    async with (
        await hub.agency("H21.16") as flooding,
        await hub.agency("H21.23") as other,
        await hub.agency("H21.24") as recipient,
    ):
        flood = [Held(flooding, number) for number in range(IN_FLIGHT)]
        tasks = [asyncio.create_task(one.send()) for one in flood]
        async with asyncio.timeout(60):
            while hub.hub.exchange.custody.in_flight["H21.16"] < IN_FLIGHT:
                await asyncio.sleep(0.02)
        with pytest.raises(ExchangeError) as caught:
            await flooding.send(flooding.sealed(flooding.document(["H21.24"], "9999")))
        assert caught.value.kind is errors.BUSY
        file = Attached("f1", b"%PDF-1.7 other")
        accepted = await other.send(other.sealed(other.document(["H21.24"], "1", [file])), [file])
        assert [one.number for one in await recipient.pending(wait=10)] == [accepted.number]
        for one in flood:
            one.finish()
        assert set(await asyncio.gather(*tasks)) == {None}
        assert len(await recipient.pending(limit=2 * IN_FLIGHT)) == IN_FLIGHT + 1
        await flooding.send(flooding.sealed(flooding.document(["H21.24"], "9999")))
