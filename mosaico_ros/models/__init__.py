"""The ontology: every built-in data type, and what is needed to define one's own.

Names are loaded on first use, so that a script pays only for the types it touches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaico_ros._lazy import attach

_CORE = 'mosaico_ros.models.core'
_DATA = 'mosaico_ros.models.data'
_SENSORS = 'mosaico_ros.models.sensors'
_FUTURES = 'mosaico_ros.models.futures'
_PLATFORM = 'mosaico_ros.models.platform'
_ROS = 'mosaico_ros.models.ros'

#: Package that defines each public name.
EXPORTS: dict[str, str] = {
    **dict.fromkeys(
        (
            'BaseModel',
            'Message',
            'MosaicoField',
            'MosaicoType',
            'Serializable',
            'Unmodeled',
            'make_unmodeled_ontology_class',
            'resolve_ontology_class',
        ),
        _CORE,
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
            'Integer8',
            'Integer16',
            'Integer32',
            'Integer64',
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
            'Unsigned8',
            'Unsigned16',
            'Unsigned32',
            'Unsigned64',
            'VarianceMixin',
            'Vector2d',
            'Vector3d',
            'Vector4d',
            'Velocity',
        ),
        _DATA,
    ),
    **dict.fromkeys(
        (
            'GPS',
            'IMU',
            'CameraInfo',
            'CompressedImage',
            'GPSStatus',
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
        _SENSORS,
    ),
    **dict.fromkeys(
        (
            'GridCells',
            'LaserScan',
            'Lidar',
            'MapMetadata',
            'MultiEchoLaserScan',
            'OccupancyGrid',
            'RGBDCamera',
            'Radar',
            'StereoCamera',
            'ToFCamera',
        ),
        _FUTURES,
    ),
    **dict.fromkeys(
        ('BatteryState', 'FrameTransform', 'PointCloud2', 'PointField', 'PointFieldDataType'),
        _ROS,
    ),
    **dict.fromkeys(('Sequence', 'Session', 'Topic'), _PLATFORM),
}

__getattr__, __dir__, __all__ = attach(__name__, EXPORTS)

if TYPE_CHECKING:
    from mosaico_ros.models.core import *  # noqa: F403
    from mosaico_ros.models.data import *  # noqa: F403
    from mosaico_ros.models.futures import *  # noqa: F403
    from mosaico_ros.models.platform import *  # noqa: F403
    from mosaico_ros.models.ros import *  # noqa: F403
    from mosaico_ros.models.sensors import *  # noqa: F403
