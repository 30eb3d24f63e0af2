"""Joysticks and game pads."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float32List, Int32List, MosaicoField
from mosaico_ros.models.data.mixins import HeaderMixin


class Joy(Serializable, HeaderMixin):
    """Axes and buttons of an input device.

    Source: sensor_msgs/msg/Joy.
    """

    axes: Float32List = MosaicoField(description='Deflections, -1 to 1.')
    buttons: Int32List = MosaicoField(description='1 where pressed, else 0.')
