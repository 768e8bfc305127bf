"""Evidence that the hub's log has two histories: the hub's own signed words, kept as they came, for an inspector.

One folder for each contradiction, there whole or not at all: both checkpoints (C2SP signed notes), the proof that the
hub gave and that does not connect them (RFC 9162 §2.1.4), the trust bundle that vouches for the key which signed both,
and a page that says how to check it. Nothing here is ever changed or removed by the program.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from certs.trust import TrustBundle
from edge_agent.records import SeenCheckpoint
from protocol.checkpoint import read_checkpoint
from protocol.errors import ExchangeError
from protocol.merkle import verify_consistency
from runtime import durable

PREFIX: Final = "log-forked-"
FIRST: Final = "checkpoint-1.txt"
SECOND: Final = "checkpoint-2.txt"
PROOF: Final = "consistency-proof.txt"
TRUST: Final = "trust.json"
EXPLANATION: Final = """\
Hai tệp checkpoint-1.txt và checkpoint-2.txt là hai điểm kiểm mà chính trục liên thông đã ký, giữ nguyên từng byte
(signed note theo C2SP: dòng 1 tên sổ, dòng 2 số sự kiện, dòng 3 gốc cây Merkle dạng base64, rồi chữ ký Ed25519).

- Cùng số sự kiện mà khác gốc: trục đã ký hai lịch sử khác nhau.
- Khác số sự kiện: consistency-proof.txt là bằng chứng nhất quán mà trục đưa ra (mỗi dòng một mã băm, base64), nhưng
  không nối được hai gốc (RFC 9162, mục 2.1.4.2): sổ đã bị sửa chứ không chỉ ghi thêm.

trust.json có lời xác nhận khóa của sổ, ký bằng chứng thư của trục, và chứng thư gốc của tỉnh mà cơ quan đã ghim khi
tham gia. `lienthong-edge doctor` kiểm tra lại cả chữ ký lẫn mâu thuẫn. Sao nguyên thư mục này giao cho thanh tra.
"""


class Forks:
    """The folder of one agent; made when there is something to put into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, one: SeenCheckpoint, other: SeenCheckpoint, proof: Sequence[bytes], trust: TrustBundle) -> Path:
        """Durably; the same contradiction again is the same folder. Raises `OSError`."""
        final = self._folder / f"{PREFIX}{one.size}-{one.root[:12]}-{other.size}-{other.root[:12]}"
        if final.exists():
            return final
        staging = final.with_name(f".{final.name}{durable.TEMPORARY_SUFFIX}")
        shutil.rmtree(staging, ignore_errors=True)  # what a crash left
        durable.make_directory(staging, durable.PRIVATE_FOLDER)
        for name, data in (
            (FIRST, one.text.encode()),
            (SECOND, other.text.encode()),
            (PROOF, b"".join(base64.b64encode(node) + b"\n" for node in proof)),
            (TRUST, trust.to_json()),
            ("DOC-TRUOC.txt", EXPLANATION.encode()),
        ):
            durable.write_file(staging / name, data, durable.PRIVATE_MODE)
        durable.publish(staging, final)
        return final

    def kept(self) -> list[Path]:
        """All of them, in the order of their names."""
        return sorted(self._folder.glob(f"{PREFIX}*"))


def contradicts(folder: Path, vkeys: Sequence[str]) -> bool:
    """Whether both notes in this folder are signed with the log's key and no history has both. Raises `OSError`."""
    try:
        one, other = sorted(
            (read_checkpoint((folder / name).read_text("utf-8"), vkeys) for name in (FIRST, SECOND)),
            key=lambda checkpoint: checkpoint.size,
        )
    except (ExchangeError, ValueError):
        return False
    if one.size == other.size:
        return one.root != other.root
    try:
        proof = [base64.b64decode(line, validate=True) for line in (folder / PROOF).read_bytes().splitlines()]
        verify_consistency(one.size, one.root, other.size, other.root, proof)
    except (ExchangeError, ValueError):
        return True
    return False
