"""The hub's configuration, `hub.toml`: every key with its meaning, unit and default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FILE_NAME = "hub.toml"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one message may hold."""

    attachment: Annotated[int, Meta(gt=0, description="Kích thước lớn nhất của một tệp đính kèm", extra={"unit": "byte"})] = 2 << 30  # fmt: skip
    message: Annotated[int, Meta(gt=0, description="Tổng kích thước lớn nhất của một gói tin", extra={"unit": "byte"})] = 4 << 30  # fmt: skip
    attachments: Annotated[int, Meta(gt=0, description="Số tệp đính kèm nhiều nhất")] = 1000
    envelope: Annotated[int, Meta(gt=0, description="Kích thước lớn nhất của phong bì XML", extra={"unit": "byte"})] = 4 << 20  # fmt: skip
    envelope_seconds: Annotated[float, Meta(gt=0, description="Chờ nhận đủ phong bì tối đa", extra={"unit": "giây"})] = 60  # fmt: skip
    stall_seconds: Annotated[float, Meta(gt=0, description="Chờ tối đa khi không nhận thêm được byte nào", extra={"unit": "giây"})] = 60  # fmt: skip
    uploads: Annotated[int, Meta(gt=0, description="Dung lượng tệp tải lên trước mà một cơ quan được giữ ở trục", extra={"unit": "byte"})] = 16 << 30  # fmt: skip
    disk_free: Annotated[int, Meta(ge=0, description="Ngừng nhận tệp tải lên trước khi đĩa còn trống ít hơn", extra={"unit": "byte"})] = 256 << 20  # fmt: skip


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Calling the agencies that registered an address of their own."""

    first_retry: Annotated[float, Meta(gt=0, description="Chờ trước lần thử lại đầu tiên", extra={"unit": "giây"})] = 30
    longest_retry: Annotated[float, Meta(gt=0, description="Chờ lâu nhất giữa hai lần thử", extra={"unit": "giây"})] = 3600  # fmt: skip
    refusals: Annotated[int, Meta(gt=0, description="Số lần bị từ chối hẳn trước khi chuyển cho người xử lý")] = 5
    timeout: Annotated[float, Meta(gt=0, description="Thôi chờ khi bên nhận không nhận thêm, không trả lời gì trong", extra={"unit": "giây"})] = 120  # fmt: skip


class HubConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """`hub.toml`; relative paths are relative to its folder."""

    province: Annotated[str, Meta(min_length=1, description="Mã định danh của tỉnh (nhóm đầu của mã cơ quan)")]
    name: Annotated[str, Meta(min_length=1, description="Tên trục, cũng là tên sổ bằng chứng")]
    address: Annotated[str, Meta(description="Địa chỉ IP để lắng nghe")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Cổng TLS cho các cơ quan")] = 7443
    public_url: Annotated[str, Meta(description="Địa chỉ mà các cơ quan gọi tới")] = "https://localhost:7443"
    operator_port: Annotated[int, Meta(ge=0, le=65535, description="Cổng HTTP nội bộ (127.0.0.1) cho /healthz, /readyz, /metrics")] = 7480  # fmt: skip
    data: Annotated[Path, Meta(description="Thư mục dữ liệu")] = Path("data")
    authority: Annotated[Path, Meta(description="Thư mục CA của tỉnh")] = Path("ca")
    certificate: Annotated[Path, Meta(description="Chứng thư của trục (PEM, kèm CA cấp dưới)")] = Path("hub.pem")
    key: Annotated[Path, Meta(description="Khóa riêng của trục (PEM, quyền 0600)")] = Path("hub.key")
    log_key: Annotated[Path, Meta(description="Khóa Ed25519 của sổ bằng chứng (quyền 0600)")] = Path("log.key")
    control: Annotated[Path, Meta(description="Socket điều khiển cho lệnh lienthong-hub")] = Path("hub.sock")
    clock_tolerance: Annotated[float, Meta(gt=0, description="Độ lệch đồng hồ tối đa giữa cơ quan và trục", extra={"unit": "giây"})] = 600  # fmt: skip
    invitation_days: Annotated[int, Meta(gt=0, description="Mã tham gia có hiệu lực trong", extra={"unit": "ngày"})] = 7
    minimum_tls: Annotated[Literal["1.3", "1.2"], Meta(description="Phiên bản TLS thấp nhất (1.2 chỉ cho phần mềm cũ của bên thứ ba)")] = "1.3"  # fmt: skip
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Mức nhật ký")] = "info"
    limits: Limits = Limits()
    delivery: Delivery = Delivery()
