"""The body of a robot."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float64List, MosaicoField, StringList
from mosaico_ros.models.data.mixins import HeaderMixin


class RobotJoint(Serializable, HeaderMixin):
    """State of the joints; lists are parallel, or empty where nothing is known.

    Source: sensor_msgs/msg/JointState.
    """

    names: StringList = MosaicoField(description='Names of the joints.')
    positions: Float64List = MosaicoField(description='Positions, in rad or m.')
    velocities: Float64List = MosaicoField(description='Velocities, in rad/s or m/s.')
    efforts: Float64List = MosaicoField(description='Efforts, in N m or N.')
