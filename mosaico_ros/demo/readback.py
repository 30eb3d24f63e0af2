"""Digest what the archive returns, in the canonical form of the ledger.

Each function below spells out, leaf by leaf in the order of the ROS definition, where a value of
that ROS type is found in the ontology's objects. This is written by hand on purpose: it shares
nothing with the decoder that filled the archive, so that the two cannot be wrong together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mosaico_ros.demo.ledger import ValueDigest

Feed = Callable[[ValueDigest, Any], None]


def _header(digest: ValueDigest, header: Any) -> None:
    # The ontology keeps no header that is all empty.
    stamp = header.timestamp if header is not None else None
    digest.integer(stamp.seconds if stamp is not None else 0)
    digest.integer(stamp.nanoseconds if stamp is not None else 0)
    digest.text((header.frame_id if header is not None else None) or '')


def _xyz(digest: ValueDigest, vector: Any) -> None:
    for axis in ('x', 'y', 'z'):
        digest.real(getattr(vector, axis))


def _xyzw(digest: ValueDigest, quaternion: Any) -> None:
    _xyz(digest, quaternion)
    digest.real(quaternion.w)


def _covariance(digest: ValueDigest, values: Sequence[float] | None, size: int) -> None:
    # A covariance of zeros means "unknown" in ROS and is not kept.
    digest.reals(values if values is not None else [0.0] * size)


def imu(digest: ValueDigest, data: Any) -> None:
    """``sensor_msgs/msg/Imu`` from ``IMU``."""
    _header(digest, data.header)
    _xyzw(digest, data.orientation)
    _covariance(digest, data.orientation.covariance, 9)
    _xyz(digest, data.angular_velocity)
    _covariance(digest, data.angular_velocity.covariance, 9)
    _xyz(digest, data.acceleration)
    _covariance(digest, data.acceleration.covariance, 9)


def joint_state(digest: ValueDigest, data: Any) -> None:
    """``sensor_msgs/msg/JointState`` from ``RobotJoint``."""
    _header(digest, data.header)
    digest.length(len(data.names))
    for name in data.names:
        digest.text(name)
    digest.reals(data.positions)
    digest.reals(data.velocities)
    digest.reals(data.efforts)


def odometry(digest: ValueDigest, data: Any) -> None:
    """``nav_msgs/msg/Odometry`` from ``MotionState``."""
    _header(digest, data.header)
    digest.text(data.target_frame_id or '')
    _xyz(digest, data.pose.position)
    _xyzw(digest, data.pose.orientation)
    _covariance(digest, data.pose.covariance, 36)
    _xyz(digest, data.velocity.linear)
    _xyz(digest, data.velocity.angular)
    _covariance(digest, data.velocity.covariance, 36)


def transform_stamped(digest: ValueDigest, data: Any) -> None:
    """``geometry_msgs/msg/TransformStamped`` from ``Transform``."""
    _header(digest, data.header)
    digest.text(data.target_frame_id or '')
    _xyz(digest, data.translation)
    _xyzw(digest, data.rotation)


def tf_message(digest: ValueDigest, data: Any) -> None:
    """``tf2_msgs/msg/TFMessage`` from ``FrameTransform``."""
    digest.length(len(data.transforms))
    for transform in data.transforms:
        transform_stamped(digest, transform)


def nav_sat_fix(digest: ValueDigest, data: Any) -> None:
    """``sensor_msgs/msg/NavSatFix`` from ``GPS``."""
    _header(digest, data.header)
    digest.integer(data.status.status)
    digest.integer(data.status.service)
    _xyz(digest, data.position)
    _covariance(digest, data.position.covariance, 9)
    digest.integer(data.position.covariance_type or 0)


def compressed_image(digest: ValueDigest, data: Any) -> None:
    """``sensor_msgs/msg/CompressedImage`` from ``CompressedImage``."""
    _header(digest, data.header)
    digest.text(getattr(data.format, 'value', data.format))
    digest.octets(data.data)


def point_cloud(digest: ValueDigest, data: Any) -> None:
    """``sensor_msgs/msg/PointCloud2`` from ``PointCloud2``."""
    _header(digest, data.header)
    digest.integer(data.height)
    digest.integer(data.width)
    digest.length(len(data.fields))
    for field in data.fields:
        digest.text(field.name)
        digest.integer(field.offset)
        digest.integer(int(field.datatype))
        digest.integer(field.count)
    digest.flag(data.is_bigendian)
    digest.integer(data.point_step)
    digest.integer(data.row_step)
    digest.octets(data.data)
    digest.flag(data.is_dense)


def diagnostic_array(digest: ValueDigest, data: Any) -> None:
    """``diagnostic_msgs/msg/DiagnosticArray`` from the model derived of its definition."""
    fields = data.raw_data
    digest.integer(fields['header']['stamp']['sec'])
    digest.integer(fields['header']['stamp']['nanosec'])
    digest.text(fields['header']['frame_id'])
    digest.length(len(fields['status']))
    for status in fields['status']:
        digest.integer(status['level'])
        digest.text(status['name'])
        digest.text(status['message'])
        digest.text(status['hardware_id'])
        digest.length(len(status['values']))
        for pair in status['values']:
            digest.text(pair['key'])
            digest.text(pair['value'])


FEEDS: dict[str, Feed] = {
    'sensor_msgs/msg/Imu': imu,
    'sensor_msgs/msg/JointState': joint_state,
    'nav_msgs/msg/Odometry': odometry,
    'geometry_msgs/msg/TransformStamped': transform_stamped,
    'tf2_msgs/msg/TFMessage': tf_message,
    'sensor_msgs/msg/NavSatFix': nav_sat_fix,
    'sensor_msgs/msg/CompressedImage': compressed_image,
    'sensor_msgs/msg/PointCloud2': point_cloud,
    'diagnostic_msgs/msg/DiagnosticArray': diagnostic_array,
}


def stamp_ns(data: Any) -> int:
    """Return the header stamp of an ontology object, ns since the epoch."""
    stamp = data.header.timestamp
    return stamp.seconds * 1_000_000_000 + stamp.nanoseconds
