"""The line to the hub: native package over mutual TLS 1.3 on kept connections, outbound only."""

from __future__ import annotations

from edge_agent.uplink.link import Fetched, HubLink

__all__ = ["Fetched", "HubLink"]
