"""Package B from PHP's SoapClient and from Node's `soap`: each reads the WSDL and completes operations."""

import asyncio
import json
import os
from pathlib import Path

import pytest
import tools
from package_b_stage import ENDPOINTS, ORGANIZATIONS, Endpoint
from test_package_b_zeep import awkward_files, client_of, letter

FOREIGN = Path(__file__).parent / "foreign"
DIRECTORY = [[organization.organ_id, organization.organ_name] for organization in ORGANIZATIONS]
NOT_FOUND = {"Code": "M.DocumentId", "Description": "Không tìm thấy văn bản trong hộp thư của cơ quan."}


@pytest.fixture(params=ENDPOINTS)
async def endpoint(request: pytest.FixtureRequest, tmp_path: Path):
    async with ENDPOINTS[request.param](tmp_path) as served:
        yield served


async def run(program: str, script: str, endpoint: Endpoint, cwd: Path = FOREIGN) -> dict[str, dict[str, object]]:
    arguments = [endpoint.address, endpoint.recipient, endpoint.recipient_token]
    trust = {"NODE_EXTRA_CA_CERTS": str(endpoint.trust), "SSL_CERT_FILE": str(endpoint.trust)} if endpoint.trust else {}
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
    answers = await run(tools.php(), "php_client.php", endpoint)
    seen = {"organizations": DIRECTORY, "pending": [number], "permission": True, "refusal": NOT_FOUND}
    assert answers == {"1.1": seen, "1.2": seen}


async def test_node_reads_the_wsdl_and_completes_operations(endpoint: Endpoint, tmp_path: Path):
    number = await asyncio.to_thread(deliver, endpoint, tmp_path)
    node, folder = await asyncio.to_thread(tools.node_with_soap)
    answers = await run(node, "node_client.js", endpoint, cwd=folder)
    seen = {"organizations": DIRECTORY, "pending": [number], "permission": True, "refusal": NOT_FOUND}
    assert answers == {"Soap11": seen, "Soap12": seen}
