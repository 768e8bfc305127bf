"""The manual of the wire is true: every error, operation, limit and state is in it, and its examples run elsewhere.

When a table differs, run this file as a program and paste what it prints.
"""

from pathlib import Path

import pytest

import protocol
from protocol import errors, lifecycle, package_b
from protocol.errors import KINDS, ErrorKind, Fault
from protocol.http.incoming import DEFAULT_LIMITS
from protocol.http.mailbox_views import FIRST_LOOK
from protocol.native import requests as native_requests
from protocol.wsdl import SCHEMAS, schema

README = Path(protocol.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def row(kind: ErrorKind) -> str:
    side = "receiver" if kind.fault is Fault.RECEIVER else "sender"
    report = f"`{kind.report_code}`" if kind.report_code else "*path*"
    again = "again" if kind.temporary else ""
    return f"| `{kind.code}` | {side} | {again} | {kind.http_status} | {report} | {kind.axis_code} | {kind.sentence} |"


def error_table() -> str:
    head = "| code | fault | | HTTP | Report | axis | sentence |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    return head + "\n".join(map(row, KINDS.values()))


def mermaid() -> str:
    return lifecycle.diagram()


def size(octets: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if octets >= 1 << shift:
            return f"{octets >> shift} {unit}"
    return f"{octets}"


def test_the_error_table_is_the_vocabulary():
    assert error_table() in TEXT, error_table()


@pytest.mark.parametrize("code", KINDS)
def test_every_error_says_what_to_a_person_and_names_nothing_of_the_document(code: str):
    kind = errors.kind_of(code)
    assert kind.sentence.endswith(".")
    assert kind.sentence.count("{") == kind.sentence.count("{element}")


def test_the_diagram_is_the_table_of_transitions():
    assert f"```mermaid\n{mermaid()}```" in TEXT, mermaid()


def test_every_operation_is_described():
    native = {name.removesuffix("Request") for name in vars(native_requests) if name.endswith("Request")}
    for operation in {*package_b.Operation, *native} - {""}:
        assert f"\n| `{operation}` |" in TEXT, operation


def test_the_limits_are_the_defaults():
    limits = DEFAULT_LIMITS
    for line in (
        f"| one message, all of it | {size(limits.total)} |",
        f"| one attachment | {size(limits.part)} |",
        f"| attachments of a message | {limits.parts - 1:,} |",
        f"| the SOAP envelope | {size(limits.root)} |",
        f"| the headers of one MIME part | {size(limits.headers)} |",
        f"numbers in one `ConfirmReceived` | {native_requests.LIMIT_MAX:,} |",
        f"waits at most | {native_requests.WAIT_MAX:,.0f} |",
        f"without TimeStamp | {FIRST_LOOK:,} |",
    ):
        assert line in TEXT, line


def test_schemas_that_are_mentioned_exist():
    mentioned = {piece.split("`")[0] for piece in TEXT.split("`?xsd=")[1:]} - {"NAME"}
    assert mentioned <= set(SCHEMAS)
    assert all(schema(name, "http://h") for name in mentioned)


def test_every_module_is_listed():
    folder = README.parent
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    section = TEXT.split("## 8. In Python")[1] + "`errors` `namespaces`"
    for module in modules - {"__init__"}:
        assert f"`{module}`" in section, module


if __name__ == "__main__":
    print(error_table(), mermaid(), sep="\n\n")
