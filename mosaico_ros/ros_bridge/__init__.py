"""ROS data in and out of the archive: bags, live payloads, adapters. Needs no ROS installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaico_ros._lazy import attach

if TYPE_CHECKING:
    from mosaico_ros.models.ros import (
        BatteryState as BatteryState,
        FrameTransform as FrameTransform,
        PointCloud2 as PointCloud2,
        PointField as PointField,
        PointFieldDataType as PointFieldDataType,
    )
    from mosaico_ros.ros_bridge.adapter_base import (
        ROSAdapterBase as ROSAdapterBase,
        register_default_adapter as register_default_adapter,
    )
    from mosaico_ros.ros_bridge.bags.writing import BagFormat as BagFormat
    from mosaico_ros.ros_bridge.bridge import ROSBridge as ROSBridge
    from mosaico_ros.ros_bridge.extractor import (
        ExtractionReport as ExtractionReport,
        ROSExtractorConfig as ROSExtractorConfig,
        ROSSequenceExtractor as ROSSequenceExtractor,
    )
    from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig as ROSInjectionConfig
    from mosaico_ros.ros_bridge.injection_report import (
        InjectionReport as InjectionReport,
        InjectionStatus as InjectionStatus,
    )
    from mosaico_ros.ros_bridge.injector import RosbagInjector as RosbagInjector
    from mosaico_ros.ros_bridge.loader import (
        MosaicoToROSLoader as MosaicoToROSLoader,
        ROSLoader as ROSLoader,
    )
    from mosaico_ros.ros_bridge.loading import TopicStatus as TopicStatus
    from mosaico_ros.ros_bridge.registry import ROSTypeRegistry as ROSTypeRegistry
    from mosaico_ros.ros_bridge.ros_message import ROSHeader as ROSHeader, ROSMessage as ROSMessage
    from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata as RosSchemaMetadata
    from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder as TopicDecoder

_MODULES = {
    **dict.fromkeys(
        ('BatteryState', 'FrameTransform', 'PointCloud2', 'PointField', 'PointFieldDataType'),
        'mosaico_ros.models.ros',
    ),
    'ROSAdapterBase': '.adapter_base',
    'register_default_adapter': '.adapter_base',
    'BagFormat': '.bags.writing',
    'ROSBridge': '.bridge',
    'ExtractionReport': '.extractor',
    'ROSExtractorConfig': '.extractor',
    'ROSSequenceExtractor': '.extractor',
    'InjectionReport': '.injection_report',
    'InjectionStatus': '.injection_report',
    'ROSInjectionConfig': '.injection_config',
    'RosbagInjector': '.injector',
    'MosaicoToROSLoader': '.loader',
    'ROSLoader': '.loader',
    'TopicStatus': '.loading',
    'ROSTypeRegistry': '.registry',
    'ROSHeader': '.ros_message',
    'ROSMessage': '.ros_message',
    'RosSchemaMetadata': '.schema_metadata',
    'TopicDecoder': '.topic_decoder',
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
