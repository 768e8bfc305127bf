"""Package B from PHP's SoapClient and from Node's `soap`: each reads the WSDL and completes operations."""

import asyncio
import json
import os
from pathlib import Path

import pytest
import tools
from package_b_stage import ENDPOINTS, ORGANIZATIONS, Endpoint, stage
from test_package_b_zeep import awkward_files, client_of, letter

FOREIGN = Path(__file__).parent / "foreign"
DIRECTORY = [[organization.organ_id, organization.organ_name] for organization in ORGANIZATIONS]
NOT_FOUND = {"Code": "M.DocumentId", "Description": "Không tìm thấy văn bản trong hộp thư của cơ quan."}


@pytest.fixture(params=ENDPOINTS)
async def endpoint(request: pytest.FixtureRequest, tmp_path: Path):
    async with ENDPOINTS[request.param](tmp_path) as served:
        yield served


async def ask(program: str, script: str, endpoint: Endpoint, cwd: Path = FOREIGN) -> dict[str, dict[str, object]]:
    """Run a package B script as the recipient."""
    trust = {"NODE_EXTRA_CA_CERTS": str(endpoint.trust), "SSL_CERT_FILE": str(endpoint.trust)} if endpoint.trust else {}
    return await run(program, script, endpoint.address, endpoint.recipient, endpoint.recipient_token, cwd=cwd, **trust)


async def run(
    program: str, script: str, *arguments: str, cwd: Path = FOREIGN, **trust: str
) -> dict[str, dict[str, object]]:
    process = await asyncio.create_subprocess_exec(
        program,
        str(FOREIGN / script),
        *arguments,
        cwd=cwd,
        env={**os.environ, **trust},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode() + output.decode()
    answer: dict[str, dict[str, object]] = json.loads(output)
    return answer


def deliver(endpoint: Endpoint, folder: Path) -> int:
    client = client_of(endpoint, endpoint.sender, endpoint.sender_token)
    number = client.send(letter(endpoint, *awkward_files(folder)))
    client.close()
    return number


async def test_php_reads_the_wsdl_and_completes_operations(endpoint: Endpoint, tmp_path: Path):
    number = await asyncio.to_thread(deliver, endpoint, tmp_path)
    answers = await ask(tools.php(), "php_client.php", endpoint)
    seen = {"organizations": DIRECTORY, "pending": [number], "permission": True, "refusal": NOT_FOUND}
    assert answers == {"1.1": seen, "1.2": seen}


async def test_node_reads_the_wsdl_and_completes_operations(endpoint: Endpoint, tmp_path: Path):
    number = await asyncio.to_thread(deliver, endpoint, tmp_path)
    node, folder = await asyncio.to_thread(tools.node_with_soap)
    answers = await ask(node, "node_client.js", endpoint, cwd=folder)
    seen = {"organizations": DIRECTORY, "pending": [number], "permission": True, "refusal": NOT_FOUND}
    assert answers == {"Soap11": seen, "Soap12": seen}


@pytest.fixture
async def native(tmp_path: Path):
    """Address of the native package, with one document waiting for whoever asks."""
    async with stage() as served:
        number = await asyncio.to_thread(deliver, served.endpoint, tmp_path)
        yield served.endpoint.address.replace("/edoc/v1", "/lienthong/v1"), number


def native_answers(number: int) -> dict[str, object]:
    refusal = {"Code": "document.not-found", "Temporary": "false"}  # neither tool types a fault's detail
    return {"organizations": DIRECTORY, "pending": [[number, "document", "H21.16"]], "refusal": refusal}


async def test_php_speaks_the_native_package(native: tuple[str, int]):
    address, number = native
    answers = await run(tools.php(), "php_native.php", address)
    assert answers == dict.fromkeys(("1.1", "1.2"), native_answers(number))


async def test_node_speaks_the_native_package(native: tuple[str, int]):
    address, number = native
    node, folder = await asyncio.to_thread(tools.node_with_soap)
    assert await run(node, "node_native.js", address, cwd=folder) == dict.fromkeys(
        ("Soap11", "Soap12"), native_answers(number)
    )
