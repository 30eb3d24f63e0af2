"""How a topic's rows are shaped; decides how the daemon encodes and cuts them."""

from __future__ import annotations

from enum import Enum


class SerializationFormat(str, Enum):
    """Row layout of a topic, in the spelling of the wire."""

    #: Rows of nearly fixed size: IMU, GPS, odometry.
    Default = 'default'
    #: Rows of strongly varying size: lists, point clouds, text.
    Ragged = 'ragged'
    #: One large blob per row: images.
    Image = 'image'
