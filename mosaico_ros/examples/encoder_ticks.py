"""A type of your own: the wheel encoder of the NVIDIA Isaac Nova robots.

Importing this module is what registers it; source: isaac_ros_nova_interfaces/msg/EncoderTicks.
"""

from __future__ import annotations

from mosaico_ros import MosaicoField, MosaicoType, Serializable


class EncoderTicks(Serializable):
    """Counts of the two wheels."""

    left_ticks: MosaicoType.uint32 = MosaicoField(
        description='Cumulative counts from the left wheel encoder.'
    )
    right_ticks: MosaicoType.uint32 = MosaicoField(
        description='Cumulative counts from the right wheel encoder.'
    )
    encoder_timestamp: MosaicoType.uint64 = MosaicoField(
        description='Timestamp of the encoder ticks.'
    )
