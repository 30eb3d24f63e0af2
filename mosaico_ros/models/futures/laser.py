"""Planar laser scanners."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float32List, MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import HeaderMixin

SingleRange = Float32List
MultiRange = Annotated[list[list[float]], pa.list_(pa.list_(pa.float32()))]


class _LaserScanBase(BaseModel):
    angle_min: MosaicoType.float32 = MosaicoField(description='Angle of the first ray, in rad.')
    angle_max: MosaicoType.float32 = MosaicoField(description='Angle of the last ray, in rad.')
    angle_increment: MosaicoType.float32 = MosaicoField(description='From ray to ray, in rad.')
    time_increment: MosaicoType.float32 = MosaicoField(description='From ray to ray, in s.')
    scan_time: MosaicoType.float32 = MosaicoField(description='From scan to scan, in s.')
    range_min: MosaicoType.float32 = MosaicoField(description='Least valid range, in m.')
    range_max: MosaicoType.float32 = MosaicoField(description='Greatest valid range, in m.')


class LaserScan(_LaserScanBase, Serializable, HeaderMixin):
    """One sweep of a planar scanner; angles count about Z from the X axis of the header's frame.

    Source: sensor_msgs/msg/LaserScan.
    """

    ranges: SingleRange = MosaicoField(description='Range of each ray, in m.')
    intensities: SingleRange | None = MosaicoField(
        default=None, description="Signal strength of each ray, in the device's unit."
    )


class MultiEchoLaserScan(_LaserScanBase, Serializable, HeaderMixin):
    """One sweep of a planar scanner that reports several echoes per ray.

    Source: sensor_msgs/msg/MultiEchoLaserScan.
    """

    ranges: MultiRange = MosaicoField(description='Ranges of the echoes of each ray, in m.')
    intensities: MultiRange | None = MosaicoField(
        default=None, description="Signal strengths of the echoes, in the device's unit."
    )
