"""Robot data as a database: a typed, columnar, queryable archive for ROS 2.

Everything a program needs is importable from here and loaded on first use::

    from mosaico_ros import IMU, Message, MosaicoClient, QueryTopic

Importing this package loads neither rclpy nor the server.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from mosaico_ros import _aliases

if TYPE_CHECKING:
    from mosaico_ros.client.comm import (
        GRPCCompression as GRPCCompression,
    )
    from mosaico_ros.client.comm import (
        MosaicoClient as MosaicoClient,
    )
    from mosaico_ros.client.comm import (
        Notification as Notification,
    )
    from mosaico_ros.client.comm import (
        NotificationType as NotificationType,
    )
    from mosaico_ros.client.comm import (
        ServerInfo as ServerInfo,
    )
    from mosaico_ros.client.enums import (
        GRPCCompressionAlgorithm as GRPCCompressionAlgorithm,
    )
    from mosaico_ros.client.enums import (
        GRPCCompressionLevel as GRPCCompressionLevel,
    )
    from mosaico_ros.client.enums import (
        SequenceStatus as SequenceStatus,
    )
    from mosaico_ros.client.enums import (
        SerializationFormat as SerializationFormat,
    )
    from mosaico_ros.client.enums import (
        SessionLevelErrorPolicy as SessionLevelErrorPolicy,
    )
    from mosaico_ros.client.enums import (
        SessionStatus as SessionStatus,
    )
    from mosaico_ros.client.enums import (
        TopicLevelErrorPolicy as TopicLevelErrorPolicy,
    )
    from mosaico_ros.client.enums import (
        TopicWriterStatus as TopicWriterStatus,
    )
    from mosaico_ros.client.handlers import (
        SequenceDataStreamer as SequenceDataStreamer,
    )
    from mosaico_ros.client.handlers import (
        SequenceHandler as SequenceHandler,
    )
    from mosaico_ros.client.handlers import (
        SequenceUpdater as SequenceUpdater,
    )
    from mosaico_ros.client.handlers import (
        SequenceWriter as SequenceWriter,
    )
    from mosaico_ros.client.handlers import (
        TopicDataStreamer as TopicDataStreamer,
    )
    from mosaico_ros.client.handlers import (
        TopicHandler as TopicHandler,
    )
    from mosaico_ros.client.handlers import (
        TopicWriter as TopicWriter,
    )
    from mosaico_ros.client.logging_config import (
        get_logger as get_logger,
    )
    from mosaico_ros.client.logging_config import (
        setup_sdk_logging as setup_sdk_logging,
    )
    from mosaico_ros.client.query import (
        Query as Query,
    )
    from mosaico_ros.client.query import (
        QueryableBool as QueryableBool,
    )
    from mosaico_ros.client.query import (
        QueryableNumeric as QueryableNumeric,
    )
    from mosaico_ros.client.query import (
        QueryableString as QueryableString,
    )
    from mosaico_ros.client.query import (
        QueryOntologyCatalog as QueryOntologyCatalog,
    )
    from mosaico_ros.client.query import (
        QueryResponse as QueryResponse,
    )
    from mosaico_ros.client.query import (
        QueryResponseItem as QueryResponseItem,
    )
    from mosaico_ros.client.query import (
        QueryResponseItemSequence as QueryResponseItemSequence,
    )
    from mosaico_ros.client.query import (
        QueryResponseItemTopic as QueryResponseItemTopic,
    )
    from mosaico_ros.client.query import (
        QuerySequence as QuerySequence,
    )
    from mosaico_ros.client.query import (
        QueryTopic as QueryTopic,
    )
    from mosaico_ros.client.query import (
        TimestampRange as TimestampRange,
    )
    from mosaico_ros.client.query import (
        TopicCluster as TopicCluster,
    )
    from mosaico_ros.models import futures as futures
    from mosaico_ros.models.core import (
        BaseModel as BaseModel,
    )
    from mosaico_ros.models.core import (
        Message as Message,
    )
    from mosaico_ros.models.core import (
        MosaicoField as MosaicoField,
    )
    from mosaico_ros.models.core import (
        MosaicoType as MosaicoType,
    )
    from mosaico_ros.models.core import (
        Serializable as Serializable,
    )
    from mosaico_ros.models.core import (
        Unmodeled as Unmodeled,
    )
    from mosaico_ros.models.data import (
        ROI as ROI,
    )
    from mosaico_ros.models.data import (
        Acceleration as Acceleration,
    )
    from mosaico_ros.models.data import (
        Boolean as Boolean,
    )
    from mosaico_ros.models.data import (
        CovarianceMixin as CovarianceMixin,
    )
    from mosaico_ros.models.data import (
        Duration as Duration,
    )
    from mosaico_ros.models.data import (
        Floating16 as Floating16,
    )
    from mosaico_ros.models.data import (
        Floating32 as Floating32,
    )
    from mosaico_ros.models.data import (
        Floating64 as Floating64,
    )
    from mosaico_ros.models.data import (
        ForceTorque as ForceTorque,
    )
    from mosaico_ros.models.data import (
        Header as Header,
    )
    from mosaico_ros.models.data import (
        HeaderMixin as HeaderMixin,
    )
    from mosaico_ros.models.data import (
        Inertia as Inertia,
    )
    from mosaico_ros.models.data import (
        Integer8 as Integer8,
    )
    from mosaico_ros.models.data import (
        Integer16 as Integer16,
    )
    from mosaico_ros.models.data import (
        Integer32 as Integer32,
    )
    from mosaico_ros.models.data import (
        Integer64 as Integer64,
    )
    from mosaico_ros.models.data import (
        MotionState as MotionState,
    )
    from mosaico_ros.models.data import (
        Point2d as Point2d,
    )
    from mosaico_ros.models.data import (
        Point3d as Point3d,
    )
    from mosaico_ros.models.data import (
        Polygon as Polygon,
    )
    from mosaico_ros.models.data import (
        Pose as Pose,
    )
    from mosaico_ros.models.data import (
        Quaternion as Quaternion,
    )
    from mosaico_ros.models.data import (
        RobotPath as RobotPath,
    )
    from mosaico_ros.models.data import (
        String as String,
    )
    from mosaico_ros.models.data import (
        Time as Time,
    )
    from mosaico_ros.models.data import (
        Transform as Transform,
    )
    from mosaico_ros.models.data import (
        Unsigned8 as Unsigned8,
    )
    from mosaico_ros.models.data import (
        Unsigned16 as Unsigned16,
    )
    from mosaico_ros.models.data import (
        Unsigned32 as Unsigned32,
    )
    from mosaico_ros.models.data import (
        Unsigned64 as Unsigned64,
    )
    from mosaico_ros.models.data import (
        VarianceMixin as VarianceMixin,
    )
    from mosaico_ros.models.data import (
        Vector2d as Vector2d,
    )
    from mosaico_ros.models.data import (
        Vector3d as Vector3d,
    )
    from mosaico_ros.models.data import (
        Vector4d as Vector4d,
    )
    from mosaico_ros.models.data import (
        Velocity as Velocity,
    )
    from mosaico_ros.models.platform import (
        Sequence as Sequence,
    )
    from mosaico_ros.models.platform import (
        Session as Session,
    )
    from mosaico_ros.models.platform import (
        Topic as Topic,
    )
    from mosaico_ros.models.sensors import (
        GPS as GPS,
    )
    from mosaico_ros.models.sensors import (
        IMU as IMU,
    )
    from mosaico_ros.models.sensors import (
        CameraInfo as CameraInfo,
    )
    from mosaico_ros.models.sensors import (
        CompressedImage as CompressedImage,
    )
    from mosaico_ros.models.sensors import (
        GPSStatus as GPSStatus,
    )
    from mosaico_ros.models.sensors import (
        Image as Image,
    )
    from mosaico_ros.models.sensors import (
        ImageFormat as ImageFormat,
    )
    from mosaico_ros.models.sensors import (
        Joy as Joy,
    )
    from mosaico_ros.models.sensors import (
        Magnetometer as Magnetometer,
    )
    from mosaico_ros.models.sensors import (
        NMEASentence as NMEASentence,
    )
    from mosaico_ros.models.sensors import (
        Pressure as Pressure,
    )
    from mosaico_ros.models.sensors import (
        Range as Range,
    )
    from mosaico_ros.models.sensors import (
        RobotJoint as RobotJoint,
    )
    from mosaico_ros.models.sensors import (
        Temperature as Temperature,
    )
    from mosaico_ros.protocol.errors import (
        MosaicoError as MosaicoError,
    )

#: Module that defines each public name.
_EXPORTS: dict[str, str] = {
    **dict.fromkeys(
        (
            'GRPCCompression',
            'MosaicoClient',
            'Notification',
            'NotificationType',
            'ServerInfo',
        ),
        'mosaico_ros.client.comm',
    ),
    **dict.fromkeys(
        (
            'GRPCCompressionAlgorithm',
            'GRPCCompressionLevel',
            'SequenceStatus',
            'SerializationFormat',
            'SessionLevelErrorPolicy',
            'SessionStatus',
            'TopicLevelErrorPolicy',
            'TopicWriterStatus',
        ),
        'mosaico_ros.client.enums',
    ),
    **dict.fromkeys(
        (
            'SequenceDataStreamer',
            'SequenceHandler',
            'SequenceUpdater',
            'SequenceWriter',
            'TopicDataStreamer',
            'TopicHandler',
            'TopicWriter',
        ),
        'mosaico_ros.client.handlers',
    ),
    **dict.fromkeys(
        (
            'get_logger',
            'setup_sdk_logging',
        ),
        'mosaico_ros.client.logging_config',
    ),
    **dict.fromkeys(
        (
            'Query',
            'QueryOntologyCatalog',
            'QueryResponse',
            'QueryResponseItem',
            'QueryResponseItemSequence',
            'QueryResponseItemTopic',
            'QuerySequence',
            'QueryTopic',
            'QueryableBool',
            'QueryableNumeric',
            'QueryableString',
            'TimestampRange',
            'TopicCluster',
        ),
        'mosaico_ros.client.query',
    ),
    **dict.fromkeys(
        (
            'BaseModel',
            'Message',
            'MosaicoField',
            'MosaicoType',
            'Serializable',
            'Unmodeled',
        ),
        'mosaico_ros.models.core',
    ),
    **dict.fromkeys(
        (
            'Acceleration',
            'Boolean',
            'CovarianceMixin',
            'Duration',
            'Floating16',
            'Floating32',
            'Floating64',
            'ForceTorque',
            'Header',
            'HeaderMixin',
            'Inertia',
            'Integer16',
            'Integer32',
            'Integer64',
            'Integer8',
            'MotionState',
            'Point2d',
            'Point3d',
            'Polygon',
            'Pose',
            'Quaternion',
            'ROI',
            'RobotPath',
            'String',
            'Time',
            'Transform',
            'Unsigned16',
            'Unsigned32',
            'Unsigned64',
            'Unsigned8',
            'VarianceMixin',
            'Vector2d',
            'Vector3d',
            'Vector4d',
            'Velocity',
        ),
        'mosaico_ros.models.data',
    ),
    **dict.fromkeys(
        (
            'Sequence',
            'Session',
            'Topic',
        ),
        'mosaico_ros.models.platform',
    ),
    **dict.fromkeys(
        (
            'CameraInfo',
            'CompressedImage',
            'GPS',
            'GPSStatus',
            'IMU',
            'Image',
            'ImageFormat',
            'Joy',
            'Magnetometer',
            'NMEASentence',
            'Pressure',
            'Range',
            'RobotJoint',
            'Temperature',
        ),
        'mosaico_ros.models.sensors',
    ),
    **dict.fromkeys(
        ('MosaicoError',),
        'mosaico_ros.protocol.errors',
    ),
}

__all__ = ['futures', *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name == 'futures':
        return importlib.import_module('mosaico_ros.models.futures')
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_aliases.install()
logging.getLogger(__name__).addHandler(logging.NullHandler())
