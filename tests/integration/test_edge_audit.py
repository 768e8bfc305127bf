"""Each refused file leaves one line in the agent's log: its code, and no word or name out of the document."""

from __future__ import annotations

from edge_stage import PDF, A, B, eventually, province
from test_edge_bad_files import BAD, package

from edge_agent import configuration
from tests.support.log_lines import Line, captured

CANARY = "chim-hoang-yen-7391"


def refusals(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "file-refused"]


def says_nothing_of_documents(lines: list[Line]) -> bool:
    said = repr([line for line in lines if line["part"].startswith("edge.")])
    return not any(word in said for word in (CANARY, "thử nghiệm", "SVDA", ".edxml", ".pdf"))


async def test_each_bad_package_leaves_one_line_with_its_code():
    with captured() as lines:
        async with province() as gialai:
            edge = await gialai.edge(A)
            for number, (data, _) in enumerate(BAD.values()):
                (edge.places.outgoing / f"{number}-{CANARY}.edxml").write_bytes(data)
            await eventually(lambda: len(list(edge.places.failed.glob("*.edxml"))) == len(BAD), "all fail", patience=30)
            await eventually(lambda: len(refusals(lines)) >= len(BAD), "all are in the log")
            await edge.stop()
            await edge.start()  # a restart says nothing again
            edge.drop("a.pdf", PDF, To=[A.replace("16", "99")])
            await eventually((edge.places.failed / "a.pdf").exists, "the hub's refusal")
    assert sorted(line["code"] for line in refusals(lines)) == sorted(code for _, code in BAD.values())
    assert all(not line["left"] for line in refusals(lines))
    assert [line["code"] for line in lines if line["event"] == "refused-by-hub"] == ["recipient.unknown"]
    assert says_nothing_of_documents(lines)


async def test_a_marked_file_and_an_ambiguous_one_leave_one_line_each_and_stay():
    with captured() as lines:
        async with province() as gialai:
            edge = await gialai.edge(A)
            await gialai.join(B)
            edge.drop(f"mật {CANARY}.pdf", PDF, Subject=f"TUYỆT MẬT {CANARY}")
            edge.drop(f"đôi {CANARY}.pdf", PDF)
            (edge.places.outgoing / f"đôi {CANARY}.docx").write_bytes(PDF)
            await eventually(lambda: len(refusals(lines)) == 2, "both are refused")
            (edge.places.outgoing / "tốt.edxml").write_bytes(package())
            await eventually((edge.places.done / "tốt.edxml").exists, "scans go on")
            assert len(list(edge.places.outgoing.glob(f"*{CANARY}*.reason.txt"))) >= 2
    assert "secrecy.refused" in {line["code"] for line in refusals(lines)}
    assert len(refusals(lines)) == 2
    assert all(line["left"] for line in refusals(lines))
    assert says_nothing_of_documents(lines)


async def test_a_file_that_fails_a_check_of_the_door_is_told_once_too():
    """The checks of intake used to write a line of their own beside the adapter's."""
    with captured() as lines:
        async with province() as gialai:
            edge = await gialai.edge(A, limits=configuration.Limits(attachment=10))
            edge.drop("a.pdf", PDF)
            await eventually((edge.places.failed / "a.pdf").exists, "too large")
            await eventually(lambda: refusals(lines), "the line")
    assert [line["code"] for line in lines if line["level"] == "warning"] == ["mime.part-too-large"]
