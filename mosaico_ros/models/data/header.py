"""When and where a measurement was made."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.time import Time


class Header(Serializable):
    """Time and frame of a measurement.

    Source: std_msgs/msg/Header.
    """

    timestamp: Time | None = MosaicoField(default=None, description='Time of the measurement.')
    frame_id: MosaicoType.string | None = MosaicoField(
        default=None, description='Coordinate frame in which the values are expressed.'
    )
    sample_counter: MosaicoType.uint64 | None = MosaicoField(
        default=None, description='Running number of the sample at its source.'
    )
