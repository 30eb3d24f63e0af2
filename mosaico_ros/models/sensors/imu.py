"""Inertial measurement units."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField
from mosaico_ros.models.data.geometry import Quaternion, Vector3d
from mosaico_ros.models.data.mixins import HeaderMixin


class IMU(Serializable, HeaderMixin):
    """Acceleration, rotation rate and, where the device estimates it, orientation.

    Axes are those of the sensor's frame, given in the header (REP 145).

    Source: sensor_msgs/msg/Imu.
    """

    acceleration: Vector3d = MosaicoField(
        description='Linear acceleration, gravity included, in m/s^2.'
    )
    angular_velocity: Vector3d = MosaicoField(description='Rotation rate, in rad/s.')
    orientation: Quaternion | None = MosaicoField(
        default=None, description="Orientation of the sensor in the device's world frame."
    )
