"""Magnetic field sensors."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField
from mosaico_ros.models.data.geometry import Vector3d
from mosaico_ros.models.data.mixins import HeaderMixin


class Magnetometer(Serializable, HeaderMixin):
    """Magnetic flux density in the sensor's frame.

    Source: sensor_msgs/msg/MagneticField.
    """

    magnetic_field: Vector3d = MosaicoField(
        description='Flux density, in uT; data taken over from ROS messages is in T.'
    )
