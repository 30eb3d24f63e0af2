"""Robot data as a database: a typed, columnar, queryable archive for ROS 2.

Everything a program needs is importable from here and loaded on first use::

    from mosaico_ros import IMU, Message, MosaicoClient, QueryTopic

Importing this package loads neither rclpy nor the server.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mosaico_ros import _aliases
from mosaico_ros._lazy import attach

if TYPE_CHECKING:
    from mosaico_ros.client.comm import (
        GRPCCompression as GRPCCompression,
        MosaicoClient as MosaicoClient,
        Notification as Notification,
        NotificationType as NotificationType,
        ServerInfo as ServerInfo,
    )
    from mosaico_ros.client.enums import (
        GRPCCompressionAlgorithm as GRPCCompressionAlgorithm,
        GRPCCompressionLevel as GRPCCompressionLevel,
        SequenceStatus as SequenceStatus,
        SerializationFormat as SerializationFormat,
        SessionLevelErrorPolicy as SessionLevelErrorPolicy,
        SessionStatus as SessionStatus,
        TopicLevelErrorPolicy as TopicLevelErrorPolicy,
        TopicWriterStatus as TopicWriterStatus,
    )
    from mosaico_ros.client.handlers import (
        SequenceDataStreamer as SequenceDataStreamer,
        SequenceHandler as SequenceHandler,
        SequenceUpdater as SequenceUpdater,
        SequenceWriter as SequenceWriter,
        TopicDataStreamer as TopicDataStreamer,
        TopicHandler as TopicHandler,
        TopicWriter as TopicWriter,
    )
    from mosaico_ros.client.logging_config import (
        get_logger as get_logger,
        setup_sdk_logging as setup_sdk_logging,
    )
    from mosaico_ros.client.query import (
        Query as Query,
        QueryableBool as QueryableBool,
        QueryableNumeric as QueryableNumeric,
        QueryableString as QueryableString,
        QueryOntologyCatalog as QueryOntologyCatalog,
        QueryPlan as QueryPlan,
        QueryResponse as QueryResponse,
        QueryResponseItem as QueryResponseItem,
        QueryResponseItemSequence as QueryResponseItemSequence,
        QueryResponseItemTopic as QueryResponseItemTopic,
        QuerySequence as QuerySequence,
        QueryTopic as QueryTopic,
        TimestampRange as TimestampRange,
        TopicCluster as TopicCluster,
    )
    from mosaico_ros.models import futures as futures
    from mosaico_ros.models.core import (
        BaseModel as BaseModel,
        Message as Message,
        MosaicoField as MosaicoField,
        MosaicoType as MosaicoType,
        Serializable as Serializable,
        Unmodeled as Unmodeled,
    )
    from mosaico_ros.models.data import (
        ROI as ROI,
        Acceleration as Acceleration,
        Boolean as Boolean,
        CovarianceMixin as CovarianceMixin,
        Duration as Duration,
        Floating16 as Floating16,
        Floating32 as Floating32,
        Floating64 as Floating64,
        ForceTorque as ForceTorque,
        Header as Header,
        HeaderMixin as HeaderMixin,
        Inertia as Inertia,
        Integer8 as Integer8,
        Integer16 as Integer16,
        Integer32 as Integer32,
        Integer64 as Integer64,
        MotionState as MotionState,
        Point2d as Point2d,
        Point3d as Point3d,
        Polygon as Polygon,
        Pose as Pose,
        Quaternion as Quaternion,
        RobotPath as RobotPath,
        String as String,
        Time as Time,
        Transform as Transform,
        Unsigned8 as Unsigned8,
        Unsigned16 as Unsigned16,
        Unsigned32 as Unsigned32,
        Unsigned64 as Unsigned64,
        VarianceMixin as VarianceMixin,
        Vector2d as Vector2d,
        Vector3d as Vector3d,
        Vector4d as Vector4d,
        Velocity as Velocity,
    )
    from mosaico_ros.models.platform import (
        Sequence as Sequence,
        Session as Session,
        Topic as Topic,
    )
    from mosaico_ros.models.sensors import (
        GPS as GPS,
        IMU as IMU,
        CameraInfo as CameraInfo,
        CompressedImage as CompressedImage,
        GPSStatus as GPSStatus,
        Image as Image,
        ImageFormat as ImageFormat,
        Joy as Joy,
        Magnetometer as Magnetometer,
        NMEASentence as NMEASentence,
        Pressure as Pressure,
        Range as Range,
        RobotJoint as RobotJoint,
        StatefulDecodingSession as StatefulDecodingSession,
        Temperature as Temperature,
        decode_frames as decode_frames,
    )
    from mosaico_ros.protocol.errors import (
        MosaicoError as MosaicoError,
    )

#: Module that defines each public name.
_MODULES = {
    'futures': 'mosaico_ros.models',
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
            'QueryPlan',
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
            'StatefulDecodingSession',
            'Temperature',
            'decode_frames',
        ),
        'mosaico_ros.models.sensors',
    ),
    **dict.fromkeys(
        ('MosaicoError',),
        'mosaico_ros.protocol.errors',
    ),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)

_aliases.install()
logging.getLogger(__name__).addHandler(logging.NullHandler())
