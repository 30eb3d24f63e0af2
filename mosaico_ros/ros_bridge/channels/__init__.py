"""MCAP channels that are not ROS: JSON and protobuf messages, with their schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaico_ros._lazy import attach

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.channels.adapter_base import (
        MCAPAdapterBase as MCAPAdapterBase,
        MCAPBridge as MCAPBridge,
        MCAPMessage as MCAPMessage,
        McapReturnType as McapReturnType,
        compute_mcap_msg_type as compute_mcap_msg_type,
        register_default_adapter as register_default_adapter,
    )
    from mosaico_ros.ros_bridge.channels.loader import (
        MCAPLoader as MCAPLoader,
        MosaicoToMCAPLoader as MosaicoToMCAPLoader,
    )
    from mosaico_ros.ros_bridge.channels.recordings import (
        MCAPExtractorConfig as MCAPExtractorConfig,
        MCAPInjectionConfig as MCAPInjectionConfig,
        MCAPInjector as MCAPInjector,
        MCAPSequenceExtractor as MCAPSequenceExtractor,
    )

_MODULES = {
    'MCAPAdapterBase': '.adapter_base',
    'MCAPBridge': '.adapter_base',
    'MCAPMessage': '.adapter_base',
    'McapReturnType': '.adapter_base',
    'compute_mcap_msg_type': '.adapter_base',
    'register_default_adapter': '.adapter_base',
    'MCAPLoader': '.loader',
    'MosaicoToMCAPLoader': '.loader',
    'MCAPExtractorConfig': '.recordings',
    'MCAPInjectionConfig': '.recordings',
    'MCAPInjector': '.recordings',
    'MCAPSequenceExtractor': '.recordings',
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
