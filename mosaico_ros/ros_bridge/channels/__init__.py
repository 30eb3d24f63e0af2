"""MCAP channels that are not ROS: JSON and protobuf messages, with their schemas."""

from __future__ import annotations

from mosaico_ros.ros_bridge.channels.adapter_base import (
    MCAPAdapterBase as MCAPAdapterBase,
    MCAPBridge as MCAPBridge,
    MCAPMessage as MCAPMessage,
    McapReturnType as McapReturnType,
    compute_mcap_msg_type as compute_mcap_msg_type,
    register_default_adapter as register_default_adapter,
)
